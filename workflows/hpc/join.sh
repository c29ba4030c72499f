#!/usr/bin/env bash
# Joins the parts that the arrays of submit-slurm.sh wrote, and makes the summary: join.sh RESULTS SHARDS
# Ends with an error where a part is missing. Only the first part has a header, and bgzip files may be joined as they are.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$1"
shards=$2

for kind in structures.tsv.gz potential.tsv.gz cds.bed.gz sites.tsv.gz embeddings.tsv.gz; do
    parts=(parts/"${kind%%.*}".*of"$shards.${kind#*.}")
    if [ ! -e "${parts[0]}" ] || [ ${#parts[@]} != "$shards" ]; then
        echo "join.sh: $kind: not all of the $shards parts are there" >&2
        exit 1
    fi
    cat "${parts[@]}" > "$kind.unfinished"
    mv "$kind.unfinished" "$kind"
done
bash "$here/../bin/summarize-rnas.sh" structures.tsv.gz potential.tsv.gz cds.bed.gz sites.tsv.gz embeddings.tsv.gz > summary.tsv.unfinished
mv summary.tsv.unfinished summary.tsv
reported=(structures.tsv.gz potential.tsv.gz cds.bed.gz sites.tsv.gz embeddings.tsv.gz)
[ ! -e rnaret.stats.tsv ] || reported+=(rnaret.stats.tsv)
rnaret-report --output report.html "${reported[@]}"
