#!/usr/bin/env python3
"""Times rnaret-fold and the ViennaRNA package on the same records, one thread each, in turn:

    python3 -m venv target/vienna-venv && target/vienna-venv/bin/pip install ViennaRNA
    target/vienna-venv/bin/python benches/rnafold.py RNAS.fa [--rounds 3] [-- OPTIONS OF rnaret-fold]

Processor seconds, not the clock's, so that a busy machine falls on neither; the least of the rounds counts. ViennaRNA does what
RNAfold -p does: the minimum of free energy, the partition function scaled by it, and the probabilities of pairs. Standard output is
TSV: what, nucleotides a second, and how many times RNAfold's that is.
"""

import argparse
import os
import pathlib
import resource
import subprocess
import sys
import time

import RNA

ROOT = pathlib.Path(__file__).resolve().parent.parent


def sequences(path):
    parts, found = [], []
    for line in open(path):
        if line.startswith(">"):
            found.append("".join(parts))
            parts = []
        else:
            parts.append(line.strip())
    return [sequence for sequence in [*found, "".join(parts)] if sequence]


def vienna(records):
    start = time.process_time()
    for sequence in records:
        compound = RNA.fold_compound(sequence)
        compound.exp_params_rescale(compound.mfe()[1])
        compound.pf()
    return time.process_time() - start


def ours(command):
    def spent():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    start = spent()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return spent() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records")
    parser.add_argument("options", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    tool = ROOT / "target" / "release" / "rnaret-fold"
    records = sequences(arguments.records)
    nucleotides = sum(map(len, records))
    variants = {
        "rnaret-fold": [],
        "without homologs": ["--known-structures", "none"],
        "energies alone": ["--known-structures", "none", "--network-weight", "0"],
    }
    seconds = {"RNAfold -p": [], **{name: [] for name in variants}}
    for _ in range(arguments.rounds):
        print(f"load {os.getloadavg()[0]:.2f}", file=sys.stderr)
        seconds["RNAfold -p"].append(vienna(records))
        for name, options in variants.items():
            command = [tool, "-q", "-t", "1", *options, *arguments.options, arguments.records]
            seconds[name].append(ours(command))
    print("what\tnt_per_second\tratio")
    least = min(seconds["RNAfold -p"])
    for name, times in seconds.items():
        print(f"{name}\t{nucleotides / min(times):.0f}\t{least / min(times):.2f}")


if __name__ == "__main__":
    main()
