#!/bin/sh
# Jobs on a Redis stream: one producer, and a consumer group of two that processes and acknowledges them.
set -eu

redis() { redis-cli -h redis --raw "$@"; }

redis XGROUP CREATE mails workers '$' MKSTREAM >/dev/null 2>&1 || true

add() {
  while sleep 0.5; do redis XADD mails MAXLEN '~' 1000 '*' job mail >/dev/null || true; done
}

work() {
  while :; do
    # stream name, then job number
    job=$(redis XREADGROUP GROUP workers "$1" COUNT 1 BLOCK 2000 STREAMS mails '>' | sed -n 2p) || sleep 1
    if [ -n "$job" ]; then
      sleep 0.3
      redis XACK mails workers "$job" >/dev/null || true
    fi
  done
}

add &
work one &
work two &
wait
