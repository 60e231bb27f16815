#!/usr/bin/env bash
# How long people wait for the first block of a new devnet, and how near to its spacing a devnet
# settles. A measurement: it fails only where no blocks come.
set -euo pipefail
cd "$(dirname "$0")/../.."
. .ci/devnet.sh
starts=${STARTS:-10} blocks=${BLOCKS:-60} spacing=${SPACING_SECS:-2}
from=10
if [ "$blocks" -le "$from" ]; then
    echo "BLOCKS is $blocks, needs to be above $from" >&2
    exit 2
fi

total=0 worst=0
for ((run = 1; run <= starts; run++)); do
    began=$EPOCHREALTIME
    start_devnet
    await_height 1 60
    ended=$EPOCHREALTIME
    # Both have six decimals: without the point they are microseconds.
    took=$(((${ended/[.,]/} - ${began/[.,]/}) / 1000))
    echo "start $run: block 1 after $took ms"
    total=$((total + took)) worst=$((took > worst ? took : worst))
    if [ "$run" -lt "$starts" ]; then stop_devnet; fi
done
echo "block 1 after $((total / starts)) ms in the mean, $worst ms at worst, of $starts starts"

# The last devnet goes on: the mean interval, in hundredths of the spacing.
await_height "$blocks" $((blocks * spacing * 5))
elapsed=$(($(block_time "$blocks") - $(block_time "$from")))
hundredths=$((elapsed * 100 / ((blocks - from) * spacing)))
printf 'blocks %d to %d: mean interval %d.%02d T (T = %d s)\n' \
    "$from" "$blocks" $((hundredths / 100)) $((hundredths % 100)) "$spacing"
stop_devnet
