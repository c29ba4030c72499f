__author__ = "The rnaret developers"
__copyright__ = "Copyright 2026, The rnaret developers"
__license__ = "MIT OR Apache-2.0"

import shlex

from snakemake.shell import shell


def quoted(paths):
    """Paths as words of a shell command."""
    return " ".join(
        shlex.quote(str(path))
        for path in ([paths] if isinstance(paths, str) else paths)
    )


extra = snakemake.params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=False, stderr=True)

# The format follows the name of the output, unless params.format says otherwise.
name = str(snakemake.output.sites)
name = name.removesuffix(".gz")
form = snakemake.params.get("format", name.rsplit(".", 1)[-1])

pairs = snakemake.input.get("pairs", "")
if pairs:
    query = "--pairs " + quoted(pairs)
else:
    query = (
        "--mirna "
        + quoted(snakemake.input.mirnas)
        + " -- "
        + quoted(snakemake.input.targets)
    )

stats = snakemake.output.get("stats", "")
if stats:
    stats = "--stats " + quoted(stats)

shell(
    "rnaret-mirtarget --format {form}"
    " --threads {snakemake.threads}"
    " {stats}"
    " {extra}"
    " --output {snakemake.output.sites:q}"
    " {query} {log}"
)
