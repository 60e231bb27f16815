#!/usr/bin/env bash
# The binary that people run: it builds, says its version, and its devnet mines and stops cleanly.
set -euo pipefail
cargo build --release --locked
. .ci/devnet.sh
"$lignum" --version
start_devnet
await_height 3 60
stop_devnet
echo "devnet reached block 3 and stopped cleanly"
