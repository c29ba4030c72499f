#!/usr/bin/env bash
# Makes the plots of this folder from the tools' output: bash docs/plots/make.sh [FOLDER]
# Without FOLDER, the pictures here are replaced. Needs the tools and a python with requirements.txt on PATH.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
testdata=$(cd "$here/../../testdata" && pwd)
pictures=$(realpath "${1:-$here}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
export MPLBACKEND=Agg MPLCONFIGDIR=$scratch/matplotlib

rnaret-embed --format npy -o embeddings.npy "$testdata/rna_classes.fa.gz"
gzip -dc "$testdata/rna_classes.fa.gz" | awk '/^>/ { print $2 }' >classes.txt
gzip -dc "$testdata/rna_classes.fa.gz" | awk '!/^>/' >sequences.txt
python "$here/classes.py"

rnaret-mirtarget --pairs "$testdata/mirna_pairs.tsv" >pairs.tsv
rnaret-mirtarget --mirna "$testdata/mirnas.fa" "$testdata/rnas.fa.gz" >sites.tsv
cut -f 5 "$testdata/mirna_pairs.tsv" >labels.tsv
python "$here/targets.py"

gzip -dc "$testdata/rnas.fa.gz" | awk '/^>/ { n++ } n == 1' >tRNA-Phe.fa
rnaret-fold --format bpseq --pairs pairs.tsv tRNA-Phe.fa >predicted.bpseq
python "$here/structure.py" "$testdata/structures/tRNA-Phe.bpseq"

rnaret-coding --summary potential.tsv --track track.bedgraph "$testdata/rnas.fa.gz" >windows.bed
python "$here/coding.py"

rnaret-embed --retention map tRNA-Phe.fa >retention.tsv
python "$here/retention.py"

mkdir -p "$pictures"
cp ./*.png "$pictures/"
