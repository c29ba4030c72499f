#!/usr/bin/env bash
# Trains the small models of this folder, on which the tests of rnaret-predict run. They are for formats, not for biology.
# Needs rnaret-train on the PATH; run in the root of the repository.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The class is the second word of a header; the values are the share of G and C, and the length.
gzip -dc testdata/rna_classes.fa.gz | awk -v folder="$folder" '
    BEGIN { print "id\tseq\tlabel" > (folder "/classes.tsv"); print "id\tseq\tGC\tlength" > (folder "/values.tsv") }
    /^>/ { id = substr($1, 2); class = $2; next }
    { gc = gsub(/[GC]/, "&"); print id "\t" $0 "\t" class > (folder "/classes.tsv"); print id "\t" $0 "\t" gc / length($0) "\t" length($0) > (folder "/values.tsv") }'
# Brackets, without those of pseudoknots.
awk -v OFS='\t' 'BEGIN { print "id", "seq", "labels" }
    /^>/ { id = substr($1, 2); getline sequence; getline structure; gsub(/[][{}<>]/, ".", structure); print id, sequence, structure }' \
    testdata/structures/known.dbn > "$folder/labels.tsv"
size=(--layers 1 --embed-dim 16 --value-dim 16 --ffn-dim 16 --heads 2 --head-blocks 1 --head-width 8 --validation-fraction 0)
rnaret-train classify "$folder/classes.tsv" --run "$folder/classes" "${size[@]}" --steps 300 -q
rnaret-train regress "$folder/values.tsv" --run "$folder/values" --columns GC,length "${size[@]}" --steps 300 -q
rnaret-train label "$folder/labels.tsv" --run "$folder/labels" "${size[@]}" --epochs 0 --steps 100 -q
for name in classes values labels; do
    rnaret-train import -q "$folder/$name/model.safetensors" -o "testdata/models/$name.safetensors"
done
