#!/usr/bin/env bash
# A private PostgreSQL for tests, on 127.0.0.1 and a free port, in a temporary folder.
#
#   postgres.sh install    installs Debian's packages where PostgreSQL is missing (as root, or by sudo without a question)
#   postgres.sh run        installs, starts a server, prints its URL, and stops it when standard input ends
#
# Exit code 3: there is none and none can be installed here; the reason is on standard error.
set -euo pipefail

binaries() {
  local found
  found=$(find /usr/lib/postgresql /usr/local/pgsql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
  [ -n "$found" ] || found=$(command -v initdb || true)
  [ -n "$found" ] && dirname "$(readlink -f "$found")"
}

unavailable() {
  echo "no PostgreSQL: $1; install the package postgresql, or name a server in PROFILEMILL_TEST_POSTGRES_URL" >&2
  exit 3
}

install() {
  binaries > /dev/null && return
  command -v apt-get > /dev/null || unavailable "this is not Debian or Ubuntu"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || unavailable "installing it needs root"
    as_root=(sudo -n)
  fi
  echo "installing PostgreSQL from Debian's packages ..." >&2
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends)
  "${as_root[@]}" apt-get update --quiet >&2 || true
  # The common package first, so that the server's package makes and starts no cluster of its own.
  "${apt[@]}" postgresql-common >&2 || unavailable "apt-get failed"
  local settings=/etc/postgresql-common/createcluster.conf
  "${as_root[@]}" cp "$settings" "$settings.before"
  "${as_root[@]}" sh -c "echo 'create_main_cluster = false' >> $settings"
  local done=0
  "${apt[@]}" postgresql >&2 || done=$?
  "${as_root[@]}" mv "$settings.before" "$settings"
  [ "$done" -eq 0 ] && binaries > /dev/null || unavailable "apt-get failed"
}

run() {
  install
  local bin folder port password
  bin=$(binaries)
  folder=$(mktemp -d /tmp/profilemill-postgres.XXXXXX)
  chmod 711 "$folder"
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  password=$(python3 -c 'import secrets; print(secrets.token_hex(16))')
  # PostgreSQL refuses to run as root; Debian's package brings a user for it.
  local as_user=()
  if [ "$(id -u)" -eq 0 ]; then
    id postgres > /dev/null 2>&1 || unavailable "it does not run as root, and there is no user postgres"
    chown postgres "$folder"
    as_user=(runuser -u postgres --)
  fi
  (umask 077 && echo "$password" > "$folder/password")
  [ "$(id -u)" -ne 0 ] || chown postgres "$folder/password"
  cd "$folder"
  # Named here, since whoever ends the script leaves the function.
  BIN=$bin FOLDER=$folder AS_USER=("${as_user[@]}")
  trap stop EXIT
  trap 'exit 143' TERM INT HUP
  "${as_user[@]}" "$bin/initdb" --pgdata="$folder/data" --username=profilemill --pwfile="$folder/password" --auth=scram-sha-256 \
    --encoding=UTF8 --locale=C --no-sync > "$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
  # A test's server may lose its data with the machine.
  "${as_user[@]}" "$bin/pg_ctl" --pgdata="$folder/data" --log="$folder/server.log" --silent --wait --options="-c listen_addresses=127.0.0.1 \
    -c port=$port -c unix_socket_directories= -c fsync=off -c synchronous_commit=off -c full_page_writes=off" start < /dev/null > /dev/null \
    || { cat "$folder/server.log" >&2; exit 1; }
  echo "postgresql://profilemill:$password@127.0.0.1:$port/postgres"
  cat > /dev/null
}

stop() {
  # pg_ctl ends the server by the pid in its own folder.
  "${AS_USER[@]}" "$BIN/pg_ctl" --pgdata="$FOLDER/data" --silent --mode=immediate stop > /dev/null 2>&1 || true
  rm -rf "$FOLDER"
}

case "${1:-}" in
  install | run) "$1" ;;
  *) sed -n '2,7p' "$0" >&2; exit 2 ;;
esac
