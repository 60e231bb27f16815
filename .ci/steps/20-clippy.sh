#!/usr/bin/env bash
set -euo pipefail
cargo clippy --workspace --all-targets --locked -- -D warnings
# What is built only where it is asked for.
cargo clippy --workspace --all-targets --features lignum-node/sled --locked -- -D warnings
