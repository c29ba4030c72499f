#!/usr/bin/env bash
# A SLURM of one node, for tests: starts it on loopback under a temporary folder, runs COMMAND, and ends it.
#   one-node-slurm.sh COMMAND...
# Needs root and the Debian packages slurm-wlm and munge. Jobs of the partition `high` preempt those of `low`, which get the signal
# of their --signal first and 30 seconds to end.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "one-node-slurm.sh: needs root" >&2; exit 1; }
folder=$(mktemp -d)
host=$(hostname -s)
cpus=$(nproc)
mkdir -p "$folder"/{state,spool,log,munge}
chmod 755 "$folder"
daemons=()
stop() {
    kill "${daemons[@]}" 2>/dev/null || true
    wait "${daemons[@]}" 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT

# Its own key and socket, so that a munge of the machine is left alone.
dd if=/dev/urandom of="$folder/munge/key" bs=1 count=1024 status=none
chown -R munge:munge "$folder/munge"
chmod 400 "$folder/munge/key"
chmod 711 "$folder/munge"
runuser -u munge -- munged --foreground --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
    --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" --num-threads=1 2>/dev/null &
daemons+=($!)
for _ in $(seq 50); do [ -S "$folder/munge/socket" ] && break; sleep 0.1; done

# cred_expire: SLURM holds a requeued job back for as long as a credential lives, two minutes unless told otherwise.
cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
KillWait=10
OverTimeLimit=0
SlurmctldPort=26817
SlurmdPort=26818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
ReturnToService=2
SwitchType=switch/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=1500 State=UNKNOWN
PartitionName=low Nodes=$host Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=30 State=UP
PartitionName=high Nodes=$host PriorityTier=10 PreemptMode=OFF State=UP
CONF
printf 'CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\nConstrainCores=no\nConstrainRAMSpace=no\n' >"$folder/cgroup.conf"
export SLURM_CONF=$folder/slurm.conf
slurmctld -D -i >/dev/null 2>&1 &
daemons+=($!)
sleep 1
slurmd -D -N "$host" >/dev/null 2>&1 &
daemons+=($!)
for _ in $(seq 60); do timeout 2 sinfo -h -o %t 2>/dev/null | grep -q idle && break; sleep 0.1; done
if ! timeout 2 sinfo -h -o %t | grep -q idle; then
    tail -n 20 "$folder"/log/*.log >&2
    exit 1
fi
"$@"
