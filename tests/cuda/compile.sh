#!/usr/bin/env bash
# Compiles every GPU kernel with nvcc: to PTX as the build does, and to machine code of sm_80 (A100) and sm_90 (H100).
#
#     bash tests/cuda/compile.sh [FOLDER]
#
# Takes the nvcc of CUDA_HOME, or of the PATH; where there is none, installs one from PyPI into FOLDER (target/cuda; 490 MB)
# with python3 -m pip. Needs a C++ compiler that nvcc knows. Fails where a kernel does not compile, uses more shared
# memory than a block may have, or spills registers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=${1:-target/cuda}

if [ -n "${CUDA_HOME:-}" ]; then
    nvcc=$CUDA_HOME/bin/nvcc
elif command -v nvcc >/dev/null; then
    nvcc=nvcc
else
    nvcc=$folder/nvidia/cu13/bin/nvcc
    if [ ! -x "$nvcc" ]; then
        echo "installing nvcc into $folder"
        python3 -m pip install --quiet --disable-pip-version-check --target "$folder" --only-binary=:all: \
            'cuda-toolkit[nvcc,cudart,cccl,crt,nvvm]==13.0.2'
    fi
fi
"$nvcc" --version | tail -n 2

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for source in src/lib/model/kernels/*.cu; do
    name=$(basename "$source" .cu)
    "$nvcc" -ptx -O3 -std=c++17 -arch=compute_80 "$source" -o "$scratch/$name.ptx"
    for architecture in sm_80 sm_90; do
        "$nvcc" -cubin -O3 -std=c++17 -arch=$architecture -Xptxas -v "$source" -o "$scratch/$name.cubin" 2>"$scratch/log" ||
            { cat "$scratch/log" >&2; exit 1; }
        if grep -E '[1-9][0-9]* bytes spill' "$scratch/log"; then
            echo "$source spills registers on $architecture" >&2
            exit 1
        fi
        kernels=$(grep -c 'Compiling entry' "$scratch/log")
        registers=$(grep -oE 'Used [0-9]+ registers' "$scratch/log" | grep -oE '[0-9]+' | sort -n | tail -n 1)
        shared=$(grep -oE '[0-9]+ bytes smem' "$scratch/log" | grep -oE '^[0-9]+' | sort -n | tail -n 1 || true)
        echo "$name $architecture: $kernels kernels, at most $registers registers and ${shared:-0} bytes of shared memory"
    done
done
