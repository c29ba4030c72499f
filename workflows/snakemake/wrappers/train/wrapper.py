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

validation = snakemake.input.get("validation", "")
if validation:
    validation = "--validation " + quoted(validation)

model = snakemake.input.get("model", "")
if model:
    model = "--model " + quoted(model)

# Snakemake removes the outputs of a job that failed, so the run lives beside them: the next attempt goes on from its last
# checkpoint, and the result is copied out when it is complete.
run = snakemake.params.get("run", str(snakemake.output.model) + ".run")

stats = snakemake.output.get("stats", "")
if stats:
    stats = "--stats " + quoted(stats)

data = quoted(snakemake.input.data)

shell(
    "(rnaret-train {snakemake.params.objective} --run {run:q}"
    " --threads {snakemake.threads}"
    " {stats}"
    " {validation}"
    " {model}"
    " {extra}"
    " -- {data} &&"
    " cp {run:q}/model.safetensors {snakemake.output.model:q}"
    + (
        ""
        if not snakemake.output.get("metrics")
        else " && cp {run:q}/metrics.tsv {snakemake.output.metrics:q}"
    )
    + ") {log}"
)
