#!/usr/bin/env bash
# Unpack strace (which shows the fsync behind every 200), wrk (the load of the benchmarks) and VictoriaMetrics (another endpoint for
# PromQL) from Debian's packages without installing them:  get-tools.sh FOLDER
set -euo pipefail
dest=$1
rm -rf "$dest"
mkdir -p "$dest"/lists/partial "$dest"/cache/archives/partial
cd "$dest"
opts=(-qq -o APT::Sandbox::User=root -o "Dir::State::lists=$PWD/lists" -o "Dir::Cache=$PWD/cache")
if ! { apt-get "${opts[@]}" update && apt-get "${opts[@]}" download strace libunwind8 wrk libluajit-5.1-2 libluajit-5.1-common victoria-metrics; }; then
  echo "error: could not download strace, wrk and victoria-metrics from Debian's packages; the tests and benchmarks need them." >&2
  exit 1
fi
for deb in ./*.deb; do dpkg -x "$deb" root; done
rm -rf ./*.deb lists cache
mkdir -p bin
lib=$(echo "$PWD"/root/usr/lib/*-linux-gnu)
for tool in strace wrk victoria-metrics; do
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$lib" "$PWD/root/usr/bin/$tool" >"bin/$tool"
  chmod +x "bin/$tool"
done
