#!/usr/bin/env python3
"""How many times as fast is training on two threads as on one?

    cargo build --release --bins
    python3 benches/training.py                             a small encoder, on the RNAs of testdata/
    python3 benches/training.py coding DATA [FLAG...]       any task of rnaret-train, with its data and flags

Runs of one thread and of two take turns, --rounds of each, so that a busy spell of the machine falls on both; of each
run the best of its logged speeds counts, of each number of threads the median over the rounds. Standard output is TSV:
task, tokens a second with one thread and with two, and the ratio.
"""

import argparse
import csv
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/rnaret-train"
SMALL = "--layers 4 --embed-dim 96 --value-dim 96 --ffn-dim 128 --min-length 30 --batch-tokens 8192".split()


def speed(threads, task, flags, steps):
    """Tokens a second of one run."""
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        every = ["--steps", str(steps), "--log-every", str(steps // 4), "--validate-every", "0"]
        command = [PROGRAM, "-q", "-t", str(threads), task, *flags, "--run", run, *every, "--epochs", "0"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
        with open(run / "metrics.tsv") as table:
            rows = csv.DictReader(table, delimiter="\t")
            return max(float(row["tokens_per_second"]) for row in rows if row["tokens_per_second"] != "NA")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("task", nargs="?", default="pretrain")
    options, flags = parser.parse_known_args()
    flags = flags or [ROOT / "testdata/rna_classes.fa.gz", *SMALL]
    speeds = {1: [], 2: []}
    for _ in range(options.rounds):
        for threads in speeds:
            speeds[threads].append(speed(threads, options.task, flags, options.steps))
    one, two = (statistics.median(speeds[threads]) for threads in (1, 2))
    print("task\tone_thread\ttwo_threads\tratio")
    print(f"{options.task}\t{one:.0f}\t{two:.0f}\t{two / one:.2f}")


if __name__ == "__main__":
    main()
