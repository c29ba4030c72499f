#!/usr/bin/env python3
"""Parts structures by RNA family: python3 models/fold_families.py DATA OUT

DATA holds ss_*.tsv.gz (columns id, family, seq, dotbracket), OUT gets
  choices.tsv.gz   records of families left out, for whatever is chosen during development
  report.tsv.gz    records of other families left out, for the figures of the model card alone
  training.tsv.gz  all other records of families that are kept in, without any that shares more than a quarter of its
                   8-mers with a record of a family left out, or more than 0.8 of them with bpRNA VL0
  energies.tsv.gz  at most three records of each family of training.tsv.gz (two of a precursor family) and some of the sets
                   without families, up to 200 nt: what the energies are trained on
  known.tsv.gz     those of training.tsv.gz that come from families, among which homologs are looked for

Families are grouped before they are drawn, so that those of a clan stay together: by the stem of their name (SAM, SAM-I-IV-variant
and SAM-II are one group; so are mir-10 of Rfam and of miRBase). At most five records of a family are kept for validation, at most 500 nt long.
"""
import collections
import gzip
import random
import re
import sys

WORD = 8
SHARED_WITH_LEFT_OUT = 0.25
COPY = 0.8
PER_FAMILY = 5
LONGEST = 500
# Families drawn for each of the two validation sets.
DRAWN = {"RF": 130, "MIPF": 55}
# Records of training.tsv.gz that the energies learn from: of each family, and of each set without families.
FOR_ENERGIES = {"RF": 3, "MIPF": 2}
FOR_ENERGIES_OF_SETS = {"TrainSetA": 300, "TrainSetB": 100, "TestSetA": 100, "TestSetB": 30, "strand_verified": 150,
                        "PDB:train": 60, "PDB:test": 30, "PDB:rna3db_train": 100, "PDB:rna3db_valid": 40}
LONGEST_FOR_ENERGIES = 200
HEADER = "id\tfamily\tseq\tdotbracket\n"


def read(path):
    with gzip.open(path, "rt") as rows:
        next(rows)
        return [row.rstrip("\n").split("\t") for row in rows]


def words(sequence):
    return {sequence[at : at + WORD] for at in range(len(sequence) - WORD + 1)}


class Shared:
    """Which of some records share more than a part of the words of the smaller of two sets."""

    def __init__(self, records):
        self.sizes = []
        self.places = collections.defaultdict(list)
        for index, record in enumerate(records):
            found = words(record[2])
            self.sizes.append(len(found))
            for word in found:
                self.places[word].append(index)

    def most(self, sequence):
        """The greatest part shared with any of them, and with which."""
        found = words(sequence)
        counts = collections.Counter(index for word in found for index in self.places.get(word, ()))
        parts = ((count / max(1, min(self.sizes[index], len(found))), index) for index, count in counts.items())
        return max(parts, default=(0.0, None))


def stem(family):
    """What families that may be of one clan have in common: the name without numbers and endings."""
    name = family.split(":")[-1].lower()
    name = re.split(r"[-_ ]", re.sub(r"^(bacteria|archaea|plant|fungi|protozoa|metazoa|c|t44|hg)[-_]", "", name))[0]
    return re.sub(r"\d.*$", "", name) or name


def group(records):
    """The group of every family: one of the families that belong together by name."""
    parent = {}

    def find(family):
        while parent.setdefault(family, family) != family:
            family = parent[family]
        return family

    by_stem = {}
    for record in records:
        find(record[1])
        # The stem of a precursor's name says little: "mir" is common to all of them.
        key = record[1].split(":")[-1] if stem(record[1]) in ("mir", "bantam", "") else stem(record[1])
        parent[find(record[1])] = find(by_stem.setdefault(key, record[1]))
    return {family: find(family) for family in list(parent)}


def main(data, out):
    names = ["bprna_tr0", "rivas_train_test_ab", "rfam14_seed_projected", "bprna1m90_short", "pdb_strand_verified",
             "pseudobase", "mirbase_seeds", "rna3db_train"]
    sets = {name: read(f"{data}/ss_{name}.tsv.gz") for name in names}
    vl0 = Shared(read(f"{data}/ss_bprna_vl0.tsv.gz"))
    of_families = [record for name in ("rfam14_seed_projected", "mirbase_seeds") for record in sets[name]]
    for record in of_families:
        record[1] = record[1].removeprefix("miRNA:")
    groups = group(of_families)
    members = collections.defaultdict(list)
    for family in sorted(groups):
        members[groups[family]].append(family)
    draw = random.Random(20261125)
    order = sorted(members)
    draw.shuffle(order)
    validation = {"choices": set(), "report": set()}
    for which, chosen in validation.items():
        for kind, wanted in DRAWN.items():
            count = 0
            for representative in list(order):
                families = members[representative]
                # Large groups are the well-known families; new ones are small.
                if len(families) > 8 or not families[0].startswith(kind) or count >= wanted:
                    continue
                order.remove(representative)
                chosen.update(families)
                count += len(families)
    by_family = collections.defaultdict(list)
    for record in of_families:
        by_family[record[1]].append(record)
    left_out = [record for record in of_families if any(record[1] in chosen for chosen in validation.values())]
    for which, chosen in validation.items():
        with gzip.open(f"{out}/{which}.tsv.gz", "wt") as rows:
            rows.write(HEADER)
            families = kept = 0
            for family in sorted(chosen):
                fitting = [r for r in by_family[family] if len(r[2]) <= LONGEST and "N" not in r[2]]
                draw.shuffle(fitting)
                families += bool(fitting)
                for record in fitting[:PER_FAMILY]:
                    kept += 1
                    rows.write("\t".join(record) + "\n")
            print(f"{which}: {kept} records of {families} families", file=sys.stderr)
    taken = set().union(*validation.values())
    near = Shared(left_out)
    seen = set()
    kept_in = []
    with gzip.open(f"{out}/training.tsv.gz", "wt") as rows, gzip.open(f"{out}/known.tsv.gz", "wt") as known:
        rows.write(HEADER)
        known.write(HEADER)
        counts = collections.Counter()
        for name in names:
            for record in sets[name]:
                if record[1] in taken:
                    counts[name, "left out"] += 1
                elif near.most(record[2])[0] > SHARED_WITH_LEFT_OUT:
                    counts[name, "near a family left out"] += 1
                elif vl0.most(record[2])[0] > COPY:
                    counts[name, "near VL0"] += 1
                else:
                    counts[name, "kept"] += 1
                    rows.write("\t".join(record) + "\n")
                    kept_in.append(record)
                    if re.match(r"RF[0-9]|bpRNA_RFAM_", record[0]) and "N" not in record[2] and record[0] not in seen:
                        seen.add(record[0])
                        known.write("\t".join(record) + "\n")
        for key, count in sorted(counts.items()):
            print(*key, count, file=sys.stderr)
    draw.shuffle(kept_in)
    taken = collections.Counter()
    with gzip.open(f"{out}/energies.tsv.gz", "wt") as rows:
        rows.write(HEADER)
        for record in kept_in:
            kind = re.match(r"RF|MIPF|", record[1])[0]
            most = FOR_ENERGIES.get(kind, FOR_ENERGIES_OF_SETS.get(record[1], 0))
            if len(record[2]) <= LONGEST_FOR_ENERGIES and "N" not in record[2] and taken[record[1]] < most:
                taken[record[1]] += 1
                rows.write("\t".join(record) + "\n")
    print(f"energies: {sum(taken.values())} records of {len(taken)} families and sets", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
