#!/usr/bin/env bash
# Runs a CUDA build through all the calls that it makes on a GPU, on a machine without one: stand_in_driver.cpp takes the
# place of the driver, cuBLAS and cuRAND. Minutes, since every kernel is emulated.
#
#     bash tests/cuda/end_to_end.sh FOLDER            FOLDER holds the programs of the CUDA build (target/…/release)
#     bash tests/cuda/end_to_end.sh FOLDER PROGRAM    also `check` of benches/gpu, given its program
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
programs=$(cd "$1" && pwd)
benchmark=${2:-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"${CXX:-c++}" -std=c++17 -O2 -Wno-unknown-pragmas -shared -fPIC -I tests/cuda -I src/lib/model/kernels \
    -o "$scratch/libcuda.so.1" tests/cuda/stand_in_driver.cpp
# Of whichever major version of CUDA the build is.
for major in 12 13; do
    for name in cublas cublasLt; do ln -s libcuda.so.1 "$scratch/lib$name.so.$major"; done
done
ln -s libcuda.so.1 "$scratch/libcurand.so.10"

# One line per check; the device's messages are compared with what they should say.
on_device() { LD_LIBRARY_PATH=$scratch "$@"; }
refused() { # WORDS ENVIRONMENT... COMMAND...
    local words=$1
    shift
    local text
    text=$(LD_LIBRARY_PATH=$scratch env "$@" 2>&1 >/dev/null) && { echo "not refused: $*" >&2; exit 1; }
    grep -qF "$words" <<<"$text" || { echo "'$words' is not in: $text" >&2; exit 1; }
    echo "ok: $words"
}
printf '>one\nGGGAAAUCCCAUGGCAUAA\n>two\nGGCUAAGCC\n>three\nGGGGAAAACCCCGGGAUUUAUCCCGGGGAAAACCCCGGGAUUUAUCCCGGGAAAUCCGGAAAUCC\n' >"$scratch/rnas.fa"
embed=$programs/rnaret-embed

refused "need 8.0 or higher" STAND_IN_CAPABILITY=75 "$embed" --device cuda "$scratch/rnas.fa"
refused "a newer driver is needed" STAND_IN_DRIVER=12020 "$embed" --device cuda "$scratch/rnas.fa"
refused "finds no CUDA device" STAND_IN_DEVICES=0 "$embed" --device cuda "$scratch/rnas.fa"
refused "there are 1 CUDA devices" "$embed" --device cuda:1 "$scratch/rnas.fa"
refused "its memory is used up" STAND_IN_MEMORY=1000000 "$embed" --device cuda "$scratch/rnas.fa"

head -n 3 testdata/mirna_pairs.tsv >"$scratch/pairs.tsv"
for tool in embed coding fold mirtarget; do
    input=("$scratch/rnas.fa")
    [ "$tool" != mirtarget ] || input=(--pairs "$scratch/pairs.tsv")
    "$programs/rnaret-$tool" --device cpu -q "${input[@]}" >"$scratch/cpu"
    on_device "$programs/rnaret-$tool" --device cuda "${input[@]}" >"$scratch/gpu"
    python3 - "$scratch/cpu" "$scratch/gpu" "$tool" <<'PYTHON'
import sys
cpu, gpu = (open(path).read().split() for path in sys.argv[1:3])
assert len(cpu) == len(gpu), "other rows"
worst = 0.0
for ours, theirs in zip(gpu, cpu):
    try:
        worst = max(worst, abs(float(ours) - float(theirs)))
    except ValueError:
        assert ours == theirs, (ours, theirs)
assert worst < 2e-3, worst
print(f"ok: rnaret-{sys.argv[3]} gives what the CPU gives (largest difference {worst:.1e})")
PYTHON
done

# Memory that runs out in mid-run: the records are computed in smaller parts, and the one that does not fit is named.
long=$(printf 'GGCUAACCGAUUACG%.0s' {1..10})
{ cat "$scratch/rnas.fa"; printf '>four\n%s\n' "$long"; } >"$scratch/more.fa"
on_device "$embed" --device cuda -q "$scratch/more.fa" >"$scratch/whole"
STAND_IN_LARGEST=80000 on_device "$embed" --device cuda -v "$scratch/more.fa" >"$scratch/parts" 2>"$scratch/notes"
grep -q 'records are computed in two halves' "$scratch/notes"
cmp "$scratch/parts" "$scratch/whole"
echo "ok: halves where memory runs out"
refused "record four (150 nt) does not fit in memory alone" STAND_IN_LARGEST=60000 "$embed" --device cuda "$scratch/more.fa"

"$programs/rnaret-train" mirtarget testdata/mirna_pairs.tsv --run "$scratch/run" -q --device cpu --layers 1 --embed-dim 16 \
    --value-dim 16 --ffn-dim 16 --heads 2 --steps 2 --batch-records 4 --log-every 1 --validation-fraction 0 --checkpoint-every 1
# The CPU's run goes on there, in f32 and then in bf16.
for precision in f32 bf16; do
    steps=$([ $precision = f32 ] && echo 4 || echo 6)
    on_device "$programs/rnaret-train" mirtarget testdata/mirna_pairs.tsv --run "$scratch/run" -q --device cuda \
        --precision $precision --layers 1 --embed-dim 16 --value-dim 16 --ffn-dim 16 --heads 2 --steps "$steps" \
        --batch-records 4 --log-every 1 --validation-fraction 0 --checkpoint-every 1
    test "$(wc -l <"$scratch/run/metrics.tsv")" = $((steps + 1))
    echo "ok: rnaret-train goes on in $precision"
done
test -s "$scratch/run/model.safetensors"

if [ -n "$benchmark" ]; then
    for precision in f32 bf16; do
        on_device "$benchmark" cuda:0 $precision check tiny
    done
fi
