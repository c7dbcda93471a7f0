#!/bin/sh
# Runs nginx and rotates its log, as logrotate does on a host: rename a large log, then make nginx reopen it.
set -eu
log=/logs/access.log

rotate() {
  while sleep 10; do
    if [ -n "$(find "$log" -size +16384k 2>/dev/null)" ]; then
      mv "$log" "$log.1"
      kill -USR1 "$(cat /tmp/nginx.pid)"
    fi
  done
}

rotate &
exec nginx -e /dev/stderr -c /etc/nginx/demo.conf -g 'daemon off;'
