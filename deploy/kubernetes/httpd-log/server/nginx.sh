#!/bin/sh
# nginx, and beside it what logrotate does on a host: rename the log when it has grown, have nginx open a new one. The
# exporter reads the renamed one to its end; a volume that outgrows its limit would cost the pod.
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
exec nginx -e /dev/stderr -c /etc/web/nginx.conf -g 'daemon off;'
