#!/bin/sh
# Rewrites every vector from its script, with the pinned packages in a throw-away environment, and
# shows what changed: nothing should.
set -eu
cd "$(dirname "$0")"
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --requirement requirements.txt
export PYTHONDONTWRITEBYTECODE=1
for script in compact asert headers rfc6962 state_root transactions evm; do
    echo "$script.py"
    "$venv/bin/python" "$script.py"
done
git diff --stat -- .
