#!/usr/bin/env bash
# The mining kernel for ARM compiles without a warning. It is checked and not linked or run, so neither
# an ARM machine nor a C compiler for one is needed: what the host's compiler makes of C is not
# looked at. Skipped, and says so, where Rust's library for that target is not installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=aarch64-unknown-linux-gnu
if [ ! -d "$(rustc --print target-libdir --target $target)" ]; then
    echo "skipped: no library for $target; rustup target add $target"
    exit 0
fi
CC_aarch64_unknown_linux_gnu=${CC_aarch64_unknown_linux_gnu:-cc} \
    cargo clippy --target $target -p lignum-miner --all-targets --locked -- -D warnings
