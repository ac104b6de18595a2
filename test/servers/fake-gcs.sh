#!/bin/bash
# A throw-away fake-gcs-server on loopback, to test the Google Cloud Storage store against a server that is not ours. It
# knows no credentials, encryption keys and locks, and takes the question for a session's offset for its end: what is
# missing, test/support/gcs-double.ts proves. Needs Go, and a minute to build.
#
#   fake-gcs.sh install            builds it with `go install` into the cache folder (LIBRELOG_TEST_CACHE, or ~/.cache)
#   fake-gcs.sh start DIR [PORT]   starts it with its log and process id in DIR (which must not exist yet);
#                                  prints its address as a shell export once it answers
#   fake-gcs.sh stop DIR           stops the process that start made, and removes DIR
set -euo pipefail

version=v1.55.1
bin="${LIBRELOG_TEST_CACHE:-$HOME/.cache/librelog-backup-test}/fake-gcs-server-$version"

fail() {
  echo "fake-gcs: $*" >&2
  exit 1
}

answers() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

free_port() {
  local port
  for port in $(shuf -i 20000-29999 -n 50); do
    if ! answers "$port"; then
      echo "$port"
      return
    fi
  done
  fail 'no free port'
}

install() {
  [ -x "$bin/fake-gcs-server" ] || GOBIN="$bin" go install "github.com/fsouza/fake-gcs-server@$version"
}

start() {
  local dir=$1 port=${2:-} attempt
  [ -x "$bin/fake-gcs-server" ] || fail 'it is not installed: run fake-gcs.sh install'
  [ ! -e "$dir" ] || fail "$dir exists"
  mkdir -p -m 0700 "$dir/data"
  dir=$(cd "$dir" && pwd)
  [ -n "$port" ] || port=$(free_port)
  setsid "$bin/fake-gcs-server" -backend memory -scheme http -host 127.0.0.1 -port "$port" -log-level warn \
    -external-url "http://127.0.0.1:$port" -data "$dir/data" </dev/null >"$dir/fake-gcs.log" 2>&1 &
  echo $! >"$dir/pid"
  for attempt in $(seq 100); do
    if answers "$port"; then break; fi
    sleep 0.1
  done
  if ! answers "$port"; then
    tail -n 20 "$dir/fake-gcs.log" >&2
    stop "$dir"
    fail 'it did not come up'
  fi
  echo "export LIBRELOG_TEST_GCS_ENDPOINT=http://127.0.0.1:$port"
}

stop() {
  local dir pid
  [ -s "$1/pid" ] || fail "$1 was not made by start"
  dir=$(cd "$1" && pwd)
  pid=$(cat "$dir/pid")
  # The id may belong to somebody else by now: stop only what still runs on this folder.
  if grep -qa -- "$dir/data" "/proc/$pid/cmdline" 2>/dev/null; then kill -KILL "$pid"; fi
  rm -rf "$dir"
}

case "${1:-}" in
  install) install ;;
  start) start "${2:?DIR is missing}" "${3:-}" ;;
  stop) stop "${2:?DIR is missing}" ;;
  *) fail 'usage: fake-gcs.sh install | start DIR [PORT] | stop DIR' ;;
esac
