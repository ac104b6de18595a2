#!/bin/bash
# A throw-away MinIO on loopback, to test the S3 store against a second server: one that checks the newer checksums and
# heeds If-None-Match when a multipart upload is completed. Optional: it needs Go and minutes to build.
#
#   minio.sh install            builds it with `go install` into the cache folder (LIBRELOG_TEST_CACHE, or ~/.cache)
#   minio.sh start DIR [PORT]   starts it with its data, log and process id in DIR (which must not exist yet);
#                               prints its address and credentials as shell exports once it answers
#   minio.sh stop DIR           stops the process that start made, and removes DIR
set -euo pipefail

version=v0.0.0-20260212201848-7aac2a2c5b7c # the last one; the project is archived
bin="${LIBRELOG_TEST_CACHE:-$HOME/.cache/librelog-backup-test}/minio-$version"
access_key=librelogtest
secret_key=librelog-test-secret

fail() {
  echo "minio: $*" >&2
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
  [ -x "$bin/minio" ] || GOBIN="$bin" go install "github.com/minio/minio@$version"
}

start() {
  local dir=$1 port=${2:-} attempt
  [ -x "$bin/minio" ] || fail 'it is not installed: run minio.sh install'
  [ ! -e "$dir" ] || fail "$dir exists"
  mkdir -p -m 0700 "$dir/data"
  dir=$(cd "$dir" && pwd)
  [ -n "$port" ] || port=$(free_port)
  MINIO_ROOT_USER=$access_key MINIO_ROOT_PASSWORD=$secret_key MINIO_BROWSER=off MINIO_UPDATE=off \
    setsid "$bin/minio" server --quiet --address "127.0.0.1:$port" "$dir/data" </dev/null >"$dir/minio.log" 2>&1 &
  echo $! >"$dir/pid"
  for attempt in $(seq 300); do
    if answers "$port"; then break; fi
    sleep 0.1
  done
  if ! answers "$port"; then
    tail -n 20 "$dir/minio.log" >&2
    stop "$dir"
    fail 'it did not come up'
  fi

  cat <<EXPORTS
export LIBRELOG_TEST_S3_ENDPOINT=http://127.0.0.1:$port
export LIBRELOG_TEST_S3_SERVER=minio
export AWS_ACCESS_KEY_ID=$access_key
export AWS_SECRET_ACCESS_KEY=$secret_key
export AWS_REGION=us-east-1
EXPORTS
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
  *) fail 'usage: minio.sh install | start DIR [PORT] | stop DIR' ;;
esac
