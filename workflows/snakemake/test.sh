#!/usr/bin/env bash
# Runs the pipeline and every wrapper's test for real, on testdata: bash workflows/snakemake/test.sh
# Needs snakemake, snakefmt and black (requirements.txt) and the tools on PATH. Leaves nothing behind.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0

pass() { printf 'ok: %s\n' "$1"; passed=$((passed + 1)); }
fail() { printf 'not ok: %s\n' "$1" >&2; exit 1; }
for tool in snakemake snakefmt black rna-kmerize rna-mask rnaret-embed rnaret-fold rnaret-coding rnaret-mirtarget rnaret-predict rnaret-report rnaret-train; do
    command -v "$tool" >/dev/null || fail "$tool is not on PATH"
done

# From its own folder: given a path, snakefmt matches all of it with .gitignore, so that a clone in a folder called work
# would pass because no file is looked at.
(cd "$here" && snakefmt --check .) 2>"$scratch/format" || { cat "$scratch/format"; fail "snakefmt --check"; }
grep -q "All [1-9][0-9]* file" "$scratch/format" || { cat "$scratch/format"; fail "snakefmt --check found no file"; }
pass "snakefmt --check"
black --quiet --check "$here" || fail "black --check"
pass "black --check"

pipeline() { # ARGUMENTS...
    snakemake -s "$here/Snakefile" --directory "$scratch/run" --cores 2 --nocolor \
        --config "samples={'rnas': '$root/testdata/rnas.fa.gz'}" "mirnas=$root/testdata/mirnas.fa" "$@"
}
# The number of jobs of a rule in the table that Snakemake prints before it starts.
planned() { # LOG RULE
    awk -v rule="$2" '$1 == "job" && $2 == "count" { on = 1 } on && $1 == rule { print $2; exit } on && NF == 0 { exit }' "$1"
}

pipeline --lint >"$scratch/lint" 2>&1 || { cat "$scratch/lint"; fail "snakemake --lint"; }
pass "snakemake --lint"

pipeline --config shards=0 --dry-run >"$scratch/schema" 2>&1 && fail "the schema lets shards=0 through"
grep -q "less than the minimum" "$scratch/schema" || { cat "$scratch/schema"; fail "the schema names what is wrong"; }
pass "a configuration that the schema refuses"

# A tool that dies in the middle of its output: the second of three shards of rnaret-fold.
real=$(command -v rnaret-fold)
mkdir "$scratch/failing"
cat >"$scratch/failing/rnaret-fold" <<SHIM
#!/usr/bin/env bash
case " \$* " in *" --shard 2/3 "*) kill -9 \$\$ ;; esac
exec "$real" "\$@"
SHIM
chmod +x "$scratch/failing/rnaret-fold"
PATH="$scratch/failing:$PATH" pipeline --keep-going >"$scratch/first" 2>&1 && fail "a failing shard does not fail the run"
[ ! -e "$scratch/run/results/rnas.summary.tsv" ] || fail "a failed run wrote a summary"
[ ! -e "$scratch/run/results/parts/rnas.2of3.structures.tsv.gz" ] || fail "a failed job left its output"
[ -e "$scratch/run/results/rnas.embeddings.tsv.gz" ] || { cat "$scratch/first"; fail "what does not depend on the failed job is done"; }
pass "a shard that is killed fails the run, and the rest is done"

before=$(stat -c %Y.%i "$scratch/run/results/rnas.embeddings.tsv.gz")
pipeline >"$scratch/second" 2>&1 || { cat "$scratch/second"; fail "the second run"; }
[ "$(planned "$scratch/second" fold)" = 1 ] && [ "$(planned "$scratch/second" join)" = 1 ] && [ "$(planned "$scratch/second" total)" = 6 ] ||
    { cat "$scratch/second"; fail "the second run does more than what was missing: one shard, its join, the summary, the table of runs, the report"; }
[ "$before" = "$(stat -c %Y.%i "$scratch/run/results/rnas.embeddings.tsv.gz")" ] || fail "the second run wrote again what was there"
pass "the second run does what was missing, and no more"

pipeline >"$scratch/third" 2>&1
grep -q "Nothing to be done" "$scratch/third" || { cat "$scratch/third"; fail "the third run finds nothing to do"; }
pass "the third run finds nothing to do"

# The joined parts against one run of each tool.
cd "$scratch/run/results"
rnas=$root/testdata/rnas.fa.gz
cmp <(gzip -dc rnas.structures.tsv.gz) <(rnaret-fold -q --device cpu --format tsv "$rnas") || fail "structures"
cmp <(gzip -dc rnas.cds.bed.gz) <(rnaret-coding -q --device cpu --summary "$scratch/potential.tsv" "$rnas") || fail "coding windows"
cmp <(gzip -dc rnas.potential.tsv.gz) "$scratch/potential.tsv" || fail "coding potential"
cmp <(gzip -dc rnas.sites.tsv.gz) <(rnaret-mirtarget -q --device cpu --mirna "$root/testdata/mirnas.fa" "$rnas") || fail "target sites"
cmp <(gzip -dc rnas.embeddings.tsv.gz) <(rnaret-embed -q --device cpu "$rnas") || fail "embeddings"
pass "three shards, joined, are byte for byte what one run writes"
awk -F '\t' 'NF != 11 { exit 1 } END { exit NR != 7 }' rnas.summary.tsv || fail "the summary has 7 rows of 11 columns"
awk -F '\t' '$1 == "HBE1" && $5 == "mRNA" && $6 > 0 { found = 1 } END { exit !found }' rnas.summary.tsv || fail "HBE1 codes"
pass "the summary"

# A header, and a row for each of three shards of four tools.
awk -F '\t' 'NR > 1 { rows[$2]++; records[$2] += $6; names[$1] } NF != 16 || (NR > 1 && $15 != 0) { bad = 1 }
    END { for (tool in rows) tools += rows[tool] == 3 && records[tool] == 6; for (name in names) different++
        exit bad || NR != 13 || tools != 4 || different != 12 }' rnaret.stats.tsv || { cat rnaret.stats.tsv; fail "the table of runs"; }
pass "the table of runs has a row for each job"

grep -q '<title>RNA report</title>' report.html || fail "the report"
pass "the report"

# A name that a shell would read as commands, and a sample with a dot in its name; the example's sample is not added.
odd="$scratch/it's [1] & co"
mkdir "$odd"
# shellcheck disable=SC2016 # the point is that nothing expands it
odd+='/z$(touch pwned)z.fa.gz'
cp "$root/testdata/rnas.fa.gz" "$odd"
printf "samples:\n  liver.v1: \"%s\"\nmirnas: '%s'\n" "$odd" "$root/testdata/mirnas.fa" >"$scratch/odd.yaml"
snakemake -s "$here/Snakefile" --directory "$scratch/odd" --cores 2 --nocolor --configfile "$scratch/odd.yaml" \
    --config shards=1 >"$scratch/log" 2>&1 || { cat "$scratch/log" "$scratch"/odd/results/logs/*; fail "a file with an odd name"; }
cmp "$scratch/odd/results/liver.v1.summary.tsv" rnas.summary.tsv || fail "a file with an odd name gives the same table"
[ ! -e "$scratch/odd/results/rnas.summary.tsv" ] || fail "the user's samples replace the example"
[ -z "$(find "$scratch" -name pwned)" ] || fail "the name of a file was run as a command"
pass "odd names, and samples that replace the example"

# What must not be joined: the embeddings lack a record.
gzip -dc rnas.embeddings.tsv.gz | sed 3d >"$scratch/embeddings.tsv"
bash "$root/workflows/bin/summarize-rnas.sh" rnas.structures.tsv.gz rnas.potential.tsv.gz rnas.cds.bed.gz rnas.sites.tsv.gz \
    "$scratch/embeddings.tsv" >/dev/null 2>"$scratch/mismatch" && fail "a missing record goes unnoticed"
grep -q 'line 3: not the same record: "5S_rRNA", "5S_rRNA", "hammerhead"' "$scratch/mismatch" || fail "the missing record is named"
pass "a table of other records is refused by name"

# Each wrapper's own test, as the wrappers' repository runs it.
mkdir -p "$scratch/prefix/master/bio/rnaret"
cp -r "$here"/wrappers/* "$scratch/prefix/master/bio/rnaret/"
for wrapper in "$here"/wrappers/*/; do
    name=$(basename "$wrapper")
    mkdir -p "$scratch/test/$name/data"
    cp "$root"/testdata/{rnas.fa.gz,mirnas.fa,mirna_pairs.tsv} "$scratch/test/$name/data/"
    cp "$root"/testdata/structures/known.dbn "$scratch/test/$name/data/known.dbn"
    targets=$(awk '/^rule /{ sub(":", "", $2); printf "%s ", $2 }' "$wrapper/test/Snakefile")
    # shellcheck disable=SC2086 # the names of rules are words
    snakemake -s "$wrapper/test/Snakefile" --directory "$scratch/test/$name" --cores 2 --nocolor \
        --wrapper-prefix "file://$scratch/prefix/" $targets >"$scratch/log" 2>&1 || { cat "$scratch/log" "$scratch/test/$name"/logs/*; fail "wrapper $name"; }
    # The lock of a run folder is empty.
    [ -z "$(find "$scratch/test/$name/out" -empty ! -name lock)" ] || fail "wrapper $name writes an empty file"
    pass "wrapper $name: $targets"
done

printf '%d passed, 0 failed\n' "$passed"
