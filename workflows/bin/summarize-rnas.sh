#!/usr/bin/env bash
# One row for each RNA, from the outputs of four tools on the same records in the same order:
#
#   summarize-rnas.sh STRUCTURES CODING CDS SITES EMBEDDINGS > summary.tsv
#
#   STRUCTURES   rnaret-fold --format tsv
#   CODING       rnaret-coding --summary
#   CDS          rnaret-coding (BED6)
#   SITES        rnaret-mirtarget (TSV)
#   EMBEDDINGS   rnaret-embed (TSV)
#
# Each may be compressed with gzip or bgzip. Ends with status 1 where the files are not of the same records.
# Needs bash, gzip and any awk. The ids and the counts of CDS and SITES are held in memory; the rest streams.
set -euo pipefail

if [ $# -ne 5 ]; then
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2
    exit 2
fi
for file in "$@"; do
    # What fails inside <( ) below goes unnoticed, so a damaged file has to fail here.
    gzip -cdf -- "$file" > /dev/null || { echo "summarize-rnas.sh: cannot read $file" >&2; exit 1; }
done

# The columns of a table by name, in the order asked for. -f passes plain text through.
columns() { # FILE NAME...
    gzip -cdf -- "$1" | awk -v names="${*:2}" '
        BEGIN { FS = OFS = "\t"; count = split(names, wanted, " ") }
        NR == 1 { for (i = 1; i <= NF; i++) place[$i] = i }
        { for (i = 1; i <= count; i++) printf "%s%s", (wanted[i] in place ? $place[wanted[i]] : ""), (i < count ? OFS : ORS) }'
}

# The ids stand in front of what is pasted beside them, so that a record out of step shows.
paste \
    <(columns "$1" id length structure pairs) \
    <(columns "$2" id coding_potential label) \
    <(gzip -cdf -- "$5" | awk 'BEGIN { FS = OFS = "\t" }
        NR == 1 { print $1, "embedding_norm"; next }
        { sum = 0; for (i = 3; i <= NF; i++) sum += $i * $i; print $1, sprintf("%.6g", sqrt(sum)) }') |
    awk -v cds=<(gzip -cdf -- "$3" | cut -f 1) -v sites=<(columns "$4" mirna target probability) '
        function fail(message) { print "summarize-rnas.sh: " message > "/dev/stderr"; failed = 1; exit 1 }
        BEGIN {
            FS = OFS = "\t"
            while ((getline line < cds) > 0) windows[line]++
            while ((getline line < sites) > 0) {
                split(line, site, FS)
                if (site[1] == "mirna" && site[2] == "target") continue
                number[site[2]]++
                if (!(site[2] in best) || site[3] + 0 > probability[site[2]] + 0) {
                    best[site[2]] = site[1]
                    probability[site[2]] = site[3]
                }
            }
        }
        # 1 id, 2 length, 3 structure, 4 pairs, 5 id, 6 potential, 7 label, 8 id, 9 norm
        $1 != $5 || $1 != $8 { fail("line " NR ": not the same record: \"" $1 "\", \"" $5 "\", \"" $8 "\"") }
        NR == 1 {
            if ($1 != "id" || $4 != "pairs" || $6 != "coding_potential") fail("the headers are not those of the tools")
            print "id", "length", "pairs", "coding_potential", "coding_label", "coding_windows", "mirna_sites", "best_mirna",
                "best_site_probability", "embedding_norm", "structure"
            next
        }
        $1 in seen { fail("two records are called " $1) }
        {
            seen[$1]
            print $1, $2, $4, $6, $7, windows[$1] + 0, number[$1] + 0, ($1 in best) ? best[$1] : ".",
                ($1 in best) ? probability[$1] : ".", $9, $3
        }
        END { if (failed) exit 1; if (NR == 0) { print "summarize-rnas.sh: no header" > "/dev/stderr"; exit 1 } }'
