#!/usr/bin/env bash
# Put a Redmine that the tests can start into FOLDER, from Debian's packages:  get-redmine.sh FOLDER
# The packages are installed (as root) where they are missing, with no database and no service of their own. FOLDER gets a copy of
# the application that keeps everything in the folder $ART58_REDMINE_STATE, and a database filled by seed.rb as a pattern to copy.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dest=$(cd "$1" && pwd)
packages=(redmine redmine-sqlite)

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status} ' "${packages[@]}" 2>/dev/null)" = "installed installed " ]
}

if ! installed; then
  if [ "$(id -u)" != 0 ]; then
    echo "error: the tests need Redmine. Run once: sudo apt-get install --no-install-recommends ${packages[*]}" >&2
    exit 1
  fi
  echo "installing Redmine from Debian's packages; no service is started"
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends debconf >/dev/null
  # else the package makes a database for an instance of its own
  echo "redmine redmine/instances/default/dbconfig-install boolean false" | debconf-set-selections
  export DEBIAN_FRONTEND=noninteractive
  # The bundler inside ruby3.1 3.1.7 (a security update) takes gems that came as packages for deleted ones, and Redmine's set-up ends
  # with "Could not find ….gem". The one in Debian's package of that name knows them.
  if ! {
    apt-get -qq install -y --no-install-recommends ruby-bundler &&
      bundler=$(dpkg-query -W -f '${Version}' ruby-bundler) &&
      BUNDLER_VERSION=${bundler%%-*} apt-get -qq install -y --no-install-recommends "${packages[@]}"
  } >"$dest/install.log" 2>&1; then
    tail -20 "$dest/install.log" >&2
    echo "error: could not install ${packages[*]}, which the tests need." >&2
    exit 1
  fi
  rm "$dest/install.log"
fi

rm -rf "$dest/app" "$dest/pattern"
cp -rH /usr/share/redmine "$dest/app"
cd "$dest/app"
rm -f Gemfile.lock instances config/database.yml
sed -i "s#^Dir\['/usr/share/redmine/.*/database.yml'\]#Dir[File.join(File.dirname(__FILE__), 'config/database.yml')]#" Gemfile
# Debian's package recommends a big web server; the small one that it has already must be told to bundler
echo 'gem "webrick"' >Gemfile.local
cat >config/database.yml <<'YML'
production:
  adapter: sqlite3
  database: <%= ENV["ART58_REDMINE_STATE"] %>/redmine.db
  encoding: utf8
  timeout: 10000
YML
cat >config/additional_environment.rb <<'RUBY'
own = ENV.fetch("ART58_REDMINE_STATE")
config.paths["config/database"] = "config/database.yml"
config.paths["log"] = "#{own}/redmine.log"
config.paths["tmp"] = "#{own}/tmp"
config.cache_store = :memory_store
config.secret_key_base = "of the tests: it opens nothing" * 4
RUBY
cat >config/configuration.yml <<'YML'
production:
  attachments_storage_path: <%= ENV["ART58_REDMINE_STATE"] %>/files
YML

export ART58_REDMINE_STATE="$dest/pattern" RAILS_ENV=production REDMINE_LANG=en
mkdir -p "$ART58_REDMINE_STATE"/{tmp,files}
if ! { bin/rake db:migrate && bin/rake redmine:load_default_data && bin/rails runner "$here/delivery/redmine-seed.rb"; } >"$dest/seed.log" 2>&1; then
  grep -vE '^[[:space:]]+from |/gems/|^(==|--| +->)' "$dest/seed.log" | tail -20 >&2 # without the way through the libraries
  echo "error: could not prepare Redmine's database." >&2
  exit 1
fi
rm -rf "$dest/seed.log" "$ART58_REDMINE_STATE"/{tmp,files,redmine.log}
