#!/usr/bin/env bash
# Advisories need a database from outside, so they are not part of the gate: `cargo deny check`
# on a connected machine covers them too.
set -euo pipefail
cargo deny --locked check licenses bans sources
