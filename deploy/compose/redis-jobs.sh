#!/bin/sh
# Jobs over a stream of Redis: one who adds them, one group of two who works on them and acknowledges.
set -eu

redis() { redis-cli -h redis --raw "$@"; }

redis XGROUP CREATE mails workers '$' MKSTREAM >/dev/null 2>&1 || true

add() {
  while sleep 0.5; do redis XADD mails MAXLEN '~' 1000 '*' job mail >/dev/null || true; done
}

work() {
  while :; do
    # the name of the stream, then the job's number
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
