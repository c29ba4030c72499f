#!/usr/bin/env bash
# The pipeline as SLURM job arrays: structures, coding windows, miRNA target sites and embeddings, joined, and one summary TSV.
#
#   submit-slurm.sh RNAS.fa MIRNAS.fa RESULTS SHARDS [SBATCH_ARGUMENT]...
#
# Submits, prints the number of the job that ends it all, and returns. Run it again after failures: parts that are there are left
# alone. Every task adds its row to RESULTS/rnaret.stats.tsv. RESULTS has to be on a file system that all nodes share, and the tools
# on PATH.
set -euo pipefail

if [ $# -lt 4 ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
command -v sbatch >/dev/null || {
    echo "submit-slurm.sh: sbatch is not on PATH: this is no machine that submits to SLURM" >&2
    exit 1
}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rnas=$(realpath -- "$1") mirnas=$(realpath -- "$2") shards=$4
mkdir -p -- "$3/logs" "$3/parts"
results=$(realpath -- "$3")
shift 4
options=("$@")

array() { # NAME EXTENSION TOOL ARGUMENT...
    sbatch --parsable --array="1-$shards" --job-name="rnaret-$1" --output="$results/logs/$1.%a.log" "${options[@]}" \
        "$here/array-task.sh" "$results/parts/$1" "${@:2}" --stats "$results/rnaret.stats.tsv"
}
jobs=$(array structures tsv.gz rnaret-fold --format tsv "$rnas")
jobs+=:$(array cds bed.gz rnaret-coding --summary "$results/parts/potential.{part}.tsv.gz" "$rnas")
jobs+=:$(array sites tsv.gz rnaret-mirtarget --mirna "$mirnas" "$rnas")
jobs+=:$(array embeddings tsv.gz rnaret-embed "$rnas")

# --wrap, because SLURM runs a copy of a script, which would not find its neighbours.
sbatch --parsable --dependency="afterok:$jobs" --kill-on-invalid-dep=yes --job-name=rnaret-join --output="$results/logs/join.log" \
    "${options[@]}" --wrap "$(printf 'exec bash %q %q %q' "$here/join.sh" "$results" "$shards")"
