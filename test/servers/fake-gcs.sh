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
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=v1.55.1
bin="$cache/fake-gcs-server-$version"

install() {
  [ -x "$bin/fake-gcs-server" ] || GOBIN="$bin" go install "github.com/fsouza/fake-gcs-server@$version"
}

start() {
  local dir=$1 port=${2:-}
  [ -x "$bin/fake-gcs-server" ] || fail 'it is not installed: run fake-gcs.sh install'
  [ ! -e "$dir" ] || fail "$dir exists"
  mkdir -p -m 0700 "$dir/data"
  dir=$(cd "$dir" && pwd)
  [ -n "$port" ] || port=$(free_port)
  setsid "$bin/fake-gcs-server" -backend memory -scheme http -host 127.0.0.1 -port "$port" -log-level warn \
    -external-url "http://127.0.0.1:$port" -data "$dir/data" </dev/null >"$dir/fake-gcs.log" 2>&1 &
  echo $! >"$dir/pid"
  await_server "$dir" "$port" 100 "$dir/fake-gcs.log"
  echo "export LIBRELOG_TEST_GCS_ENDPOINT=http://127.0.0.1:$port"
}

stop() {
  stop_one "$1"
}

dispatch "$@"
