#!/usr/bin/env bash
# An unmodified miner of others, cpuminer's `minerd`, mines blocks of a devnet over Stratum and over
# getblocktemplate. MINERD names it; where there is none, the step is skipped, and says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
minerd=$(command -v "${MINERD:-minerd}" || true)
if [ -z "$minerd" ]; then
    echo "skipped: no minerd; set MINERD to run this"
    exit 0
fi
. .ci/devnet.sh
address=0x70997970C51812dc3A010C7d01b50e0d17dc79C8
port=${STRATUM_PORT:-13333}
start_devnet --nodes 1 --throttle 1 --stratum "127.0.0.1:$port"
await_height 1 60

# mine NAME URL: fails unless the node takes a block of this miner within a minute.
mine() {
    "$minerd" -a sha256d -t 1 -o "$2" -u "$address" -p x >"$devnet_dir/minerd" 2>&1 &
    local pid=$! until=$((SECONDS + 60)) before
    before=$(blocks)
    while [ "$(blocks)" -le "$before" ] && [ "$SECONDS" -lt "$until" ]; do sleep 0.2; done
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    if [ "$(blocks)" -le "$before" ]; then
        echo "minerd mined nothing over $1:" && tail -n 20 "$devnet_dir/minerd"
        return 1
    fi
    echo "minerd mined over $1: $(grep -c yay "$devnet_dir/minerd" || true) accepted"
}

# Blocks that miners outside have found.
blocks() {
    curl -sf -m 2 "$url/metrics" | sed -nE 's/^lignum_stratum_blocks_total ([0-9]+)$/\1/p'
}

mine Stratum "stratum+tcp://127.0.0.1:$port"
mine getblocktemplate "$url/mining"
stop_devnet
