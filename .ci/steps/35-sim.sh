#!/usr/bin/env bash
# Simulated networks by the thousand. Optimised, since the step for the release builds the same
# dependencies; the step before this one has run a few of them with all debug assertions.
set -euo pipefail
export SEEDS=${SEEDS:-1000}
cargo test --release -p lignum-chain --test sim --locked -- --nocapture networks
