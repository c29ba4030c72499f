#!/usr/bin/env bash
# Builds the wheel, and tries it in environments that have nothing else: bash tests/wheel/run.sh [WHEEL]
# Needs python3 with venv and pip; without WHEEL also maturin's build requirements and Rust. On a machine with `auditwheel`
# (it is installed into the environment) it also says which Linux the wheel runs on.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

environment() { # NAME PACKAGE...
    python3 -m venv "$scratch/$1"
    "$scratch/$1/bin/python" -m pip install --quiet --disable-pip-version-check "${@:2}"
}

wheel=${1:-}
if [ -z "$wheel" ]; then
    environment build maturin==1.16.0
    "$scratch/build/bin/maturin" build --release --manifest-path "$root/Cargo.toml" --out "$root/target/wheels" \
        --compatibility linux
    wheel=$(find "$root/target/wheels" -name 'rnaret-*.whl' -newer "$scratch/build" | head -n 1)
fi
echo "$(basename "$wheel"): $(stat -c %s "$wheel") bytes"

# Every tool, the module, its types and the licences are in it.
python3 - "$wheel" <<'PYTHON'
import sys
import zipfile

names = zipfile.ZipFile(sys.argv[1]).namelist()
tools = {name.rsplit("/", 1)[1] for name in names if ".data/scripts/" in name}
wanted = {"rna-kmerize", "rna-mask"} | {f"rnaret-{tool}" for tool in "coding embed fold mirtarget predict report train".split()}
assert tools == wanted, tools ^ wanted
for name in ["rnaret/__init__.py", "rnaret/py.typed"]:
    assert name in names, name
assert any(name.endswith("LICENSE-MIT") for name in names), "no licence"
PYTHON

# Alone; with numpy; with pandas. Nothing but the environment is on PATH.
for packages in "" numpy "numpy pandas"; do
    name=with${packages// /-}
    # shellcheck disable=SC2086 # names of packages are words
    environment "$name" "$wheel" $packages
    (cd "$scratch" && PATH="$scratch/$name/bin:/usr/bin:/bin" "$scratch/$name/bin/python" -m unittest discover -s "$root/python/tests")
    echo "ok: the module${packages:+ with $packages}"
done
"$scratch/with/bin/rnaret-fold" "$root/testdata/rnas.fa.gz" | head -n 3

environment check mypy pandas-stubs auditwheel numpy "$wheel"
(cd "$root" && "$scratch/check/bin/mypy" --config-file pyproject.toml python/rnaret)
"$scratch/check/bin/auditwheel" show "$wheel" || true
