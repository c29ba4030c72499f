#!/usr/bin/env python3
"""Mean F1 of structures by class and length, with bootstrap intervals over families:

    python3 models/fold_validation.py TRUTH.tsv.gz NAME=STRUCTURES.dbn...

TRUTH has the columns id, family, seq, dotbracket (fold_families.py writes it); STRUCTURES hold a record of three lines
for each of its rows, in order. The name rnafold without a file is ViennaRNA's minimum of free energy (pip install ViennaRNA).
"""
import collections
import gzip
import random
import sys

OPENING = "([{<ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CLOSING = ")]}>abcdefghijklmnopqrstuvwxyz"


def pairs(brackets):
    open_, found = collections.defaultdict(list), set()
    for at, letter in enumerate(brackets):
        if letter in OPENING:
            open_[letter].append(at)
        elif letter in CLOSING:
            found.add((open_[OPENING[CLOSING.index(letter)]].pop(), at))
    return found


def f1(predicted, known):
    return 2 * len(predicted & known) / (len(predicted) + len(known)) if predicted or known else 1.0


def is_hairpin(known):
    """Whether every pair lies in every pair before it."""
    ordered = sorted(known)
    return all(inner[1] < outer[1] for outer, inner in zip(ordered, ordered[1:]))


def structures(name):
    name, _, path = name.partition("=")
    if not path:
        import RNA

        return name, lambda rows: [pairs(RNA.fold(row[2])[0]) for row in rows]
    lines = open(path).read().splitlines()
    return name, lambda rows: [pairs(line.split()[0]) for line in lines[2::3]]


def interval(values, families):
    """The middle 95 % of the means over families drawn again and again."""
    of_family = collections.defaultdict(list)
    for value, family in zip(values, families):
        of_family[family].append(value)
    groups, draw, means = list(of_family.values()), random.Random(1), []
    for _ in range(1000):
        drawn = [value for _ in groups for value in draw.choice(groups)]
        means.append(sum(drawn) / len(drawn))
    means.sort()
    return means[25], means[974]


def main(truth, *names):
    with gzip.open(truth, "rt") as file:
        rows = [row.rstrip("\n").split("\t") for row in file][1:]
    known = [pairs(row[3]) for row in rows]
    scores = {}
    for name, of_rows in map(structures, names):
        found = of_rows(rows)
        assert len(found) == len(rows), name
        scores[name] = [f1(*both) for both in zip(found, known)]
    length = [len(row[2]) for row in rows]
    classes = {
        "all": lambda at: True,
        "single hairpins under 80 nt": lambda at: length[at] < 80 and is_hairpin(known[at]),
        "other structures under 80 nt": lambda at: length[at] < 80 and not is_hairpin(known[at]),
        "80 to 149 nt": lambda at: 80 <= length[at] < 150,
        "150 nt and more": lambda at: length[at] >= 150,
        "precursors of miRNAs": lambda at: rows[at][1].startswith("MIPF"),
    }
    print("records\tnumber\t" + "\t".join(scores))
    for title, belongs in classes.items():
        places = [at for at in range(len(rows)) if belongs(at)]
        if places:
            cells = []
            for values in scores.values():
                low, high = interval([values[at] for at in places], [rows[at][1] for at in places])
                mean = sum(values[at] for at in places) / len(places)
                cells.append(f"{mean:.3f} ({low:.3f}-{high:.3f})")
            print(f"{title}\t{len(places)}\t" + "\t".join(cells))


if __name__ == "__main__":
    main(*sys.argv[1:])
