# What the scripts that start servers have in common; they source it.

# Where servers are installed that no package manager keeps.
cache="${LIBRELOG_TEST_CACHE:-$HOME/.cache/librelog-backup-test}"

fail() {
  echo "$(basename "$0" .sh): $*" >&2
  exit 1
}

# Whether something listens on this port of 127.0.0.1.
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

# Ends the process whose id is in file $1, if its command line has $2 in it, and waits until it is gone. The id may belong
# to somebody else by now.
end_process() {
  local pid
  [ -s "$1" ] || return 0
  pid=$(cat "$1")
  grep -qa -- "$2" "/proc/$pid/cmdline" 2>/dev/null || return 0
  kill -KILL "$pid"
  # Nothing may be written into its folder while that is removed.
  while grep -qa -- "$2" "/proc/$pid/cmdline" 2>/dev/null; do sleep 0.05; done
}

# Waits until the server of folder $1 answers at port $2, for $3 tenths of a second; else shows the end of its log $4 and
# fails with nothing left. The script's own `stop` takes the folder.
await_server() {
  local dir=$1 port=$2 tenths=$3 log=$4 attempt
  for attempt in $(seq "$tenths"); do
    if answers "$port"; then return; fi
    sleep 0.1
  done
  tail -n 20 "$log" >&2
  stop "$dir"
  fail 'it did not come up'
}

# Stops the one server of folder $1, whose process id is in the file pid and whose command line has $2 in it, or the
# folder's path by default; then removes the folder.
stop_one() {
  local dir
  [ -s "$1/pid" ] || fail "$1 was not made by start"
  dir=$(cd "$1" && pwd)
  end_process "$dir/pid" "${2:-$dir}"
  rm -rf "$dir"
}

# Does what the command line of a script with one server asks for.
dispatch() {
  case "${1:-}" in
    install) install ;;
    start) start "${2:?DIR is missing}" "${3:-}" ;;
    stop) stop "${2:?DIR is missing}" ;;
    *) fail "usage: $(basename "$0") install | start DIR [PORT] | stop DIR" ;;
  esac
}
