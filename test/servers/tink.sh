#!/bin/bash
# Google's Tink and the `cryptography` package in a Python environment of their own, for tink.test.ts and
# recover.test.ts. Needs python3 (3.9 or later) with venv and pip.
#
#   tink.sh install DIR     makes the environment in DIR, unless it is there, and prints the path of its python
#
#   export LIBRELOG_TEST_PYTHON=$(test/servers/tink.sh install /tmp/tink)
set -euo pipefail

# Pinned, so that a failure means that we changed.
packages=('tink==1.16.1' 'cryptography>=42')

if [[ $# -ne 2 || $1 != install ]]; then
  echo 'usage: tink.sh install DIR' >&2
  exit 2
fi

python=$2/bin/python
if ! "$python" -c 'import tink, cryptography' 2>/dev/null; then
  python3 -m venv "$2" >&2
  "$python" -m pip install --quiet --disable-pip-version-check "${packages[@]}" >&2
  "$python" -c 'import tink, cryptography'
fi
echo "$python"
