#!/bin/bash
# A throw-away MinIO on loopback, to test the S3 store against a second server: one that checks the newer checksums and
# heeds If-None-Match when a multipart upload is completed. It needs Go, and minutes to build.
#
#   minio.sh install            builds it with `go install` into the cache folder (LIBRELOG_TEST_CACHE, or ~/.cache)
#   minio.sh start DIR          starts two, with their data, logs and process ids in DIR (which must not exist yet): one
#                               without and one with TLS, which customers' keys (SSE-C) need; prints their addresses and
#                               credentials as shell exports once they answer
#   minio.sh stop DIR           stops the processes that start made, and removes DIR
#
#   eval "$(test/servers/minio.sh start /tmp/minio)"; npm run …; test/servers/minio.sh stop /tmp/minio
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=v0.0.0-20260212201848-7aac2a2c5b7c # the last one; the project is archived
bin="$cache/minio-$version"
access_key=librelogtest
secret_key=librelog-test-secret

install() {
  [ -x "$bin/minio" ] || GOBIN="$bin" go install "github.com/minio/minio@$version"
}

# A throw-away authority, and a certificate of its own for 127.0.0.1.
make_certificates() {
  local dir=$1
  mkdir -p "$dir/certs"
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=librelog-backup test authority' \
    -keyout "$dir/ca.key" -out "$dir/ca.pem"
  openssl req -new -newkey rsa:2048 -nodes -subj '/CN=127.0.0.1' -keyout "$dir/certs/private.key" -out "$dir/request.pem"
  openssl x509 -req -in "$dir/request.pem" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
    -extfile <(echo 'subjectAltName=IP:127.0.0.1') -out "$dir/certs/public.crt"
}

# Starts one server with its data in $dir/$name; MinIO speaks TLS when it finds a certificate in its folder of them.
start_one() {
  local dir=$1 name=$2 port=$3 certs=$4
  mkdir -p "$dir/$name" "$certs"
  MINIO_ROOT_USER=$access_key MINIO_ROOT_PASSWORD=$secret_key MINIO_SITE_REGION=us-east-1 \
    MINIO_KMS_SECRET_KEY="testkey-1:$kms_key" MINIO_BROWSER=off MINIO_UPDATE=off \
    setsid "$bin/minio" server --quiet --certs-dir "$certs" --address "127.0.0.1:$port" "$dir/$name" \
    </dev/null >"$dir/$name.log" 2>&1 &
  echo $! >"$dir/$name.pid"
}

is_healthy() {
  local name=$1 port=$2 request='GET /minio/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n'
  if [ "$name" = tls ]; then
    printf "$request" | timeout 2 openssl s_client -quiet -connect "127.0.0.1:$port" 2>/dev/null
  else
    exec 3<>"/dev/tcp/127.0.0.1/$port" && printf "$request" >&3 && timeout 2 cat <&3
  fi | grep '^HTTP/1.. 200' >/dev/null
}

wait_until_healthy() {
  local dir=$1 name=$2 port=$3 attempt
  for attempt in $(seq 300); do
    if (is_healthy "$name" "$port") 2>/dev/null; then return; fi
    sleep 0.1
  done
  tail -n 20 "$dir/$name.log" >&2
  stop "$dir"
  fail "it did not come up ($name)"
}

start() {
  local dir=$1 plain_port tls_port kms_key
  [ -x "$bin/minio" ] || fail 'it is not installed: run minio.sh install'
  [ ! -e "$dir" ] || fail "$dir exists"
  mkdir -p -m 0700 "$dir"
  dir=$(cd "$dir" && pwd)
  make_certificates "$dir" >"$dir/openssl.log" 2>&1
  kms_key=$(head -c 32 /dev/urandom | base64)
  plain_port=$(free_port)
  start_one "$dir" plain "$plain_port" "$dir/no-certs"
  tls_port=$(free_port)
  start_one "$dir" tls "$tls_port" "$dir/certs"
  wait_until_healthy "$dir" plain "$plain_port"
  wait_until_healthy "$dir" tls "$tls_port"

  cat <<EXPORTS
export LIBRELOG_TEST_S3_ENDPOINT=http://127.0.0.1:$plain_port
export LIBRELOG_TEST_S3_TLS_ENDPOINT=https://127.0.0.1:$tls_port
export LIBRELOG_TEST_S3_CA_FILE=$dir/ca.pem
export LIBRELOG_TEST_S3_SERVER=minio
export AWS_ACCESS_KEY_ID=$access_key
export AWS_SECRET_ACCESS_KEY=$secret_key
export AWS_REGION=us-east-1
EXPORTS
}

stop() {
  local dir
  dir=$(cd "$1" && pwd)
  [ -s "$dir/plain.pid" ] || fail "$1 was not made by start"
  end_process "$dir/plain.pid" "$dir/"
  end_process "$dir/tls.pid" "$dir/"
  rm -rf "$dir"
}

case "${1:-}" in
  install) install ;;
  start) start "${2:?DIR is missing}" ;;
  stop) stop "${2:?DIR is missing}" ;;
  *) fail 'usage: minio.sh install | start DIR | stop DIR' ;;
esac
