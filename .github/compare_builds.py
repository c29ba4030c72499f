"""Runs the seven tools of two builds on testdata and compares what they write.

    python3 .github/compare_builds.py BINARIES BINARIES [RUNNER...]

RUNNER (such as qemu-aarch64-static) is a command that goes before the tools of the second build. Builds for different C libraries or
processors compute exp, tanh and sums with other last bits, so numbers may differ by 1e-5 of their size, or 1e-5 where they are less
than 1; all else has to be the same. Says which outputs are the same bytes and which are only close, and ends with status 1 where one is neither.
"""

import array
import gzip
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

CLOSE = 1e-5
ROOT = Path(__file__).resolve().parent.parent
NUMBER = re.compile(r"([-+]?\d+\.?\d*(?:e[-+]?\d+)?)")
RNAS, MIRNAS, PAIRS = "testdata/rnas.fa.gz", "testdata/mirnas.fa", "testdata/mirna_pairs.tsv"
SMALL = "--layers 2 --embed-dim 16 --value-dim 16 --ffn-dim 16 --steps 5 --validation-fraction 0"
# Each tool, and each format that has code of its own; OUT is a folder.
COMMANDS = [
    f"rna-kmerize -k 3 {RNAS} -o OUT/tokens.tsv",
    "rna-mask --seed 1 OUT/tokens.tsv -o OUT/masked.tsv.gz",
    f"rnaret-embed -q {RNAS} -o OUT/embeddings.tsv",
    f"rnaret-embed -q --format npy {RNAS} -o OUT/embeddings.npy",
    f"rnaret-embed -q --pool none --format safetensors {RNAS} -o OUT/bases.safetensors",
    f"rnaret-embed -q --format parquet {RNAS} -o OUT/embeddings.parquet",
    f"rnaret-embed -q --likelihood {MIRNAS} -o OUT/likelihood.tsv",
    f"rnaret-fold -q {RNAS} --pairs OUT/probabilities.tsv --svg OUT/pictures -o OUT/structures.dbn.gz",
    f"rnaret-coding -q --orf --format gff3 {RNAS} --summary OUT/potential.tsv --track OUT/track.bedgraph --protein OUT/proteins.fa -o OUT/cds.gff3",
    f"rnaret-mirtarget -q --mirna {MIRNAS} {RNAS} -o OUT/sites.tsv",
    f"rnaret-mirtarget -q --pairs {PAIRS} -o OUT/pairs.tsv",
    "rnaret-train import -q testdata/golden/k1_fold.pth -o OUT/imported.safetensors",
    f"rnaret-train mirtarget -q -t 1 --run OUT/run {SMALL} {PAIRS}",
]


def run(binaries, out, runner):
    for command in COMMANDS:
        tool, *arguments = command.replace("OUT", str(out)).split()
        subprocess.run([*runner, str(binaries / tool), *arguments], cwd=ROOT, check=True)


def parts(path):
    """What has to be the same, and the numbers, of a file."""
    data = path.read_bytes()
    if path.suffix == ".npy":
        start = 10 + int.from_bytes(data[8:10], "little")
        return [data[:start]], array.array("f", data[start:])
    if path.suffix == ".safetensors":
        start = 8 + int.from_bytes(data[:8], "little")
        shapes = {name: entry for name, entry in json.loads(data[8:start]).items() if name != "__metadata__"}
        return [shapes], array.array("f", data[start:])
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    pieces = NUMBER.split(data.decode())
    return pieces[::2], [float(piece) for piece in pieces[1::2]]


def difference(first, second):
    """None for the same bytes, otherwise the largest difference of numbers; infinite where anything else differs."""
    if first.read_bytes() == second.read_bytes():
        return None
    if first.suffix == ".parquet":
        return 0.0 if abs(first.stat().st_size - second.stat().st_size) < 100 else float("inf")
    (texts, numbers), (other_texts, other_numbers) = parts(first), parts(second)
    if texts != other_texts or len(numbers) != len(other_numbers):
        return float("inf")
    return max((abs(a - b) / max(1.0, abs(a)) for a, b in zip(numbers, other_numbers)), default=0.0)


def main():
    builds = [Path(argument).resolve() for argument in sys.argv[1:3]]
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / name for name in ("first", "second")]
        for binaries, folder, runner in zip(builds, folders, ([], sys.argv[3:])):
            folder.mkdir()
            run(binaries, folder, runner)
        # Times and paths stand in the other files of a run.
        names = sorted(
            path.relative_to(folders[0])
            for path in folders[0].rglob("*")
            if path.is_file() and (path.parent.name != "run" or path.name == "model.safetensors") and path.parent.name != "checkpoints"
        )
        same, bad = 0, 0
        for name in names:
            found = difference(folders[0] / name, folders[1] / name)
            if found is None:
                same += 1
            else:
                bad += found > CLOSE
                print(f"{name}: {'not the same' if found > CLOSE else 'close'}, {found:.1e}")
    print(f"{len(names)} outputs: {same} the same bytes, {len(names) - same - bad} close, {bad} different")
    sys.exit(bad > 0 or len(names) < 20)


if __name__ == "__main__":
    main()
