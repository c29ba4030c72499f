#!/usr/bin/env bash
# Damaged files for every reader, each target for two minutes or for as many seconds as are given: bash tests/fuzz.sh [SECONDS]
# `cargo test` runs a short pass of the same. What is found becomes a test beside the reader that it concerns.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

FUZZ_SECONDS=${1:-120} cargo test --release --test fuzz -- --test-threads=1 --nocapture
