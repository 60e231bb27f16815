#!/usr/bin/env bash
# Small networks explored whole, those of up to a minute; `.ci/long` takes all.
set -euo pipefail
EXHAUST=gate cargo test --locked -p lignum-chain --test exhaust -- --nocapture
