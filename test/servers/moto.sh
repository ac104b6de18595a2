#!/bin/bash
# A throw-away moto server on loopback: AWS Secrets Manager, KMS, STS and IAM, to test secret references and keys that stay
# in their service against it. It does not heed the states of keys.
#
#   moto.sh install            installs it with pip into the cache folder (LIBRELOG_TEST_CACHE, or ~/.cache)
#   moto.sh start DIR [PORT]   starts it with its log and process id in DIR (which must not exist yet);
#                              prints its address as a shell export once it answers
#   moto.sh stop DIR           stops the process that start made, and removes DIR
#
# Needs python3 (3.10 or later) with venv and pip.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=5.2.5
prefix="$cache/moto-$version"
server="$prefix/bin/moto_server"

install() {
  [ ! -x "$server" ] || return 0
  rm -rf "$prefix"
  python3 -m venv "$prefix"
  "$prefix/bin/python" -m pip install --quiet --disable-pip-version-check "moto[server]==$version"
}

start() {
  local dir=$1 port=${2:-}
  [ -x "$server" ] || fail 'it is not installed: run moto.sh install'
  [ ! -e "$dir" ] || fail "$dir exists"
  mkdir -p -m 0700 "$dir"
  dir=$(cd "$dir" && pwd)
  [ -n "$port" ] || port=$(free_port)
  cd "$dir"
  setsid "$prefix/bin/python" "$server" --host 127.0.0.1 --port "$port" </dev/null >"$dir/moto.log" 2>&1 &
  echo $! >"$dir/pid"
  await_server "$dir" "$port" 300 "$dir/moto.log"

  cat <<EXPORTS
export LIBRELOG_TEST_AWS_ENDPOINT=http://127.0.0.1:$port
EXPORTS
}

stop() {
  stop_one "$1" moto_server
}

dispatch "$@"
