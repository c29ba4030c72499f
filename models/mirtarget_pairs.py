#!/usr/bin/env python3
"""Makes the pairs that the default mirtarget model is trained and judged on: mirtarget_pairs.py DATA OUT

DATA holds mirna_clash_hejret_train.tsv.gz (AGO2 CLASH of Hejret et al. 2023, with the bias-corrected negatives of
miRBench), mirna_clash2013_positive.tsv.gz (CLASH of Helwak et al. 2013, positives only, miRNAs cut to 20 nt),
mirbase22_mature_hsa.fa.gz and utr3_human.fa.gz. OUT gets these tables, `id mirna_name mirna_seq target_id target_seq label`:

  pairs.tsv.gz       every pair of both experiments, half positive
  training.tsv.gz    what is left of them without the held-out ones
  by_family.tsv.gz   pairs of miRNA families held out: another miRNA with the seed (positions 2-8) is not in training.tsv.gz
  by_site.tsv.gz     pairs of target sites held out: no site in training.tsv.gz overlaps them or shares 20 bases with them
  held_out.tsv.gz    both of them together, every pair once
  background.tsv.gz  every miRNA of the pairs with windows of 50 nt of shuffled human 3'UTRs that hold no seed match

Negatives for the 2013 positives are made as miRBench makes them: the same miRNAs with sites of other miRNAs, as often as
in the positives; every site is as often negative as positive. Where a site, or one that shares 20 bases with it or overlaps
it in the genome, is positive with a miRNA of the same seed, the two are no negative pair.
"""

import collections
import gzip
import hashlib
import os
import random
import sys

COLUMNS = ["id", "mirna_name", "mirna_seq", "target_id", "target_seq", "label"]
SHARED_BASES = 20
WINDOW = 50
# Of the pairs, this part is held out by the family of the miRNA, and this part by the site.
HELD_OUT_FAMILIES = 0.15
HELD_OUT_SITES = 0.20
BACKGROUND_WINDOWS = 10_000
COMPLEMENT = str.maketrans("ACGU", "UGCA")


def read_table(path):
    with gzip.open(path, "rt") as lines:
        header = next(lines).rstrip("\n").split("\t")
        return [dict(zip(header, line.rstrip("\n").split("\t"))) for line in lines]


def read_fasta(path):
    records = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if line.startswith(">"):
                records.append([line[1:].split()[0], ""])
            else:
                records[-1][1] += line.strip()
    return records


def write_table(path, rows):
    # The same bytes on every run: no time stamp in the archive.
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, 0) as archive:
        for row in [dict(zip(COLUMNS, COLUMNS))] + rows:
            archive.write(("\t".join(str(row[column]) for column in COLUMNS) + "\n").encode())


def family(mirna):
    """miRNAs of one family share the seed, positions 2-8."""
    return mirna[1:8]


def part_of(name):
    """A number from 0 to 1 that follows from the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def clusters(sites, places):
    """For every site the number of its cluster: sites that share SHARED_BASES bases in a row, or overlap in the genome."""
    parent = list(range(len(sites)))

    def root(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first = {}
    for number, site in enumerate(sites):
        for start in range(len(site) - SHARED_BASES + 1):
            other = first.setdefault(site[start : start + SHARED_BASES], number)
            parent[root(number)] = root(other)
    last = None
    for (chromosome, strand, start, end), number in sorted(places):
        if last and last[:2] == (chromosome, strand) and start <= last[2]:
            parent[root(number)] = root(last[3])
            end = max(end, last[2])
        last = (chromosome, strand, end, number)
    return [root(number) for number in range(len(sites))]


def negatives(positives, cluster, generator):
    """One negative for each positive: its miRNA with the site of another, every site once."""
    partners = collections.defaultdict(set)
    for row in positives["all"]:
        partners[cluster[row["target_seq"]]].add(family(row["mirna_seq"]))
    rows = positives["new"]
    sites = [row["target_seq"] for row in rows]
    generator.shuffle(sites)

    def clash(row, site):
        return family(row["mirna_seq"]) in partners[cluster[site]]

    # Exchange sites until no miRNA has one of its own.
    for _ in range(100):
        wrong = [i for i in range(len(rows)) if clash(rows[i], sites[i])]
        if not wrong:
            break
        for i in wrong:
            j = generator.randrange(len(rows))
            if not clash(rows[i], sites[j]) and not clash(rows[j], sites[i]):
                sites[i], sites[j] = sites[j], sites[i]
    return [
        dict(row, id=row["id"] + "_negative", target_seq=site, label=0)
        for row, site in zip(rows, sites)
        if not clash(row, site)
    ]


def shuffled(sequence, generator):
    """The sequence with its bases in another order and all its pairs of neighbours as often as before: an Euler path
    through the bases, by Altschul and Erickson (1985)."""
    while True:
        edges = collections.defaultdict(list)
        for a, b in zip(sequence, sequence[1:]):
            edges[a].append(b)
        for following in edges.values():
            generator.shuffle(following)
        # The last edge of each base has to lead towards the last base of the sequence.
        last = {base: following[-1] for base, following in edges.items() if base != sequence[-1]}
        reached = {sequence[-1]}
        for _ in range(4):
            reached |= {base for base, following in last.items() if following in reached}
        if set(edges) <= reached:
            break
    path = [sequence[0]]
    taken = collections.Counter()
    while taken[path[-1]] < len(edges[path[-1]]):
        taken[path[-1]] += 1
        path.append(edges[path[-1]][taken[path[-1]] - 1])
    return "".join(path)


def background(mirnas, utrs, generator):
    """Windows of shuffled 3'UTRs, as many for every miRNA, without a match of its positions 2-7 or 3-8."""
    sequences = [shuffled(sequence, generator) for _, sequence in utrs if len(sequence) >= WINDOW and "N" not in sequence]
    rows = []
    while len(rows) < BACKGROUND_WINDOWS:
        for name, mirna in mirnas:
            sequence = generator.choice(sequences)
            start = generator.randrange(len(sequence) - WINDOW + 1)
            window = sequence[start : start + WINDOW]
            match = mirna.translate(COMPLEMENT)[::-1]
            if match[-7:-1] in window or match[-8:-2] in window:
                continue
            rows.append(dict(zip(COLUMNS, [f"background_{len(rows)}", name, mirna, "background", window, 0])))
    return rows[:BACKGROUND_WINDOWS]


def main(data, out):
    generator = random.Random(20261125)
    mature = dict(read_fasta(os.path.join(data, "mirbase22_mature_hsa.fa.gz")))
    hejret = read_table(os.path.join(data, "mirna_clash_hejret_train.tsv.gz"))
    helwak = read_table(os.path.join(data, "mirna_clash2013_positive.tsv.gz"))
    for row in helwak:
        whole = mature.get(row["mirna_name"], "")
        if whole.startswith(row["mirna_seq"]):
            row["mirna_seq"] = whole
    pairs = hejret + helwak
    sites = sorted({row["target_seq"] for row in pairs})
    number = {site: i for i, site in enumerate(sites)}
    places = []
    for row in hejret:
        chromosome, interval, strand = row["target_id"].split("|")[0].split(":")
        start, end = interval.split("-")
        places.append(((chromosome, strand, int(start), int(end)), number[row["target_seq"]]))
    cluster = dict(zip(sites, clusters(sites, places)))
    positives = [row for row in pairs if row["label"] == "1"]
    known = {(row["mirna_seq"], row["target_seq"]) for row in hejret}
    made = negatives({"all": positives, "new": helwak}, cluster, generator)
    pairs += [row for row in made if (row["mirna_seq"], row["target_seq"]) not in known]

    of_family = lambda row: part_of("family " + family(row["mirna_seq"])) < HELD_OUT_FAMILIES
    of_site = lambda row: part_of("site " + sites[cluster[row["target_seq"]]]) < HELD_OUT_SITES
    mirnas = sorted({(row["mirna_name"], row["mirna_seq"]) for row in pairs})
    os.makedirs(out, exist_ok=True)
    for name, rows in [
        ("pairs", pairs),
        ("training", [row for row in pairs if not of_family(row) and not of_site(row)]),
        ("by_family", [row for row in pairs if of_family(row)]),
        ("by_site", [row for row in pairs if of_site(row)]),
        ("held_out", [row for row in pairs if of_family(row) or of_site(row)]),
        ("background", background(mirnas, read_fasta(os.path.join(data, "utr3_human.fa.gz")), generator)),
    ]:
        write_table(os.path.join(out, name + ".tsv.gz"), rows)
        positive = sum(str(row["label"]) == "1" for row in rows)
        print(f"{name}.tsv.gz: {len(rows)} pairs, {positive} positive, {len({row['mirna_seq'] for row in rows})} miRNAs")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
