#!/usr/bin/env bash
# A throwaway PostgreSQL for the tests, which keeps nothing through a machine's fall (no fsync). It is Debian's, installed
# if it is missing, and runs as the user `postgres` (or whoever runs this): it refuses root.
#
#   eval "$(.ci/postgres.sh start)"   # starts one and sets TEST_DATABASE_URL
#   .ci/postgres.sh halt              # stops it; `start` goes on with its databases, at the same address
#   .ci/postgres.sh stop              # stops it and deletes its files
#
# POSTGRES_DIR sets where the files are; one such folder is one server.
set -euo pipefail
dir=${POSTGRES_DIR:-${TMPDIR:-/tmp}/accord-postgres}

as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi; }

binaries() {
  local found
  found=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
  [ -n "$found" ] || found=$(dirname "$(command -v pg_ctl 2>/dev/null || echo /none/x)")
  [ -x "$found/initdb" ] && echo "$found"
}

initialise() {
  rm -rf "$dir" && mkdir -p "$dir"
  if [ "$(id -u)" = 0 ]; then chown postgres "$dir"; fi
  cd "$dir"
  as_user "$bin/initdb" -D data -U accord -A trust -E UTF8 --locale=C --no-sync
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  cat >>data/postgresql.conf <<END
port = $port
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
max_connections = 200
END
  echo "postgresql://accord@127.0.0.1:$port/postgres" >url
}

case "${1:-}" in
  start)
    if ! bin=$(binaries); then
      { apt-get update -q && apt-get install -y -q --no-install-recommends postgresql-15; } >&2
      bin=$(binaries)
    fi
    [ -s "$dir/url" ] || (initialise) >&2 </dev/null
    if ! (cd / && as_user "$bin/pg_ctl" -D "$dir/data" status >/dev/null); then
      (cd "$dir" && as_user "$bin/pg_ctl" -D data -l log -w start) >&2 </dev/null
    fi
    echo "export TEST_DATABASE_URL=$(cat "$dir/url")"
    ;;
  halt | stop)
    if [ -d "$dir/data" ]; then
      (cd / && as_user "$(binaries)/pg_ctl" -D "$dir/data" -m immediate stop) >&2 || true
    fi
    if [ "$1" = stop ]; then rm -rf "$dir"; fi
    ;;
  *)
    echo "usage: .ci/postgres.sh start|halt|stop" >&2
    exit 2
    ;;
esac
