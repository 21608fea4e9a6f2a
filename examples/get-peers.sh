#!/usr/bin/env bash
# Put prometheus, promtool, alertmanager and amtool into FOLDER/bin:  get-peers.sh FOLDER [DEBIAN_SUITE]
# - own binaries named by PROMETHEUS, PROMTOOL, ALERTMANAGER and AMTOOL are used as they are;
# - else Debian's packages are downloaded and unpacked beside the project: nothing is installed, no service is started;
#   where this machine permits no mount namespace, which the unpacked Alertmanager needs, they are installed (as root), not started;
# - else (no apt) binaries found on the PATH, or a message that says what to install.
# DEBIAN_SUITE (say trixie) takes newer versions; the source entry is derived from the machine's own.
set -euo pipefail
mkdir -p "$1"
dest=$(cd "$1" && pwd)
suite=${2:-}
bin="$dest/bin"
mkdir -p "$bin"

link() { # NAME SOURCE
  ln -sfn "$2" "$bin/$1"
}

show() {
  local name
  for name in prometheus promtool alertmanager amtool; do
    "$bin/$name" --version 2>&1 | sed -n '1s/ (branch.*//p'
  done
}

if [ -n "${PROMETHEUS:-}${PROMTOOL:-}${ALERTMANAGER:-}${AMTOOL:-}" ]; then
  for name in PROMETHEUS PROMTOOL ALERTMANAGER AMTOOL; do
    path=${!name:-}
    if [ -z "$path" ] || ! path=$(command -v "$path"); then
      echo "error: $name='${!name:-}' is no program. Set all four: PROMETHEUS, PROMTOOL, ALERTMANAGER, AMTOOL (paths of the binaries)." >&2
      exit 1
    fi
    [[ $path == /* ]] || path=$PWD/$path
    link "$(tr '[:upper:]' '[:lower:]' <<<"$name")" "$path"
  done
  show
  exit 0
fi

if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
  if command -v prometheus >/dev/null && command -v promtool >/dev/null && command -v alertmanager >/dev/null && command -v amtool >/dev/null; then
    for name in prometheus promtool alertmanager amtool; do link "$name" "$(command -v "$name")"; done
    show
    exit 0
  fi
  cat >&2 <<MSG
error: this is no Debian-like system, so Prometheus and Alertmanager cannot be fetched here.
Install both (packages are often named prometheus and alertmanager; macOS: brew install prometheus alertmanager),
put prometheus, promtool, alertmanager and amtool on the PATH, or name the binaries:
  make demo PROMETHEUS=/path/prometheus PROMTOOL=/path/promtool ALERTMANAGER=/path/alertmanager AMTOOL=/path/amtool
MSG
  exit 1
fi

# Debian's Alertmanager reads templates from its package's absolute folder: unpacked, it is shown them in a mount namespace
permitted() {
  unshare --mount sh -c 'mount -t tmpfs tmpfs /usr/share' 2>/dev/null ||
    unshare --user --map-root-user --mount sh -c 'mount -t tmpfs tmpfs /usr/share' 2>/dev/null
}

if [ -z "$suite" ] && ! permitted; then
  if [ "$(id -u)" != 0 ]; then
    cat >&2 <<MSG
error: this machine permits no mount namespace, so Debian's Alertmanager cannot run unpacked. Install both packages:
  sudo apt-get install --no-install-recommends prometheus prometheus-alertmanager
then run again with PROMETHEUS=prometheus PROMTOOL=promtool ALERTMANAGER=prometheus-alertmanager AMTOOL=amtool
MSG
    exit 1
  fi
  echo "installing Prometheus and Alertmanager (this machine permits no mount namespace to run them unpacked); no service is started"
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends prometheus prometheus-alertmanager >/dev/null
  for name in prometheus promtool amtool; do link "$name" "$(command -v "$name")"; done
  link alertmanager "$(command -v prometheus-alertmanager)"
  show
  exit 0
fi

echo "fetching Prometheus and Alertmanager from Debian's packages into ${dest##*/}/ (nothing is installed)"
opts=(-qq -o APT::Sandbox::User=root)
state="$dest/.apt"
rm -rf "$state" "$dest/root" "$dest"/*.deb
mkdir -p "$state"/{lists/partial,cache/archives/partial,sources}
opts+=(-o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache")
if [ -n "$suite" ]; then
  if [ -f /etc/apt/sources.list.d/debian.sources ]; then
    awk 'BEGIN{RS="";ORS="\n\n"} NR==1' /etc/apt/sources.list.d/debian.sources |
      sed -E "s/^Suites:.*/Suites: $suite/" >"$state/sources/x.sources"
  else # the older form, one line each
    sed -nE "s/^(deb (\[[^]]*\] )?[^ ]+) [^ ]+ .*/\1 $suite main/p" /etc/apt/sources.list | head -1 >"$state/sources/x.list"
  fi
  opts+=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$state/sources")
fi
apt-get "${opts[@]}" update
cd "$dest"
packages=(prometheus prometheus-alertmanager)
# from Debian 13 on, promtool is a package of its own
offered=$(apt-cache "${opts[@]}" policy promtool 2>/dev/null || true) # no pipe into grep -q: it hangs up early, a failure under pipefail
if [[ $offered =~ 'Candidate: '[^\(] ]]; then packages+=(promtool); fi
if ! apt-get "${opts[@]}" download "${packages[@]}"; then
  echo "error: could not download ${packages[*]}. Is the machine's package source reachable? Or: apt-get install ${packages[*]}, then run again with PROMETHEUS=… PROMTOOL=… ALERTMANAGER=… AMTOOL=…" >&2
  exit 1
fi
for deb in ./*.deb; do dpkg -x "$deb" root; done
rm -rf ./*.deb "$state"
link prometheus ../root/usr/bin/prometheus
link promtool ../root/usr/bin/promtool
link alertmanager ../root/usr/bin/prometheus-alertmanager
link amtool ../root/usr/bin/amtool
show
