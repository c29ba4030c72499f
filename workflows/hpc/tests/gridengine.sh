#!/usr/bin/env bash
# array-task.sh on a real Grid Engine (SGE) of one node: bash workflows/hpc/tests/gridengine.sh
# Needs root, the Debian packages gridengine-master, gridengine-exec and gridengine-client, and the tools on PATH.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
testdata=$(cd "$here/../../testdata" && pwd)

if [ "${1:-}" != inside ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    cd "$scratch"
    bash "$here/tests/one-node-gridengine.sh" bash "$here/tests/gridengine.sh" inside
    exit
fi

passed=0
pass() { printf 'ok: %s\n' "$1"; passed=$((passed + 1)); }
fail() { printf 'not ok: %s\n' "$1" >&2; exit 1; }
submit() { # TASKS ARGUMENT...: waits, and ends with the status of the worst task
    qsub -sync y -t "$1" -pe smp 2 -l h_vmem=2G "$here/array-task.sh" "${@:2}" >submitted 2>&1
}
fold=(parts/structures tsv.gz rnaret-fold -t 2 --format tsv --stats stats.tsv "$testdata/rnas.fa.gz")

submit 1-3 "${fold[@]}" || { cat submitted rnaret.o*; fail "an array of three tasks"; }
cmp <(cat parts/structures.*of3.tsv.gz | gzip -dc) <(rnaret-fold -q --format tsv "$testdata/rnas.fa.gz") || fail "structures"
[ "$(wc -l <stats.tsv)" = 4 ] || { cat stats.tsv; fail "a row for each task"; }
pass "an array of three tasks, joined with cat, is byte for byte what one run writes"

rm parts/structures.002of3.tsv.gz
kept=$(stat -c %i parts/structures.001of3.tsv.gz)
submit 1-3 "${fold[@]}" || { cat submitted rnaret.o*; fail "the array again"; }
[ "$kept" = "$(stat -c %i parts/structures.001of3.tsv.gz)" ] || fail "a part that was there was written again"
[ "$(wc -l <stats.tsv)" = 5 ] || { cat stats.tsv; fail "one task more has run"; }
pass "the same command again does only what is missing"

rm parts/structures.002of3.tsv.gz
if submit 2 "${fold[@]}"; then fail "task 2 alone runs without SHARDS"; fi
cat rnaret.o* | grep -q 'set SHARDS' || { cat rnaret.o*; fail "task 2 alone is told to set SHARDS"; }
SHARDS=3 submit 2 "${fold[@]}" || { cat submitted rnaret.o*; fail "task 2 of 3 alone"; }
cmp <(gzip -dc parts/structures.002of3.tsv.gz) <(rnaret-fold -q --format tsv --shard 2/3 "$testdata/rnas.fa.gz") || fail "task 2 of 3 alone"
pass "a single task again, with SHARDS"

printf '%d passed, 0 failed\n' "$passed"
