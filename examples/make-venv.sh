#!/usr/bin/env bash
# Make a virtual environment:  make-venv.sh PYTHON FOLDER
# Debian's python3 has no ensurepip of its own: python3-venv is installed where that is possible, else it is asked for.
set -euo pipefail
python=$1 venv=$2
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "error: $python is missing or older than Python 3.11. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing python3-venv (Debian's python3 comes without it)"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-venv >/dev/null
  else
    echo "error: $python cannot make a virtual environment. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2
    exit 1
  fi
fi
rm -rf "$venv"
"$python" -m venv "$venv"
