#!/usr/bin/env bash
#SBATCH --job-name=rnaret
#SBATCH --cpus-per-task=4 --mem=8G --time=04:00:00
#SBATCH --requeue --open-mode=append --output=rnaret.%A_%a.log
#$ -N rnaret -cwd -V -j y
#
# (What PBS and LSF are to be told goes on the command line: sbatch reads #PBS and #BSUB lines too.)
#
# One task of a job array, on SLURM, SGE, PBS or LSF: runs a tool on its shard of the input.
#
#   sbatch --array=1-100 array-task.sh OUTPUT EXTENSION TOOL [ARGUMENT]...
#
# writes OUTPUT.001of100.EXTENSION to OUTPUT.100of100.EXTENSION. In an argument, {part} stands for 001of100 and so on, for a
# tool's second output: --summary potential.{part}.tsv. A part that is there is complete and is left alone, so after failures
# the same command does what is missing. Number the tasks from 1; to submit single tasks again (--array=3,17), set SHARDS to
# what the whole array had (SHARDS=100), for `--shard auto` takes the tasks of this submission for all there are.
# Join the parts with cat: their names sort in order.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: array-task.sh OUTPUT EXTENSION TOOL [ARGUMENT]..." >&2
    exit 2
fi
output=$1 extension=$2 tool=$3
shift 3

number() { [[ ${1:-} =~ ^[1-9][0-9]*$ ]]; }
if number "${SLURM_ARRAY_TASK_ID:-}"; then
    task=$SLURM_ARRAY_TASK_ID first=$SLURM_ARRAY_TASK_MIN last=$SLURM_ARRAY_TASK_MAX count=$SLURM_ARRAY_TASK_COUNT
elif number "${SGE_TASK_ID:-}"; then
    task=$SGE_TASK_ID first=$SGE_TASK_FIRST last=$SGE_TASK_LAST count=$SGE_TASK_LAST
    [ "${SGE_TASK_STEPSIZE:-1}" = 1 ] || first=0
    # SGE starts a login shell, whose profile may set PATH anew; what was on it at the submission is to be found all the same.
    PATH=$PATH${SGE_O_PATH:+:$SGE_O_PATH}
elif number "${PBS_ARRAY_INDEX:-${PBS_ARRAYID:-}}"; then
    task=${PBS_ARRAY_INDEX:-$PBS_ARRAYID} first=1 last=${PBS_ARRAY_COUNT:-0} count=${PBS_ARRAY_COUNT:-0}
elif number "${LSB_JOBINDEX:-}"; then
    task=$LSB_JOBINDEX first=1 last=$LSB_JOBINDEX_END count=$LSB_JOBINDEX_END
else
    echo "array-task.sh: this is no task, numbered from 1, of an array job of SLURM, SGE, PBS or LSF" >&2
    exit 2
fi
if [ -n "${SHARDS:-}" ]; then
    count=$SHARDS shard=$task/$SHARDS
elif [ "$first" = 1 ] && [ "$last" = "$count" ] && [ "$count" -gt 0 ]; then
    shard=auto
else
    echo "array-task.sh: the tasks are not 1, 2, 3 up to their number: set SHARDS to the number of parts (on PBS always)" >&2
    exit 2
fi

width=${#count}
[ "$width" -ge 3 ] || width=3
part=$(printf '%0*dof%s' "$width" "$task" "$count")
written=$output.$part.$extension
complete=yes
[ -e "$written" ] || complete=no
arguments=()
for argument in "$@"; do
    arguments+=("${argument//\{part\}/$part}")
    if [[ $argument == *"{part}"* ]] && [ ! -e "${arguments[-1]}" ]; then
        complete=no
    fi
done
if [ "$complete" = yes ]; then
    echo "array-task.sh: $written is complete"
    exit 0
fi
mkdir -p "$(dirname "$written")"
# exec: a signal of the batch system reaches the tool, and its exit status is the task's.
exec "$tool" --shard "$shard" --output "$written" "${arguments[@]}"
