#!/bin/bash
# A throw-away OpenBao on loopback, which speaks Vault's HTTP API, to test secrets and keys in Vault against a real server.
# It needs Go, and minutes to build.
#
#   openbao.sh install            builds it into the cache folder (LIBRELOG_TEST_CACHE, or ~/.cache)
#   openbao.sh start DIR [PORT]   starts it, unsealed, with its data, log and process id in DIR (which must not exist yet);
#                                 prints its addresses, with and without TLS, its root token and the key that unseals it
#                                 as shell exports
#   openbao.sh stop DIR           stops the process that start made, and removes DIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

name=openbao-2.4.0
version=v0.0.0-20250828202315-f9407a27fbee # the Go module proxy knows its release 2.4.0 by this name only
bin="$cache/$name/bao"

# `go install` refuses the module for its replace directives, so a module of ours imports its commands. The checksum
# database does not know all that it needs; OpenBao's own list of checksums, which comes with it verified, does.
install() {
  local source folder
  [ ! -x "$bin" ] || return 0
  folder="$cache/$name/source"
  mkdir -p "$folder"
  cd "$folder"
  printf 'module librelog-backup-test/openbao\n\ngo 1.24.6\n\nrequire github.com/openbao/openbao %s\n' "$version" >go.mod
  cat >main.go <<'MAIN'
package main

import (
	"os"

	"github.com/openbao/openbao/command"
)

func main() { os.Exit(command.Run(os.Args[1:])) }
MAIN
  rm -f go.sum
  source=$(go mod download -json "github.com/openbao/openbao@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  cat "$source/go.sum" >go.sum
  go build -mod=mod -trimpath -ldflags '-s -w' -o "$bin" .
}

# A throw-away authority, and a certificate of its own for a name that no resolver knows.
make_certificates() {
  local dir=$1
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=librelog-backup test authority' \
    -keyout "$dir/ca.key" -out "$dir/ca.pem"
  openssl req -new -newkey rsa:2048 -nodes -subj '/CN=vault.test' -keyout "$dir/server.key" -out "$dir/request.pem"
  openssl x509 -req -in "$dir/request.pem" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
    -extfile <(echo 'subjectAltName=DNS:vault.test') -out "$dir/server.pem"
}

write_config() {
  local dir=$1 port=$2 tls_port=$3
  cat >"$dir/config.hcl" <<CONFIG
disable_mlock = true
api_addr = "http://127.0.0.1:$port"
storage "file" {
  path = "$dir/data"
}
listener "tcp" {
  address = "127.0.0.1:$port"
  tls_disable = true
}
listener "tcp" {
  address = "127.0.0.1:$tls_port"
  cluster_address = "127.0.0.1:$(free_port)"
  tls_cert_file = "$dir/server.pem"
  tls_key_file = "$dir/server.key"
}
CONFIG
}

start() {
  local dir=$1 port=${2:-} tls_port unseal_key root_token
  [ -x "$bin" ] || fail 'it is not installed: run openbao.sh install'
  [ ! -e "$dir" ] || fail "$dir exists"
  mkdir -p -m 0700 "$dir"
  dir=$(cd "$dir" && pwd)
  make_certificates "$dir" >"$dir/openssl.log" 2>&1
  [ -n "$port" ] || port=$(free_port)
  tls_port=$(free_port)
  write_config "$dir" "$port" "$tls_port"
  setsid "$bin" server -config="$dir/config.hcl" </dev/null >"$dir/openbao.log" 2>&1 &
  echo $! >"$dir/pid"
  await_server "$dir" "$port" 300 "$dir/openbao.log"
  export BAO_ADDR=http://127.0.0.1:$port
  "$bin" operator init -key-shares=1 -key-threshold=1 -format=json >"$dir/init.json"
  unseal_key=$(sed -n '/"unseal_keys_b64"/{n;s/^ *"\(.*\)".*$/\1/p}' "$dir/init.json")
  root_token=$(sed -n 's/^ *"root_token": "\(.*\)".*$/\1/p' "$dir/init.json")
  "$bin" operator unseal "$unseal_key" >"$dir/unseal.log"

  cat <<EXPORTS
export LIBRELOG_TEST_VAULT_ADDR=http://127.0.0.1:$port
export LIBRELOG_TEST_VAULT_TLS_ADDR=https://127.0.0.1:$tls_port
export LIBRELOG_TEST_VAULT_TLS_NAME=vault.test
export LIBRELOG_TEST_VAULT_CA_FILE=$dir/ca.pem
export LIBRELOG_TEST_VAULT_TOKEN=$root_token
export LIBRELOG_TEST_VAULT_UNSEAL_KEY=$unseal_key
EXPORTS
}

stop() {
  stop_one "$1"
}

dispatch "$@"
