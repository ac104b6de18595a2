#!/bin/bash
# A throw-away Ceph RGW (one monitor, one in-memory OSD, one gateway) on loopback, to test the S3 store against.
#
#   ceph-rgw.sh install            installs it (Debian and Ubuntu, as root)
#   ceph-rgw.sh start DIR [PORT]   starts it with its data, logs and process ids in DIR (which must not exist yet);
#                                  prints its address and credentials as shell exports once it answers
#   ceph-rgw.sh limited-user DIR BYTES   makes a user whose buckets may keep so many bytes each; prints its credentials as exports
#   ceph-rgw.sh stop DIR           stops the processes that start made, and removes DIR
#
#   eval "$(test/servers/ceph-rgw.sh start /tmp/rgw)"; npm run …; test/servers/ceph-rgw.sh stop /tmp/rgw
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

access_key=librelogtest
secret_key=librelog-test-secret

write_settings() {
  local dir=$1 mon_port=$2 rgw_port=$3
  # No authentication between the daemons and fast paxos: up in two seconds instead of a minute.
  # `crc` for the gateway's monitor client: with the default, secure mode, it waits for ever when there are no keys.
  cat >"$dir/ceph.conf" <<SETTINGS
[global]
fsid = 5e1f0c1a-6a1b-4a53-9f0e-0d6d5f7a2b10
mon host = [v2:127.0.0.1:$mon_port/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = $dir
admin socket = $dir/\$name.asok
log file = $dir/\$name.log
pid file = $dir/\$name.pid
mon data = $dir/mon
mon data avail crit = 1
mon allow pool delete = true
mon warn on pool no redundancy = false
paxos propose interval = 0.05
paxos min wait = 0.01
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd crush chooseleaf type = 0
keyring = $dir/keyring

[client.rgw]
ms mon client mode = crc
rgw frontends = beast endpoint=127.0.0.1:$rgw_port tcp_nodelay=1
rgw crypt require ssl = false
rgw gc obj min wait = 1
rgw gc processor period = 2
rgw bucket quota ttl = 0
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = testkey-1=$(head -c 32 /dev/urandom | base64)
SETTINGS
}

wait_for() {
  local what=$1 attempt
  shift
  for attempt in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  fail "$what did not come up"
}

start() {
  local dir=$1 rgw_port=${2:-} mon_port
  [ ! -e "$dir" ] || fail "$dir exists"
  mkdir -p -m 0700 "$dir/osd"
  dir=$(cd "$dir" && pwd)
  trap 'tail -n 20 "$dir"/*.out "$dir"/*.log >&2; stop_processes "$dir"' EXIT
  [ -n "$rgw_port" ] || rgw_port=$(free_port)
  mon_port=$(free_port)
  write_settings "$dir" "$mon_port" "$rgw_port"
  local ceph=(-c "$dir/ceph.conf")

  {
    ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *'
    monmaptool --create --addv a "[v2:127.0.0.1:$mon_port/0]" --fsid 5e1f0c1a-6a1b-4a53-9f0e-0d6d5f7a2b10 "$dir/monmap"
    ceph-mon "${ceph[@]}" -i a --mkfs --monmap "$dir/monmap" --keyring "$dir/keyring"
    ceph-mon "${ceph[@]}" -i a
    wait_for 'the monitor' ceph "${ceph[@]}" --connect-timeout 5 mon stat
    ceph "${ceph[@]}" osd new 7b8d3c2e-51a4-4a8f-8a2a-4b7f3f1f9c01 0
    ceph-osd "${ceph[@]}" -i 0 --mkfs --osd-uuid 7b8d3c2e-51a4-4a8f-8a2a-4b7f3f1f9c01
    ceph-osd "${ceph[@]}" -i 0
    radosgw "${ceph[@]}" -n client.rgw
    wait_for 'the gateway' answers "$rgw_port"
    radosgw-admin "${ceph[@]}" -n client.rgw user create --uid librelog --display-name librelog \
      --access-key "$access_key" --secret-key "$secret_key"
  } >"$dir/start.out" 2>&1
  trap - EXIT

  cat <<EXPORTS
export LIBRELOG_TEST_S3_ENDPOINT=http://127.0.0.1:$rgw_port
export LIBRELOG_TEST_S3_SERVER=ceph-rgw
export LIBRELOG_TEST_S3_DIR=$dir
export AWS_ACCESS_KEY_ID=$access_key
export AWS_SECRET_ACCESS_KEY=$secret_key
export AWS_REGION=us-east-1
EXPORTS
}

limited_user() {
  local dir=$1 bytes=$2 uid=limited-$RANDOM$RANDOM
  local admin=(radosgw-admin -c "$dir/ceph.conf" -n client.rgw --uid "$uid")
  {
    "${admin[@]}" user create --display-name "$uid" --access-key "$uid" --secret-key "$secret_key"
    "${admin[@]}" quota set --quota-scope=bucket --max-size="$bytes"
    "${admin[@]}" quota enable --quota-scope=bucket
  } >>"$dir/start.out" 2>&1
  echo "export AWS_ACCESS_KEY_ID=$uid"
  echo "export AWS_SECRET_ACCESS_KEY=$secret_key"
}

stop_processes() {
  local dir=$1 pid_file
  for pid_file in "$dir"/client.rgw.pid "$dir"/osd.0.pid "$dir"/mon.a.pid; do
    end_process "$pid_file" "$dir/ceph.conf"
  done
}

stop() {
  local dir
  [ -d "$1" ] || fail "$1 is not a folder"
  dir=$(cd "$1" && pwd)
  [ -f "$dir/ceph.conf" ] || fail "$dir was not made by start"
  stop_processes "$dir"
  rm -rf "$dir"
}

install() {
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends radosgw ceph-mon ceph-osd ceph-common
}

case "${1:-}" in
  install) install ;;
  start) start "${2:?DIR is missing}" "${3:-}" ;;
  limited-user) limited_user "${2:?DIR is missing}" "${3:?BYTES is missing}" ;;
  stop) stop "${2:?DIR is missing}" ;;
  *) fail 'usage: ceph-rgw.sh install | start DIR [PORT] | limited-user DIR BYTES | stop DIR' ;;
esac
