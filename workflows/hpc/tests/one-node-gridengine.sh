#!/usr/bin/env bash
# A Grid Engine (SGE) of one node, for tests: starts it on loopback under a temporary folder, runs COMMAND, and ends it.
#   one-node-gridengine.sh COMMAND...
# Needs root and the Debian packages gridengine-master, gridengine-exec and gridengine-client. A grid engine that the machine may
# have is left alone: this one has its own folder and ports.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "one-node-gridengine.sh: needs root" >&2; exit 1; }
folder=$(mktemp -d)
export SGE_ROOT=$folder/root SGE_CELL=default SGE_QMASTER_PORT=26844 SGE_EXECD_PORT=26845 SGE_ND=1
common=$SGE_ROOT/$SGE_CELL/common
mkdir -p "$common" "$folder"/{spool,qmaster,execd}
for part in bin lib util utilbin; do
    ln -s "/var/lib/gridengine/$part" "$SGE_ROOT/$part"
done
daemons=()
stop() {
    kill "${daemons[@]}" 2>/dev/null || true
    wait "${daemons[@]}" 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT

# The name of this machine stands for loopback, whatever it resolves to.
host=$(hostname)
echo "$host localhost" >"$common/host_aliases"
echo "$host" >"$common/act_qmaster"
cat >"$common/bootstrap" <<CONF
admin_user              none
default_domain          none
ignore_fqdn             true
spooling_method         classic
spooling_lib            libspoolc
spooling_params         $common;$folder/spool
binary_path             /usr/lib/gridengine
qmaster_spool_dir       $folder/qmaster
security_mode           none
listener_threads        2
worker_threads          2
scheduler_threads       1
CONF
# Root submits the jobs, and the scheduler runs each second.
sed -e "s|^execd_spool_dir .*|execd_spool_dir $folder/execd|" -e 's/^min_uid .*/min_uid 0/' -e 's/^min_gid .*/min_gid 0/' \
    /usr/share/gridengine/default-configuration >"$folder/configuration"
shared=/usr/share/gridengine/util/resources
{
    /usr/lib/gridengine/spoolinit classic libspoolc "$common;$folder/spool" init
    /usr/lib/gridengine/spooldefaults configuration "$folder/configuration"
    /usr/lib/gridengine/spooldefaults complexes "$shared/centry"
    /usr/lib/gridengine/spooldefaults usersets "$shared/usersets"
    /usr/lib/gridengine/spooldefaults managers root
} >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }

/usr/lib/gridengine/sge_qmaster >"$folder/qmaster.log" 2>&1 &
daemons+=($!)
for _ in $(seq 100); do qconf -sh >/dev/null 2>&1 && break; sleep 0.1; done

# One queue with a slot for each core; the scheduler runs each second.
configure() { # FILE QCONF_FLAG
    qconf "$2" "$1" >>"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
}
qconf -as "$host" >>"$folder/log" 2>&1
printf 'group_name @allhosts\nhostlist %s\n' "$host" >"$folder/group"
configure "$folder/group" -Ahgrp
qconf -ssconf | sed -e 's/^schedule_interval .*/schedule_interval 0:0:1/' -e 's/^flush_\(submit\|finish\)_sec .*/flush_\1_sec 1/' >"$folder/scheduler"
configure "$folder/scheduler" -Msconf
cat >"$folder/environment" <<'CONF'
pe_name            smp
slots              99
user_lists         NONE
xuser_lists        NONE
start_proc_args    NONE
stop_proc_args     NONE
allocation_rule    $pe_slots
control_slaves     FALSE
job_is_first_task  TRUE
urgency_slots      min
accounting_summary FALSE
qsort_args         NONE
CONF
configure "$folder/environment" -Ap

/usr/lib/gridengine/sge_execd >"$folder/execd.log" 2>&1 &
daemons+=($!)
qconf -sq 2>/dev/null | sed -e 's/^qname .*/qname all.q/' -e 's/^hostlist .*/hostlist @allhosts/' -e "s/^slots .*/slots $(nproc)/" \
    -e 's/^pe_list .*/pe_list smp/' -e 's/^load_thresholds .*/load_thresholds NONE/' -e 's/^rerun .*/rerun TRUE/' \
    -e 's|^shell .*|shell /bin/bash|' >"$folder/queue"
configure "$folder/queue" -Aq

"$@"
