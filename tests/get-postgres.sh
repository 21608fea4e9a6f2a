#!/usr/bin/env bash
# Install Debian's PostgreSQL for the tests where there is none:  get-postgres.sh
# No database is made and no service started: the tests start servers of their own.
set -euo pipefail

if compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; then
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  echo "error: the tests need PostgreSQL. Run once: sudo apt-get install --no-install-recommends postgresql" >&2
  exit 1
fi
echo "installing PostgreSQL from Debian's packages; no service is started"
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
trap 'rm -f "$log" ${made:-}' EXIT
if [ ! -e "$policy" ]; then
  made=$policy
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
# else the package makes a cluster for an instance of its own
mkdir -p /etc/postgresql-common/createcluster.d
echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/art58-tests.conf
apt-get -qq update
if ! DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postgresql >"$log" 2>&1; then
  tail -20 "$log" >&2
  echo "error: could not install postgresql, which the tests need." >&2
  exit 1
fi
