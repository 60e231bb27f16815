#!/usr/bin/env bash
set -euo pipefail
RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked
