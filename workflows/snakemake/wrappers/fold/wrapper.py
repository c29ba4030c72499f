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
name = str(snakemake.output.structures)
name = name.removesuffix(".gz")
form = snakemake.params.get("format", name.rsplit(".", 1)[-1])

# What a rule asks for besides the structures, or gives besides the RNAs.
others = {name: snakemake.output.get(name) for name in ("pairs", "homologs", "stats")}
others = " ".join(f"--{name} {quoted(path)}" for name, path in others.items() if path)
known = snakemake.input.get("known_structures", [])
others += "".join(
    f" --known-structures {quoted(path)}"
    for path in ([known] if isinstance(known, str) else known)
)

# By name, for what stands in the text of the command itself is formatted once more, braces and all.
inputs = quoted(snakemake.input.rnas)

shell(
    "rnaret-fold --format {form}"
    " --threads {snakemake.threads}"
    " {others}"
    " {extra}"
    " --output {snakemake.output.structures:q}"
    " -- {inputs} {log}"
)
