#!/usr/bin/env bash
# Our keystores open in eth-account and ethers, and theirs in ours. Ethers needs Node and npm: where
# they are missing, its half is skipped, and says so.
set -euo pipefail
cargo build --locked -p lignum-node
lignum=$(realpath "${CARGO_TARGET_DIR:-target}/debug/lignum")
tests=$(realpath tests/wallet)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check eth-account==0.14.0
"$work/venv/bin/python" "$tests/interop.py" "$lignum" "$work"

if command -v node >/dev/null && command -v npm >/dev/null; then
    cd "$work"
    npm install --silent --no-audit --no-fund --prefix "$work" ethers@6.17.0
    node "$tests/interop.mjs" "$lignum" "$work"
else
    echo "skipped: ethers, for which node and npm are needed"
fi
