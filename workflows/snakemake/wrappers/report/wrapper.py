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

# By name, for what stands in the text of the command itself is formatted once more, braces and all.
inputs = quoted(snakemake.input.results)

shell("rnaret-report {extra} --output {snakemake.output.page:q} -- {inputs} {log}")
