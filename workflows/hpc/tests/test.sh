#!/usr/bin/env bash
# The scripts of this folder on a real SLURM of one node: bash workflows/hpc/tests/test.sh
# Arrays, joining, a rerun of what is missing, and a training run that is preempted and goes on. SGE, PBS and LSF are not run:
# only their variables are set. Needs root, the Debian packages slurm-wlm and munge, and the tools on PATH.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
testdata=$(cd "$here/../../testdata" && pwd)

if [ "${1:-}" != inside ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    cd "$scratch"
    bash "$here/tests/one-node-slurm.sh" bash "$here/tests/test.sh" inside
    exit
fi

passed=0
pass() { printf 'ok: %s\n' "$1"; passed=$((passed + 1)); }
fail() { printf 'not ok: %s\n' "$1" >&2; exit 1; }
finished() { # JOB SECONDS
    for _ in $(seq "$2"); do
        [ -n "$(squeue -h -j "$1" 2>/dev/null)" ] || return 0
        sleep 1
    done
    squeue
    fail "job $1 has not ended after $2 s"
}
state() { scontrol show job "$1" | grep -o "$2=[^ ]*" | head -n 1 | cut -d = -f 2; }

small=(--cpus-per-task=1 --mem=300 --time=5)
job=$(bash "$here/submit-slurm.sh" "$testdata/rnas.fa.gz" "$testdata/mirnas.fa" results 3 "${small[@]}")
finished "$job" 120
[ -e results/summary.tsv ] || { cat results/logs/*; fail "the arrays end with a summary"; }
cmp <(gzip -dc results/structures.tsv.gz) <(rnaret-fold -q --format tsv "$testdata/rnas.fa.gz") || fail "structures"
cmp <(gzip -dc results/embeddings.tsv.gz) <(rnaret-embed -q "$testdata/rnas.fa.gz") || fail "embeddings"
cmp <(gzip -dc results/sites.tsv.gz) <(rnaret-mirtarget -q --mirna "$testdata/mirnas.fa" "$testdata/rnas.fa.gz") || fail "sites"
cmp <(gzip -dc results/cds.bed.gz) <(rnaret-coding -q --summary potential.tsv "$testdata/rnas.fa.gz") || fail "coding windows"
cmp <(gzip -dc results/potential.tsv.gz) potential.tsv || fail "coding potential"
pass "four arrays of three tasks, joined with cat, are byte for byte what one run writes"

[ "$(wc -l < results/rnaret.stats.tsv)" = 13 ] && [ "$(cut -f 1 results/rnaret.stats.tsv | sort -u | wc -l)" = 13 ] ||
    { cat results/rnaret.stats.tsv; fail "a row for each of twelve tasks under one header"; }
pass "the tasks share one table of runs"

cp results/summary.tsv first.tsv
rm results/parts/structures.002of3.tsv.gz results/parts/potential.003of3.tsv.gz
kept=$(stat -c %i results/parts/structures.001of3.tsv.gz)
if bash "$here/join.sh" results 3 2>message; then fail "join.sh joins although a part is missing"; fi
grep -q 'structures.tsv.gz: not all of the 3 parts' message || fail "join.sh says which part is missing"
job=$(bash "$here/submit-slurm.sh" "$testdata/rnas.fa.gz" "$testdata/mirnas.fa" results 3 "${small[@]}")
finished "$job" 120
cmp results/summary.tsv first.tsv || fail "the summary after a rerun"
[ "$(wc -l < results/rnaret.stats.tsv)" = 15 ] || { cat results/rnaret.stats.tsv; fail "two tasks more have their rows"; }
[ "$kept" = "$(stat -c %i results/parts/structures.001of3.tsv.gz)" ] || fail "a part that was there was written again"
grep -q complete results/logs/structures.1.log || fail "a task whose part is there says so"
pass "the same command again does only what is missing"

# Single tasks again: --shard auto would take two tasks for all there are.
if sbatch --wait --array=2 "${small[@]}" --output=single.log "$here/array-task.sh" again tsv rnaret-fold --format tsv "$testdata/rnas.fa.gz" \
    >/dev/null; then fail "task 2 alone runs without SHARDS"; fi
grep -q 'set SHARDS' single.log || fail "task 2 alone is told to set SHARDS"
SHARDS=3 sbatch --wait --array=2 "${small[@]}" "$here/array-task.sh" again tsv rnaret-fold --format tsv "$testdata/rnas.fa.gz" >/dev/null
cmp again.002of3.tsv <(rnaret-fold -q --format tsv --shard 2/3 "$testdata/rnas.fa.gz") || fail "task 2 of 3 alone"
pass "a single task again, with SHARDS"

# A training run that a job of a higher partition preempts.
train=(mirtarget --layers 2 --embed-dim 32 --value-dim 32 --ffn-dim 32 --steps 4000 --epochs 0 --validation-fraction 0 --log-every 50
    --threads 1 "$testdata/mirna_pairs.tsv")
all=(--cpus-per-task="$(nproc)" --mem=600 --time=5)
job=$(sbatch --parsable --partition=low "${all[@]}" --output=train.log "$here/train.sh" "${train[@]}" --run preempted)
for _ in $(seq 60); do grep -q '^[1-9]' preempted/metrics.tsv 2>/dev/null && break; sleep 0.5; done
[ "$(state "$job" JobState)" = RUNNING ] || { cat train.log; fail "the training run is under way"; }
sbatch --wait --partition=high "${all[@]}" --output=high.log --wrap 'echo through' >/dev/null
grep -q through high.log || fail "the job of the higher partition runs"
grep -q 'back into the queue' train.log || { cat train.log; fail "the preempted run leaves with a checkpoint and is requeued"; }
[ ! -e preempted/model.safetensors ] || fail "the run was complete before it was preempted"
finished "$job" 180
[ "$(state "$job" Restarts)" -ge 1 ] && [ "$(state "$job" JobState)" = COMPLETED ] || { scontrol show job "$job"; cat train.log; fail "the run goes on and is completed"; }
rnaret-train -q "${train[@]}" --run whole
cmp preempted/model.safetensors whole/model.safetensors || fail "the weights are those of a run that was never stopped"
pass "a training run, preempted and requeued ($(state "$job" Restarts) restart), ends with the same weights"

# SGE, PBS, LSF: their variables, without the batch systems.
for task in 1 2 3; do
    env SGE_TASK_ID=$task SGE_TASK_FIRST=1 SGE_TASK_LAST=3 SGE_TASK_STEPSIZE=1 "$here/array-task.sh" sge tsv rnaret-fold -q --format tsv "$testdata/rnas.fa.gz"
    env PBS_ARRAY_INDEX=$task PBS_ARRAY_COUNT=3 "$here/array-task.sh" pbs tsv rnaret-fold -q --format tsv "$testdata/rnas.fa.gz"
    env LSB_JOBINDEX=$task LSB_JOBINDEX_END=3 "$here/array-task.sh" lsf tsv rnaret-fold -q --format tsv "$testdata/rnas.fa.gz"
done
for system in sge pbs lsf; do
    cmp <(cat $system.*of3.tsv) <(rnaret-fold -q --format tsv "$testdata/rnas.fa.gz") || fail "$system"
done
pass "the variables of SGE, PBS and LSF (the batch systems themselves are not run)"

printf '%d passed, 0 failed\n' "$passed"
