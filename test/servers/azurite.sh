#!/bin/bash
# A throw-away Azurite on loopback, the blob service's emulator from its vendor, to test the Azure store against a real
# server. It ignores encryption scopes, customer-provided keys and immutability.
#
#   azurite.sh install            installs it with npm into the cache folder (LIBRELOG_TEST_CACHE, or ~/.cache)
#   azurite.sh start DIR [PORT]   starts it with its data, log and process id in DIR (which must not exist yet);
#                                 prints its address and credentials as shell exports once it answers
#   azurite.sh stop DIR           stops the process that start made, and removes DIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=3.37.0
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
prefix="$cache/azurite-$version"
main="$prefix/node_modules/azurite/dist/src/blob/main.js"
account=librelogtest

# The project's own Node, since the machine's may be too old.
node_binary() {
  local candidate
  for candidate in "$here"/node_modules/node/bin/node "$here"/node_modules/node-linux-*/bin/node; do
    if [ -x "$candidate" ]; then
      echo "$candidate"
      return
    fi
  done
  command -v node
}

install() {
  [ -s "$main" ] || npm install --prefix "$prefix" --no-audit --no-fund --ignore-scripts "azurite@$version"
}

start() {
  local dir=$1 port=${2:-} key attempt
  [ -s "$main" ] || fail 'it is not installed: run azurite.sh install'
  [ ! -e "$dir" ] || fail "$dir exists"
  mkdir -p -m 0700 "$dir"
  dir=$(cd "$dir" && pwd)
  [ -n "$port" ] || port=$(free_port)
  key=$(head -c 64 /dev/urandom | base64 -w 0)
  cd "$dir"
  AZURITE_ACCOUNTS="$account:$key" setsid "$(node_binary)" "$main" --blobHost 127.0.0.1 --blobPort "$port" --silent \
    --skipApiVersionCheck --disableTelemetry --location "$dir" </dev/null >"$dir/azurite.log" 2>&1 &
  echo $! >"$dir/pid"
  for attempt in $(seq 300); do
    if answers "$port"; then break; fi
    sleep 0.1
  done
  if ! answers "$port"; then
    tail -n 20 "$dir/azurite.log" >&2
    stop "$dir"
    fail 'it did not come up'
  fi

  cat <<EXPORTS
export LIBRELOG_TEST_AZURE_ENDPOINT=http://127.0.0.1:$port/$account
export LIBRELOG_TEST_AZURE_ACCOUNT=$account
export LIBRELOG_TEST_AZURE_KEY=$key
EXPORTS
}

stop() {
  local dir
  [ -s "$1/pid" ] || fail "$1 was not made by start"
  dir=$(cd "$1" && pwd)
  end_process "$dir/pid" "$dir"
  rm -rf "$dir"
}

case "${1:-}" in
  install) install ;;
  start) start "${2:?DIR is missing}" "${3:-}" ;;
  stop) stop "${2:?DIR is missing}" ;;
  *) fail 'usage: azurite.sh install | start DIR [PORT] | stop DIR' ;;
esac
