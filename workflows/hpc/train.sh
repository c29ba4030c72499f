#!/usr/bin/env bash
#SBATCH --job-name=rnaret-train
#SBATCH --cpus-per-task=8 --mem=16G --time=04:00:00
#SBATCH --requeue --open-mode=append --output=rnaret-train.%j.log
#SBATCH --signal=B:USR1@120
#
# A training run of any length on SLURM, in slices of --time and through preemption:
#
#   sbatch train.sh fold --run runs/fold DATA...
#
# SLURM sends SIGUSR1 two minutes before the time is up, and when it preempts the job (PreemptParameters=send_user_signal). The
# trainer then writes a checkpoint and ends with exit status 3, and this script puts the job back into the queue. The next slice
# goes on from the checkpoint and ends with the weights of a run that was never stopped. Where SLURM sends SIGTERM instead
# (a preemption without that parameter, scancel), the trainer writes its checkpoint too, and SLURM alone decides what becomes of the job.
set -uo pipefail

if [ $# -lt 3 ]; then
    echo "usage: sbatch train.sh TASK --run FOLDER [ARGUMENT]... DATA..." >&2
    exit 2
fi
again=no
rnaret-train "$@" &
trainer=$!
trap 'again=yes; kill -USR1 "$trainer" 2>/dev/null' USR1
trap 'kill -TERM "$trainer" 2>/dev/null' TERM

# A signal ends `wait` before the trainer ends.
while :; do
    wait "$trainer"
    status=$?
    kill -0 "$trainer" 2>/dev/null || break
done

if [ "$status" = 3 ] && [ "$again" = yes ]; then
    echo "train.sh: stopped with a checkpoint, back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
