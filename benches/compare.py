#!/usr/bin/env python3
"""Times this program and its PyTorch counterpart in turn and prints the ratios.

    python3 -m venv target/torch-venv
    target/torch-venv/bin/pip install torch==2.4.1 numpy
    target/torch-venv/bin/python benches/compare.py                  the cases of the README
    target/torch-venv/bin/python benches/compare.py backbone:512 fold:400 --rounds 7
    target/torch-venv/bin/python benches/compare.py rinalmo-micro:512 rinalmo-micro:4096 rinalmo-giga:512

Each round starts one process of ours and one of PyTorch's for each case, so that a busy spell of the machine falls on
both; --rounds of them, from which the least and the median are taken. Standard output is TSV: what, size, the seconds
of both (least and median), the ratio of the least, and both peaks of memory. The load of the machine goes to stderr.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CASES = ["backbone:512", "backbone:2048", "backbone:8192", "fold:400", "mirtarget:64"]


def measure(command):
    """Runs one timing command and returns (seconds, peak bytes) from the last row of its TSV `what size seconds bytes`."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    _, _, seconds, peak = done.stdout.splitlines()[-1].split("\t")
    return float(seconds), int(peak)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="WHAT:SIZE", help=f"default: {' '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of ours and of PyTorch")
    parser.add_argument("--torch-threads", type=int, help="of PyTorch, where that is to differ")
    arguments = parser.parse_args()
    subprocess.run(["cargo", "bench", "--bench", "speed", "--no-run"], cwd=ROOT, check=True)
    os.environ["RAYON_NUM_THREADS"] = str(arguments.threads)
    torch_threads = str(arguments.torch_threads or arguments.threads)
    print("what\tsize\tours_min\tours_median\ttorch_min\ttorch_median\tratio\tours_peak_bytes\ttorch_peak_bytes")
    for case in arguments.cases or CASES:
        what, size = case.split(":")
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            print(f"{case}: load {os.getloadavg()[0]:.2f}", file=sys.stderr)
            ours.append(measure(["cargo", "bench", "-q", "--bench", "speed", "--", what, size]))
            script = "transformer.py" if what.startswith("rinalmo") else "reference.py"
            reference = ROOT / "benches/pytorch" / script
            theirs.append(measure([sys.executable, reference, "--threads", torch_threads, "--runs", "2", what, size]))
        seconds = [[run[0] for run in side] for side in (ours, theirs)]
        peaks = [max(run[1] for run in side) for side in (ours, theirs)]
        columns = [what, size]
        for side in seconds:
            columns += [f"{min(side):.6g}", f"{statistics.median(side):.6g}"]
        columns += [f"{min(seconds[1]) / min(seconds[0]):.3g}", *map(str, peaks)]
        print(*columns, sep="\t", flush=True)


if __name__ == "__main__":
    main()
