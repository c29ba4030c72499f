#!/usr/bin/env bash
# Builds the tools and runs each of them on the six RNAs in testdata/: structures, coding windows, miRNA target sites,
# embeddings. Needs a Rust toolchain and a C compiler; writes nothing outside target/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
command -v cc >/dev/null || { echo "a C compiler is missing: sudo apt-get install build-essential" >&2; exit 1; }

cargo build --release --locked
PATH="${CARGO_TARGET_DIR:-$PWD/target}/release:$PATH"
mkdir -p target

show() { # TITLE COMMAND
    printf '\n== %s\n$ %s\n' "$1" "$2"
    bash -c "set -euo pipefail; $2"
}

show "Tokens: overlapping 3-mers" \
    "rna-kmerize -k 3 testdata/rnas.fa.gz | cut -c 1-100"
show "Training pairs: spans of tokens masked" \
    "rna-kmerize -k 3 testdata/rnas.fa.gz | rna-mask --seed 1 | cut -c 1-100"
show "Secondary structures, dot-bracket" \
    "rnaret-fold testdata/rnas.fa.gz"
show "Coding windows, BED6 on transcript coordinates" \
    "rnaret-coding testdata/rnas.fa.gz --summary target/demo_coding.tsv"
show "Coding potential of each transcript" \
    "cat target/demo_coding.tsv"
show "miRNA target sites" \
    "rnaret-mirtarget --mirna testdata/mirnas.fa testdata/rnas.fa.gz"
show "Known miRNA-target pairs, scored as they stand" \
    "rnaret-mirtarget --pairs testdata/mirna_pairs.tsv"
show "Embeddings: one vector for each RNA (the first five of its numbers)" \
    "rnaret-embed testdata/rnas.fa.gz | cut -f 1-6"
