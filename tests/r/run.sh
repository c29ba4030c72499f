#!/usr/bin/env bash
# Types docs/r.md into R, block after block: bash tests/r/run.sh
# Needs Rscript with Biostrings and rtracklayer (Debian: r-base-core r-bioc-biostrings r-bioc-rtracklayer) and the tools on PATH.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
ln -s "$root/testdata" "$scratch/testdata"
awk '/^```r$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$root/docs/r.md" >"$scratch/page.R"
[ -s "$scratch/page.R" ] || { echo "docs/r.md holds no R" >&2; exit 1; }
cat >>"$scratch/page.R" <<'R'

# What a tool says when it fails is the error in R.
writeLines(c(">a", "AC*GU"), "bad file.fa")
message <- tryCatch({ rnaret("rnaret-fold", "bad file.fa"); "no error" }, error = conditionMessage)
stopifnot(grepl("record 1 (a)", message, fixed = TRUE), nrow(vectors) == length(rnas), nrow(best) > 0)
cat("docs/r.md: well\n")
R
cd "$scratch"
Rscript --vanilla page.R
