#!/usr/bin/env bash
# The compose file, for real, where only podman is at hand: PostgreSQL, migration, API and worker come up; a comparison
# of built-in models goes through them, once in peace and once with its worker's container killed in the middle.
#   tests/containers/compose.sh [IMAGE]      default: localhost/accord:dev, built before from the Dockerfile
# Needs podman, podman-compose and a Python with Accord's client (`.venv` here). CONTAINERS_CONF names podman's settings,
# where this kind of machine needs some.
set -euo pipefail
cd "$(dirname "$0")/../.."
export ACCORD_IMAGE=${1:-localhost/accord:dev} POSTGRES_IMAGE=localhost/accord-postgres:dev ACCORD_PORT=${ACCORD_PORT:-18400}
python=.venv/bin/python
secrets=docker/secrets
for tool in podman podman-compose; do command -v $tool >/dev/null || { echo "$tool is not installed" >&2; exit 2; }; done
podman image exists "$POSTGRES_IMAGE" || podman build -q --network host -f tests/containers/postgres.Dockerfile -t "$POSTGRES_IMAGE" tests/containers >/dev/null
made=
if [ ! -d "$secrets" ]; then
  made=1
  mkdir -p "$secrets"
  $python -c 'import secrets; print(secrets.token_hex(24))' >"$secrets/postgres_password"
  $python -m app.cli keys generate >"$secrets/admin_key"
  chmod 644 "$secrets"/*
fi
compose() { podman-compose -f docker/compose.yaml "$@" 2>&1 | grep -vE 'systemd connection|syslog' || true; }
finish() { compose down -v -t 5 >/dev/null; [ -z "$made" ] || rm -rf "$secrets"; }
trap finish EXIT
compose up -d >/dev/null
ACCORD_URL=http://127.0.0.1:$ACCORD_PORT ACCORD_KEY=$(cat "$secrets/admin_key") $python -m tests.containers.compare
