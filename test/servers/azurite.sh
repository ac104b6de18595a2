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
  local dir=$1 port=${2:-} key
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
  await_server "$dir" "$port" 300 "$dir/azurite.log"

  cat <<EXPORTS
export LIBRELOG_TEST_AZURE_ENDPOINT=http://127.0.0.1:$port/$account
export LIBRELOG_TEST_AZURE_ACCOUNT=$account
export LIBRELOG_TEST_AZURE_KEY=$key
EXPORTS
}

stop() {
  stop_one "$1"
}

dispatch "$@"
