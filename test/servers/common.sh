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
