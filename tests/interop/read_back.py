#!/usr/bin/env python3
"""Runs the release binaries and reads what they write with other people's software.

    cargo build --release
    target/interop-venv/bin/python tests/interop/read_back.py            (requirements.txt beside this file)

ViennaRNA reads the structures (pseudoknots included), numpy, safetensors and pandas the embeddings and tables, Python's
gzip the compressed output; every format of a tool must tell the same story. Small published-layout models in
testdata/golden make the numbers known: probabilities, features and scores are compared with what the published code
computed. Any check that fails, any program that is missing, and any module that cannot be imported ends with exit
status 1. BED and GFF3 are read by bedtools too, BED by pybedtools where that is installed.
"""

import argparse
import csv
import gzip
import hashlib
import io
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import traceback

import jsonschema
import numpy as np
import pandas as pd
import RNA
import safetensors
import safetensors.numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTDATA = ROOT / "testdata"
GOLDEN = TESTDATA / "golden"
RNAS = TESTDATA / "rnas.fa.gz"
MIRNAS = TESTDATA / "mirnas.fa"
PAIRS = TESTDATA / "mirna_pairs.tsv"
TOLERANCE = 2e-4  # of the largest reference value
ROUNDING = 1e-5  # six significant digits in text

BINARIES = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def require(condition, message):
    if not condition:
        raise AssertionError(message)


def same(ours, theirs, message):
    if ours != theirs:
        raise AssertionError(f"{message}: {ours!r:.300} is not {theirs!r:.300}")


def close(ours, reference, message, tolerance=TOLERANCE):
    ours, reference = np.asarray(ours, dtype=float), np.asarray(reference, dtype=float)
    same(ours.shape, reference.shape, f"{message}: shape")
    difference = np.abs(ours - reference).max() if ours.size else 0.0
    limit = tolerance * max(np.abs(reference).max() if reference.size else 0.0, 1e-30)
    require(difference <= limit, f"{message}: differs by {difference:.3g}, more than {limit:.3g}")


def run(tool, *arguments, stdin=None, status=0):
    """Standard output of one run, as bytes. Anything but the expected exit status is a failure."""
    command = [BINARIES / tool, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True)
    require(
        done.returncode == status,
        f"{tool} {' '.join(map(str, arguments))}: exit status {done.returncode}, expected {status}\n{done.stderr.decode()}",
    )
    return done.stdout


def table(text, **options):
    """A TSV with one header row, as pandas reads it; '.' and 'NA' stay text."""
    return pd.read_csv(io.BytesIO(text), sep="\t", keep_default_na=False, na_values=[], quoting=3, **options)


def read_fasta(path):
    opener = gzip.open if str(path).endswith(".gz") else open
    records = {}
    with opener(path, "rt") as lines:
        for line in lines:
            if line.startswith(">"):
                name = line[1:].split()[0]
                records[name] = ""
            else:
                records[name] += line.strip().upper().replace("T", "U")
    return records


def manifest(k):
    return next(model for model in json.loads((GOLDEN / "manifest.json").read_text()) if model["k"] == k)


def golden_fasta(records, folder):
    """The sequences of a manifest section as a FASTA file whose ids are the names of the vector files."""
    path = pathlib.Path(folder) / "golden.fa"
    path.write_text("".join(f">{record['file'][:-4]}\n{record['seq']}\n" for record in records))
    return path


RECORDS = read_fasta(RNAS)


# ------------------------------------------------------------------------------------------------------ tokens


def tokens_of(sequence, k):
    flank = (k - 1) // 2
    middle = [sequence[i : i + k] for i in range(len(sequence) - k + 1)]
    middle = [kmer if set(kmer) <= set("ACGU") else "[UNK]" for kmer in middle]
    head = ["[FIL]"] * min(flank, len(sequence))
    return head + middle + ["[FIL]"] * (len(sequence) - len(head) - len(middle))


@check
def kmers():
    for k in (1, 3, 5):
        tokens = table(run("rna-kmerize", "-k", k, RNAS))
        same(list(tokens.columns), ["id", "length", "tokens"], "header")
        same(list(tokens["id"]), list(RECORDS), "ids in input order")
        same(list(tokens["length"]), [len(s) for s in RECORDS.values()], "lengths")
        for name, row in zip(RECORDS, tokens["tokens"], strict=True):
            same(row.split(" "), tokens_of(RECORDS[name], k), f"k = {k}, tokens of {name}")
        ids = table(run("rna-kmerize", "-k", k, "--ids", RNAS))
        vocabulary = json.loads(run("rna-kmerize", "-k", k, "--vocab"))
        text = json.dumps(vocabulary)
        require("[FIL]" in text and "[UNK]" in text and "[MASK]" in text, "special tokens are in the vocabulary")
        for words, numbers in zip(tokens["tokens"], ids["tokens"], strict=True):
            for word, number in zip(words.split(" "), numbers.split(" "), strict=True):
                expected = {"[FIL]": 1, "[UNK]": 2}.get(word)
                if expected is None:
                    expected = 6 + sum("AUCG".index(c) * 4 ** (k - 1 - i) for i, c in enumerate(word))
                same(int(number), expected, f"id of {word}")


@check
def golden_tokens():
    for model in json.loads((GOLDEN / "manifest.json").read_text()):
        with tempfile.TemporaryDirectory() as folder:
            fasta = golden_fasta(model["backbone"], folder)
            for row in table(run("rna-kmerize", "-k", model["k"], "--ids", fasta)).itertuples():
                reference = np.load(GOLDEN / f"{row.id}.npz")["tokens"].tolist()
                same([int(token) for token in row.tokens.split(" ")], reference, f"{row.id} tokens")


@check
def windows():
    rows = table(run("rna-kmerize", "-k", 3, "--window", 100, "--overlap", 20, RNAS))
    for name, sequence in RECORDS.items():
        covered = np.zeros(len(sequence), dtype=bool)
        for row in rows[rows["id"].str.startswith(f"{name}:")].itertuples():
            start, end = map(int, row.id.rsplit(":", 1)[1].split("-"))
            require(0 <= start < end <= len(sequence) and end - start <= 100, f"window {row.id}")
            same(row.length, end - start, f"length of {row.id}")
            covered[start:end] = True
        require(covered.all() or (rows["id"] == name).any(), f"windows cover {name}")


@check
def masks():
    tokens = run("rna-kmerize", "-k", 3, RNAS)
    before = table(tokens)
    masked = table(run("rna-mask", "--seed", 7, stdin=tokens))
    same(list(masked.columns), ["id", "length", "tokens", "labels"], "header")
    same(list(masked["id"]), list(before["id"]), "ids")
    hidden = total = 0
    for old, row in zip(before["tokens"], masked.itertuples(), strict=True):
        old, new, labels = old.split(" "), row.tokens.split(" "), row.labels.split(" ")
        same(len(new), len(old), "tokens stay as many")
        same(len(labels), len(old), "a label for each token")
        for was, now, label in zip(old, new, labels, strict=True):
            same(label if label != "." else now, was, "the label is the token that was there; elsewhere nothing changed")
            hidden, total = hidden + (label != "."), total + 1
    require(0.10 < hidden / total < 0.25, f"{hidden} of {total} tokens are masked at a rate of .15")
    same(run("rna-mask", "--seed", 7, stdin=tokens), run("rna-mask", "--seed", 7, "-t", 1, stdin=tokens), "same seed")
    require(run("rna-mask", "--seed", 8, stdin=tokens) != run("rna-mask", "--seed", 7, stdin=tokens), "another seed")


# -------------------------------------------------------------------------------------------------- embeddings


@check
def pooled_embeddings():
    lengths = [len(sequence) for sequence in RECORDS.values()]
    for pool in ("mean", "cls"):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)

            def written(form, folder=folder, pool=pool):
                path = folder / f"out.{form}"
                run("rnaret-embed", "--pool", pool, "--format", form, "-o", path, RNAS)
                return path

            array = np.load(written("npy"))
            same((array.dtype, len(array)), (np.dtype("float32"), len(RECORDS)), "npy: (N, d), 32-bit floats")
            require(np.isfinite(array).all() and array.std(axis=0).max() > 0, "finite, and not all the same")
            ids = table((folder / "out.npy.ids.tsv").read_bytes())
            same([*ids["id"]], [*RECORDS], "npy: the table of ids")
            same([*ids["length"]], lengths, "npy: the table of lengths")

            frame = table(written("tsv").read_bytes())
            same(list(frame.columns), ["id", "length", *(f"e{n}" for n in range(array.shape[1]))], "tsv header")
            same([*frame["id"]], [*RECORDS], "tsv ids in input order")
            same([*frame["length"]], lengths, "tsv lengths")
            close(frame.iloc[:, 2:], array, "tsv against npy", ROUNDING)

            with safetensors.safe_open(written("safetensors"), "np") as tensors:
                close(tensors.get_tensor("embeddings"), array, "safetensors against npy", 0)
                same(json.loads(tensors.metadata()["ids"]), [*RECORDS], "safetensors ids")
                same(json.loads(tensors.metadata()["lengths"]), lengths, "safetensors lengths")

            frame = pd.read_parquet(written("parquet"))
            same([*frame["id"]], [*RECORDS], "parquet ids")
            same([*frame["length"]], lengths, "parquet lengths")
            close(frame.drop(columns=["id", "length"]), array, "parquet against npy", 0)


@check
def embeddings_per_base():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def written(form):
            path = folder / f"out.{form}"
            run("rnaret-embed", "--pool", "none", "--format", form, "-o", path, RNAS)
            return path

        tensors = safetensors.numpy.load_file(written("safetensors"))
        same(set(tensors), set(RECORDS), "safetensors: a tensor for each record")
        with open(written("npy"), "rb") as arrays:
            for name, sequence in RECORDS.items():
                same(len(tensors[name]), len(sequence), f"{name}: exactly L rows")
                close(np.load(arrays), tensors[name], f"{name}: npy against safetensors", 0)
            same(arrays.read(), b"", "npy: one array for each record")
        text = table(written("tsv").read_bytes())
        parquet = pd.read_parquet(written("parquet"))
        for label, frame, tolerance in (("tsv", text, ROUNDING), ("parquet", parquet, 0)):
            same(list(frame.columns)[:3], ["id", "position", "nucleotide"], f"{label} columns")
            for name, sequence in RECORDS.items():
                rows = frame[frame["id"] == name]
                same([*rows["position"]], [*range(1, len(sequence) + 1)], f"{name}: {label} positions")
                same("".join(rows["nucleotide"]), sequence, f"{name}: {label} letters")
                close(rows.iloc[:, 3:], tensors[name], f"{name}: {label} against safetensors", tolerance)


@check
def features_of_the_reference():
    """Per-base embeddings, retention scores and likelihood with the published layout's weights."""
    for k in (1, 3, 5):
        model = manifest(k)
        with tempfile.TemporaryDirectory() as folder:
            fasta, out = golden_fasta(model["backbone"], folder), pathlib.Path(folder) / "out.safetensors"
            weights = GOLDEN / model["weights"]
            run("rnaret-embed", "--model", weights, "--pool", "none", "--format", "safetensors", "-o", out, fasta)
            tensors = safetensors.numpy.load_file(out)
            same(set(tensors), {record["file"][:-4] for record in model["backbone"]}, "a tensor for each record")
            scores = {
                kind: table(run("rnaret-embed", "--model", weights, "--retention", kind, fasta))
                for kind in ("first-row", "column-mean")
            }
            for record in model["backbone"]:
                name, vectors = record["file"][:-4], np.load(GOLDEN / record["file"])
                close(tensors[name], vectors["features"], f"{name} features")
                for kind, frame in scores.items():
                    same(list(frame.columns), ["id", "position", "nucleotide", "score"], "retention header")
                    rows = frame[frame["id"] == name]
                    same(list(rows["position"]), list(range(1, len(record["seq"]) + 1)), f"{name} positions")
                    reference = vectors[f"retention_mean_over_heads_{kind.replace('-', '_')}"]
                    close(rows["score"], reference, f"{name} {kind}")


@check
def retention_map_of_the_reference():
    for k in (1, 3):
        for record in manifest(k)["backbone"]:
            vectors, length = np.load(GOLDEN / record["file"]), len(record["seq"])
            if "retention_last_layer" not in vectors:
                continue
            fasta = f">{record['file']}\n{record['seq']}\n".encode()
            frame = table(run("rnaret-embed", "--model", GOLDEN / f"k{k}.pth", "--retention", "map", stdin=fasta))
            same(list(frame.columns), ["id", "position", "nucleotide", "other_position", "score"], "header")
            same([*frame["position"]], [*np.repeat(np.arange(1, length + 1), length)], "positions")
            same([*frame["other_position"]], [*np.tile(np.arange(1, length + 1), length)], "other positions")
            reference = vectors["retention_last_layer"].mean(axis=0).reshape(-1)
            close(frame["score"], reference, f"{record['file']} retention map")


@check
def likelihood():
    frame = table(run("rnaret-embed", "--likelihood", RNAS))
    same(list(frame.columns), ["id", "length", "pseudo_perplexity"], "header")
    same(list(frame["id"]), list(RECORDS), "ids in input order")
    require((frame["pseudo_perplexity"] >= 1).all(), "a perplexity is at least 1")


# -------------------------------------------------------------------------------------------------- structures


def read_dbn(text):
    lines = text.decode().splitlines()
    same(len(lines) % 3, 0, "three lines a record")
    records = {}
    for head, sequence, structure in zip(lines[0::3], lines[1::3], lines[2::3], strict=True):
        require(head.startswith(">"), f"header {head!r}")
        same(len(structure), len(sequence), f"length of the structure of {head}")
        records[head[1:].split()[0]] = (sequence, structure)
    return records


def vienna_pairs(structure):
    """0-based partners (-1: none) from any bracket, letters included, as ViennaRNA reads them."""
    return [partner - 1 for partner in list(RNA.ptable(structure, RNA.BRACKETS_ANY))[1:]]


def read_ct(text):
    """Our own reading, and ViennaRNA's of the same record, which must agree."""
    lines, records, start = text.decode().splitlines(), {}, 0
    while start < len(lines):
        length = int(lines[start].split()[0])
        name = lines[start].split()[1]
        rows = [line.split() for line in lines[start + 1 : start + 1 + length]]
        same([int(row[0]) for row in rows], list(range(1, length + 1)), f"{name}: CT positions")
        same([int(row[2]) for row in rows], list(range(length)), f"{name}: CT previous")
        same([int(row[3]) for row in rows], [*range(2, length + 1), 0], f"{name}: CT next")
        with tempfile.NamedTemporaryFile("w+", suffix=".ct") as record:
            record.write("\n".join(lines[start : start + 1 + length]) + "\n")
            record.flush()
            with open(record.name) as handle:
                found, _, sequence, structure, *_ = RNA.file_connect_read_record(handle, "", 0)
        require(found > 0, f"{name}: ViennaRNA reads the CT record")
        partners = [int(row[4]) - 1 for row in rows]
        same("".join(row[1] for row in rows), sequence, f"{name}: CT sequence in ViennaRNA")
        same(partners, vienna_pairs(structure), f"{name}: CT pairs in ViennaRNA")
        records[name] = (sequence, partners)
        start += 1 + length
    return records


def read_bpseq(text):
    """Records are told apart by their comment line, the first word of which is the id."""
    records, name = {}, None
    for line in text.decode().splitlines():
        if line.startswith("#"):
            name = line[1:].split()[0]
            records[name] = ([], [])
        elif line:
            position, letter, partner = line.split()
            sequence, partners = records[name]
            sequence.append(letter)
            partners.append(int(partner) - 1)
            same(int(position), len(sequence), f"{name}: BPSEQ position")
    return {name: ("".join(sequence), partners) for name, (sequence, partners) in records.items()}


def crossing(partners):
    pairs = [(i, j) for i, j in enumerate(partners) if j > i]
    return any(i < k < j < l for i, j in pairs for k, l in pairs)


CANONICAL = {"AU", "UA", "GC", "CG", "GU", "UG"}


@check
def free_energies():
    """Minimum free energies and energies of other structures are ViennaRNA's, on random sequences and on real RNAs."""
    random = np.random.default_rng(7)
    sequences = ["".join(random.choice(list("ACGU"), random.integers(5, 160))) for _ in range(1000)]
    known = subprocess.run(["zstd", "-dc", ROOT / "models" / "known-structures.dbn.zst"], check=True, capture_output=True)
    real = [line for line in known.stdout.decode().splitlines()[1::3] if len(line) <= 160]
    sequences += real[:: len(real) // 1000][:1000]
    fasta = "".join(f">{n}\n{sequence}\n" for n, sequence in enumerate(sequences)).encode()
    for decoder in ("mfe", "nested"):
        options = ["--energy", "--known-structures", "none", "--decoder", decoder]
        lines = run("rnaret-fold", *options, "-", stdin=fasta).decode().splitlines()
        for sequence, line in zip(sequences, lines[2::3], strict=True):
            structure, energy = line.split(" ", 1)
            energy = float(energy.strip("() "))
            theirs = RNA.fold_compound(sequence).eval_structure(structure)
            require(abs(energy - theirs) < 0.0151, f"{sequence} {structure}: {energy} is not {theirs}")
            if decoder == "mfe":
                require(abs(energy - RNA.fold(sequence)[1]) < 0.0151, f"{sequence}: {energy} is not the minimum")
    frame = table(run("rnaret-fold", *options, "--format", "tsv", "-", stdin=fasta))
    for sequence, ensemble in zip(sequences, frame["ensemble_energy"], strict=True):
        # ViennaRNA smooths where mismatches and dangles change their sign.
        details = RNA.md()
        details.pf_smooth = 0
        theirs = RNA.fold_compound(sequence, details).pf()[1]
        require(abs(ensemble - theirs) < 0.0151, f"{sequence}: an ensemble of {ensemble} is not {theirs}")


@check
def constraints_and_reactivities():
    """Pair probabilities by Turner 2004 under constraints and reactivities are ViennaRNA's."""
    random = np.random.default_rng(8)
    sequences = ["".join(random.choice(list("ACGU"), random.integers(20, 120))) for _ in range(200)]
    # Some pairs that the sequence can form, and signs for other bases.
    lines, values = [], []
    for sequence in sequences:
        line = list(random.choice(list("...........x<>|"), len(sequence)))
        for i, j in [(i, j) for i, j in enumerate(vienna_pairs(RNA.fold(sequence)[0])) if j > i]:
            if random.random() < 0.3:
                line[i], line[j] = "()"
        lines.append("".join(line))
        values.append([None if random.random() < 0.3 else round(float(random.gamma(0.8)), 3) for _ in sequence])
    fasta = "".join(f">{n}\n{sequence}\n" for n, sequence in enumerate(sequences)).encode()
    words = [",".join("NA" if value is None else str(value) for value in row) for row in values]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "constraints").write_text("".join(f">{n}\n{line}\n" for n, line in enumerate(lines)))
        rows = "".join(f"{n}\t{row}\n" for n, row in enumerate(words) if n % 2)
        (folder / "reactivity").write_text("id\treactivity\n" + rows)
        options = ["--network-weight", "0", "--energies", "turner2004", "--known-structures", "none"]
        options += ["--constraints", folder / "constraints", "--reactivity", folder / "reactivity"]
        options += ["--min-prob", "0", "--pairs", folder / "pairs"]
        run("rnaret-fold", *options, "-", stdin=fasta)
        found = {}
        for row in (folder / "pairs").read_text().splitlines()[1:]:
            name, i, j, probability = row.split("\t")
            found[int(name), int(i), int(j)] = float(probability)
    for n, (sequence, line, row) in enumerate(zip(sequences, lines, values, strict=True)):
        compound = RNA.fold_compound(sequence)
        compound.hc_add_from_db(line)
        if n % 2:
            compound.sc_add_SHAPE_deigan([-999.0] + [-999.0 if value is None else value for value in row], 1.8, -0.6)
        compound.pf()
        theirs = compound.bpp()
        for i in range(1, len(sequence) + 1):
            for j in range(i + 1, len(sequence) + 1):
                ours = found.get((n, i, j), 0.0)
                require(abs(ours - theirs[i][j]) < 0.02, f"{sequence} {line} {i} {j}: {ours} is not {theirs[i][j]}")


@check
def structures():
    """All four formats agree with each other and with ViennaRNA, pseudoknots included; the pairing rules hold."""
    small = "".join(f">{n} some words\n{RECORDS[n]}\n" for n in ("tRNA-Phe", "5S_rRNA", "hammerhead")).encode()
    knots = 0
    # The small model knows nothing, so at threshold 0 it pairs whatever may pair, across stems too.
    for decoder in ("mea", "centroid", "mfe", "assignment", "greedy", "nested"):
        for weights in ([], ["--model", GOLDEN / "k1_fold.pth", "--threshold", "0"]):
            options = [*weights, "--decoder", decoder]
            records = read_dbn(run("rnaret-fold", *options, "-", stdin=small))
            same(list(records), ["tRNA-Phe", "5S_rRNA", "hammerhead"], "ids in input order")
            ct = read_ct(run("rnaret-fold", *options, "--format", "ct", "-", stdin=small))
            bpseq = read_bpseq(run("rnaret-fold", *options, "--format", "bpseq", "-", stdin=small))
            same(list(ct), list(records), "CT records")
            same(list(bpseq), list(records), "BPSEQ records")
            frame = table(run("rnaret-fold", *options, "--format", "tsv", "-", stdin=small))
            same(list(frame.columns), ["id", "length", "sequence", "structure", "pairs"], "TSV header")
            same(list(frame["id"]), list(records), "TSV ids")
            same([*zip(frame["sequence"], frame["structure"], strict=True)], [*records.values()], "TSV and dot-bracket")
            for name, (sequence, structure) in records.items():
                same(sequence, RECORDS[name], f"{name}: sequence")
                partners = vienna_pairs(structure)
                same((sequence, partners), ct[name], f"{name}: dot-bracket and CT")
                same((sequence, partners), bpseq[name], f"{name}: dot-bracket and BPSEQ")
                for i, j in enumerate(partners):
                    if j >= 0:
                        same(partners[j], i, f"{name}: pair {i}-{j} is symmetric")
                        require(sequence[i] + sequence[j] in CANONICAL, f"{name}: pair {sequence[i]}{sequence[j]}")
                        require(abs(i - j) > 3, f"{name}: loop {i}-{j}")
                knots += crossing(partners)
                nested = RNA.db_pk_remove(structure)
                same(len(nested), len(sequence), f"{name}: ViennaRNA removes the pseudoknots")
                require(np.isfinite(RNA.eval_structure_simple(sequence, nested)), f"{name}: ViennaRNA's energy")
                if decoder in ("nested", "mfe"):
                    require(not crossing(partners), f"{name}: the nested decoder crosses nothing")
                    same(set(structure) - set("()."), set(), f"{name}: one kind of bracket")
    require(knots > 0, "some structure has a pseudoknot, or the check of pseudoknots checks nothing")


@check
def pair_probabilities_of_the_reference():
    for k in (1, 3):
        model = manifest(k)
        with tempfile.TemporaryDirectory() as folder:
            fasta, out = golden_fasta(model["heads"]["fold"], folder), pathlib.Path(folder) / "pairs.tsv"
            weights = GOLDEN / f"k{k}_fold.pth"
            run("rnaret-fold", "--model", weights, "--pairs", out, "--min-prob", "0", fasta)
            frame = table(out.read_bytes())
            same(list(frame.columns), ["id", "i", "j", "probability"], "header")
            seen = 0
            for record in model["heads"]["fold"]:
                name = record["file"][:-4]
                logits = np.load(GOLDEN / record["file"])["pair_logits"].astype(float)
                rows = frame[frame["id"] == name]
                i, j = rows["i"].to_numpy(), rows["j"].to_numpy()
                require((i < j).all() and (i >= 1).all() and (j <= len(record["seq"])).all(), f"{name}: 1 <= i < j <= L")
                reference = 1 / (1 + np.exp(-logits[j - 1, i - 1]))
                close(rows["probability"], reference, f"{name} probabilities", 1e-3) if len(rows) else None
                seen += len(rows)
            require(seen > 100, f"only {seen} pairs")


# ------------------------------------------------------------------------------------------------- coding, BED


def read_bed(text, columns):
    rows = [line.split("\t") for line in text.decode().splitlines() if not line.startswith(("#", "track", "browser"))]
    for row in rows:
        same(len(row), columns, f"columns of {row}")
        require(0 <= int(row[1]) < int(row[2]), f"interval of {row}")
    try:
        import pybedtools
    except ImportError:
        return rows
    same(len(pybedtools.BedTool(text.decode(), from_string=True)), len(rows), "pybedtools reads as many")
    return rows


@check
def coding():
    for weights in ([], ["--model", GOLDEN / "k1_coding.pth"]):
        with tempfile.TemporaryDirectory() as folder:
            summary, track = pathlib.Path(folder) / "summary.tsv", pathlib.Path(folder) / "track.bedgraph"
            out = run("rnaret-coding", *weights, "--summary", summary, "--track", track, RNAS)
            windows = read_bed(out, 6)
            frame = table(summary.read_bytes())
            same(list(frame.columns), ["id", "length", "coding_potential", "label", "state", "strand", "orf_start", "orf_end", "orf_length", "orf_coverage"],
                 "summary header")
            same(list(frame["id"]), list(RECORDS), "summary ids")
            same(list(frame["length"]), [len(s) for s in RECORDS.values()], "summary lengths")
            bases = {name: np.full(len(sequence), np.nan) for name, sequence in RECORDS.items()}
            for chrom, start, end, value in read_bed(track.read_bytes(), 4):
                require(np.isnan(bases[chrom][int(start) : int(end)]).all(), f"{chrom}: the track overlaps itself")
                bases[chrom][int(start) : int(end)] = float(value)
            for name, values in bases.items():
                require(not np.isnan(values).any(), f"{name}: the track covers every base")
                require(((values >= 0) & (values <= 1)).all(), f"{name}: probabilities")
            for chrom, start, end, _, score, strand in windows:
                require(int(end) <= len(RECORDS[chrom]), f"{chrom}: window within the transcript")
                same(strand, "+", "strand")
                mean = bases[chrom][int(start) : int(end)].mean()
                require(abs(int(score) - 1000 * mean) <= 0.51, f"{chrom}:{start}-{end}: score {score} is not 1000 x {mean}")


CODONS = {
    "".join(codon): letter
    for codon, letter in zip(
        itertools.product("UCAG", repeat=3), "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", strict=True
    )
}


def translated(sequence):
    return "".join(CODONS.get(sequence[i : i + 3], "X") for i in range(0, len(sequence) - 2, 3))


@check
def coding_sequences():
    """BED, BED12, GFF3 and proteins of --orf agree with each other, with the sequences, and with bedtools."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        proteins, fasta = folder / "proteins.fa", folder / "rnas.fa"
        fasta.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in RECORDS.items()))
        # At threshold 0 everything is a window, so that incomplete ends come too.
        for options in (["--orf"], ["--orf", "--threshold", "0"]):
            bed = read_bed(run("rnaret-coding", *options, "--protein", proteins, fasta), 6)
            bed12 = read_bed(run("rnaret-coding", *options, "--format", "bed12", fasta), 12)
            text = run("rnaret-coding", *options, "--format", "gff3", fasta)
            require(len(bed) > 0, "some coding sequence")
            same([row[:1] + row[6:8] + row[3:6] for row in bed12], [row[:1] + row[1:3] + row[3:6] for row in bed], "BED12")
            for row in bed12:
                length = len(RECORDS[row[0]])
                same(row[1:3] + row[9:], ["0", str(length), "1", f"{length},", "0,"], "the transcript is one block")
            columns = ["seqid", "source", "type", "start", "end", "score", "strand", "phase", "attributes"]
            frame = pd.read_csv(io.BytesIO(text), sep="\t", comment="#", names=columns, dtype={"phase": str})
            cds = frame[frame["type"] == "CDS"].reset_index(drop=True)
            same(set(frame["type"]), {"mRNA", "CDS"}, "types of features")
            same([*zip(cds["seqid"], cds["start"] - 1, cds["end"], strict=True)], [(r[0], int(r[1]), int(r[2])) for r in bed], "GFF3")
            same(list(text.decode().splitlines())[0], "##gff-version 3.1.26", "first line")
            letters = read_proteins(proteins)
            for row, (name, start, end, label, _, _) in zip(cds.itertuples(), bed, strict=True):
                attributes = dict(pair.split("=") for pair in row.attributes.split(";"))
                own = label.split(":")[0]
                same((attributes["ID"], attributes["Parent"]), (own, name), "ID and Parent")
                coding, phase = RECORDS[name][int(start) : int(end)], int(row.phase)
                protein = translated(coding[phase:])
                kind = label.split(":")[1] if ":" in label else "complete"
                same(coding.startswith("AUG") and phase == 0, kind in ("complete", "3prime_partial"), f"{own}: start codon")
                same("start_range" in attributes, kind in ("5prime_partial", "internal"), f"{own}: start_range")
                has_stop = kind in ("complete", "5prime_partial")
                same(protein.endswith("*") and (len(coding) - phase) % 3 == 0, has_stop, f"{own}: stop codon")
                same("end_range" in attributes, not has_stop, f"{own}: end_range")
                same(letters[own], protein.removesuffix("*") if has_stop else protein, f"{own}: protein")
                require("*" not in letters[own], f"{own}: a stop within")
            require(shutil.which("bedtools"), "bedtools is not installed (apt-get install bedtools)")
            # bedtools cuts the same sequences out of the transcripts, from BED and from GFF3.
            for form, data in (("bed", "\n".join("\t".join(row) for row in bed) + "\n"), ("gff", text.decode())):
                path = folder / f"cds.{form}"
                path.write_text("\n".join(line for line in data.splitlines() if "\tmRNA\t" not in line) + "\n")
                done = subprocess.run(
                    ["bedtools", "getfasta", "-s", "-tab", "-fi", fasta, "-bed", path], check=True, capture_output=True
                )
                cut = [line.split("\t")[1] for line in done.stdout.decode().splitlines()]
                expected = [RECORDS[name][int(start) : int(end)] for name, start, end, *_ in bed]
                same(cut, expected, f"bedtools getfasta from {form}")


def read_proteins(path):
    records = {}
    for line in path.read_text().splitlines():
        if line.startswith(">"):
            name = line[1:].split()[0]
            records[name] = ""
        else:
            records[name] += line
    return records


@check
def statistics():
    """The table of --stats as pandas reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "stats.tsv"
        run("rna-kmerize", "-k", 3, "--stats", path, RNAS)
        run("rnaret-embed", "--stats", path, "-o", pathlib.Path(folder) / "e.tsv", RNAS)
        run("rnaret-coding", "--stats", path, TESTDATA / "broken" / "bad_letter.fa", status=1)
        frame = pd.read_csv(path, sep="\t")
        same([*frame["tool"]], ["rna-kmerize", "rnaret-embed", "rnaret-coding"], "a row for each run, in order")
        same([*frame["run"]], ["rnas.fa.gz", "e.tsv", "bad_letter.fa"], "names of the runs")
        same([*frame["status"]], [0, 0, 1], "exit statuses")
        same([*frame["rejected"]], [0, 0, 1], "rejected records")
        same(int(frame["nucleotides"][0]), sum(map(len, RECORDS.values())), "nucleotides")
        require((frame["peak_memory"] > 1e6).all() and (frame["seconds"] > 0).all(), "figures")
        require((pd.Timestamp.now("UTC") - pd.to_datetime(frame["started"]) < pd.Timedelta("1h")).all(), "start times")
        model = ROOT / "models" / "pretrain.safetensors"
        same(frame["model_sha256"][1], hashlib.sha256(model.read_bytes()).hexdigest(), "checksum of the model")
        require(pd.isna(frame["model"][0]), "no model: missing")


@check
def json_lines():
    """Objects of --format json, by the schema in docs/, and against the tables of the same runs."""
    schema = json.loads((ROOT / "docs" / "json.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    classes, values, labels = (TESTDATA / "models" / f"{name}.safetensors" for name in ("classes", "values", "labels"))
    commands = [
        ("structure", ["rnaret-fold", "--energy"], None),
        ("coding", ["rnaret-coding"], "--summary"),
        ("site", ["rnaret-mirtarget", "--mirna", MIRNAS], None),
        ("embedding", ["rnaret-embed"], None),
        ("embedding", ["rnaret-embed", "--pool", "none"], None),
        ("class", ["rnaret-predict", "--model", classes], None),
        ("class", ["rnaret-predict", "--model", labels], None),
        ("value", ["rnaret-predict", "--model", values], None),
    ]
    for kind, command, summary in commands:
        validator = jsonschema.Draft202012Validator({"$defs": schema["$defs"], "$ref": f"#/$defs/{kind}"})
        for keep in [[], ["--keep-description"]]:
            objects = [json.loads(line) for line in run(*command, *keep, "--format", "json", RNAS).decode().splitlines()]
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "table.tsv"
                table_form = [summary, path] if summary else ["--format", "tsv", "-o", path]
                run(*command, *keep, *table_form, RNAS)
                rows = list(csv.DictReader(path.open(), delimiter="\t", quoting=csv.QUOTE_NONE))
            what = " ".join(map(str, command + keep))
            same(len(objects), len(rows), f"{what}: as many objects as rows")
            for found, row in zip(objects, rows):
                errors = [error.message for error in validator.iter_errors(found)]
                require(not errors, f"{what}: {found}: {errors}")
                same("description" in found, bool(keep), f"{what}: the description")
                flat = {f"p_{name}": value for name, value in found.pop("probabilities", {}).items()}
                flat |= {f"e{place}": value for place, value in enumerate(found.pop("vector", []))} | found
                same(set(flat), set(row), f"{what}: keys are the columns")
                for name, cell in row.items():
                    value = flat[name]
                    agrees = cell == value if isinstance(value, str) else cell == "NA" if value is None else float(cell) == value
                    require(agrees, f"{what}: {name}: {value!r} is not {cell!r}")
    # Wrong objects are told from right ones.
    validator = jsonschema.Draft202012Validator({"$defs": schema["$defs"], "$ref": "#/$defs/structure"})
    require(not validator.is_valid({"id": "a", "length": "4"}), "the schema refuses what is wrong")


@check
def coding_of_the_reference():
    """Published weights skip the residual blocks, as the published forward pass does."""
    for k in (1, 3):
        records = manifest(k)["heads"]["coding"]
        with tempfile.TemporaryDirectory() as folder:
            fasta, folder = golden_fasta(records, folder), pathlib.Path(folder)
            weights, summary, track = GOLDEN / f"k{k}_coding.pth", folder / "summary.tsv", folder / "track.bedgraph"
            run("rnaret-coding", "--model", weights, "--summary", summary, "--track", track, fasta)
            potentials = table(summary.read_bytes()).set_index("id")["coding_potential"]
            bases = {record["file"][:-4]: np.full(len(record["seq"]), np.nan) for record in records}
            for chrom, start, end, value in read_bed(track.read_bytes(), 4):
                bases[chrom][int(start) : int(end)] = float(value)
            for record in records:
                name, vectors = record["file"][:-4], np.load(GOLDEN / record["file"])
                reference = 1 / (1 + np.exp(-vectors["cds_logits_blocks_skipped"].astype(float)))
                known = np.array([letter in "ACGU" for letter in record["seq"].upper().replace("T", "U")])
                require(np.isnan(bases[name][~known]).all(), f"{name}: an N has no probability")
                close(bases[name][known], reference[known], f"{name} per-base probability", 1e-3)
                # Transcripts of less than 200 nt, and those of N, are given none.
                if potentials[name] != "NA":
                    potential = float(potentials[name])
                    close(potential, vectors["coding_potential_blocks_skipped"], f"{name} coding potential", 1e-3)
                else:
                    require(len(record["seq"]) < 200 or not known.all(), f"{name} has a coding potential")


# ---------------------------------------------------------------------------------------------------- miRNA


SITE_COLUMNS = ["mirna", "target", "start", "end", "seed_type", "probability", "seed_start", "seed_end", "energy", "percentile", "strand"]


@check
def target_sites():
    mirnas = read_fasta(MIRNAS)
    frame = table(run("rnaret-mirtarget", "--mirna", MIRNAS, RNAS))
    same(list(frame.columns), SITE_COLUMNS, "header")
    require(len(frame) > 0, "some candidate site")
    for row in frame.itertuples():
        require(row.mirna in mirnas and row.target in RECORDS, f"names of {row}")
        require(0 <= row.start < row.end <= len(RECORDS[row.target]), f"site of {row}")
        require(0 <= row.probability <= 1, f"probability of {row}")
        require(row.start <= row.seed_start < row.seed_end <= row.end, f"seed of {row}")
        require(row.energy < 5 and 0 <= row.percentile <= 100 and row.strand == "+", f"energy and percentile of {row}")
    mir21 = frame[(frame["mirna"] == "hsa-miR-21-5p") & (frame["target"] == "FASLG_3UTR")]
    seed = RECORDS["FASLG_3UTR"].index("AUAAGCUA")  # the 8mer site of miR-21-5p
    require(((mir21["start"] <= seed) & (mir21["end"] >= seed + 8)).any(), "the miR-21 site in the FASLG 3'UTR is a candidate")
    sites = read_bed(run("rnaret-mirtarget", "--mirna", MIRNAS, "--format", "bed", RNAS), 6)
    same(len(sites), len(frame), "BED has as many sites")
    for row, site in zip(frame.itertuples(), sites, strict=True):
        same([site[0], int(site[1]), int(site[2])], [row.target, row.start, row.end], "BED and TSV")


@check
def pairs_in_order():
    given = pd.read_csv(PAIRS, sep="\t")
    frame = table(run("rnaret-mirtarget", "--pairs", PAIRS))
    same(list(frame["mirna"]), list(given["mirna"]), "one row for each pair, in order")
    same(list(frame["target"]), list(given["target"]), "targets in order")
    renamed = given.rename(columns={"mirna": "mirna_name", "target": "target_id"})
    renamed = renamed[["label", "target_seq", "target_id", "mirna_seq", "mirna_name"]].to_csv(sep="\t", index=False)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "renamed.tsv"
        path.write_text(renamed)
        same(table(run("rnaret-mirtarget", "--pairs", path))["probability"].tolist(), frame["probability"].tolist(), "by name")


@check
def pair_probabilities_of_the_reference_head():
    for k in (1, 3, 5):
        records = manifest(k)["heads"]["mirtarget"]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "pairs.tsv"
            rows = [f"m{n}\t{r['mirna']}\tt{n}\t{r['target']}" for n, r in enumerate(records)]
            path.write_text("\n".join(["mirna\tmirna_seq\ttarget\ttarget_seq", *rows]) + "\n")
            frame = table(run("rnaret-mirtarget", "--model", GOLDEN / f"k{k}_mirtarget.pth", "--pairs", path))
            close(frame["probability"], [r["probability"] for r in records], f"k = {k}", 1e-3)


# --------------------------------------------------------------------------------------------------- models


@check
def imported_weights():
    """A published .pth and the safetensors made of it are the same model; other software reads the latter."""
    tools = {
        "fold": ["rnaret-fold", RNAS, "--decoder", "nested"],
        "coding": ["rnaret-coding", RNAS, "--threshold", "0"],
        "mirtarget": ["rnaret-mirtarget", "--pairs", PAIRS],
    }
    for task, command in tools.items():
        with tempfile.TemporaryDirectory() as folder:
            published, model = GOLDEN / f"k1_{task}.pth", pathlib.Path(folder) / "model.safetensors"
            run("rnaret-train", "import", published, "-o", model)
            with safetensors.safe_open(model, "np") as tensors:
                about = json.loads(tensors.metadata()["rnaret"])
                same((about["config"]["version"], about["config"]["encoder"]["k"]), (2, 1), "metadata")
                require("provenance" in about, "provenance")
                width = tensors.get_tensor("encoder.embedding.weight").shape
                same(width, (10, manifest(1)["config"]["embed_dim"]), "embedding")
            same(run(*command, "--model", model), run(*command, "--model", published), f"{task}: same bytes")
            run(command[0], *command[1:], "--model", GOLDEN / "k1.pth", status=1)


@check
def training_tables():
    """A run and its resumption leave tables that pandas reads."""
    with tempfile.TemporaryDirectory() as folder:
        run_folder = pathlib.Path(folder) / "run"
        size = ["--layers", 1, "--embed-dim", 16, "--value-dim", 16, "--ffn-dim", 16, "--head-blocks", 1, "--head-width", 8]
        data = TESTDATA / "structures" / "known.dbn"
        command = ["rnaret-train", "fold", "--run", run_folder, *size, "--steps", 2, "--validation-fraction", 0, data]
        run(*command)
        require("step" in table((run_folder / "metrics.tsv").read_bytes()).columns, "metrics.tsv")
        model = run_folder / "model.safetensors"
        with safetensors.safe_open(model, "np") as tensors:
            require(all(np.isfinite(tensors.get_tensor(name)).all() for name in tensors.keys()), "finite weights")
        read_dbn(run("rnaret-fold", "--model", model, "-", stdin=b">a\nGGGAAAUCCC\n"))
        frame = table(run("rnaret-train", "evaluate", "--task", "fold", "--model", model, data))
        same(list(frame.columns), ["figure", "model"], "figures")
        require({"f1", "precision", "recall"} <= set(frame["figure"]), "figures of base pairs")


# ------------------------------------------------------------------------------ shards, compression, conventions


SHARDED = [
    ["rna-kmerize", "-k", "3"],
    ["rnaret-embed"],
    ["rnaret-embed", "--retention", "first-row"],
    ["rnaret-embed", "--likelihood"],
    ["rnaret-fold"],
    ["rnaret-fold", "--format", "ct"],
    ["rnaret-fold", "--format", "bpseq"],
    ["rnaret-fold", "--format", "tsv"],
    ["rnaret-coding", "--threshold", "0"],
    ["rnaret-mirtarget", "--mirna", MIRNAS],
    ["rnaret-mirtarget", "--mirna", MIRNAS, "--format", "bed"],
    ["rnaret-predict", "--model", TESTDATA / "models" / "classes.safetensors"],
    ["rnaret-predict", "--model", TESTDATA / "models" / "labels.safetensors"],
]


def short_records(folder):
    """The three short RNAs and short pieces of the long ones: enough records to share out, quick to fold."""
    path = pathlib.Path(folder) / "short.fa"
    path.write_text("".join(f">{name} first 150\n{sequence[:150]}\n" for name, sequence in RECORDS.items()))
    return path


@check
def shards():
    with tempfile.TemporaryDirectory() as folder:
        records = short_records(folder)
        for command in SHARDED:
            whole = run(*command, records)
            parts = [run(*command, "--shard", f"{n}/3", records) for n in (1, 2, 3)]
            label = " ".join(map(str, command))
            require(all(len(part) < len(whole) for part in parts), f"{label}: every shard is a part")
            same(b"".join(parts), whole, f"{label}: shards one after the other")
            same(run(*command, "--shard", "1/1", records), whole, f"{label}: --shard 1/1")
            same(run(*command, "-t", "1", records), run(*command, "-t", "2", records), f"{label}: threads")
        pairs = ["rnaret-mirtarget", "--pairs", PAIRS]
        parts = [run(*pairs, "--shard", f"{n}/3") for n in (1, 2, 3)]
        same(b"".join(parts), run(*pairs), "rnaret-mirtarget --pairs: shards one after the other")
        tokens = pathlib.Path(folder) / "tokens.tsv"
        tokens.write_bytes(run("rna-kmerize", "-k", "3", records))
        parts = [run("rna-mask", "--shard", f"{n}/3", tokens) for n in (1, 2, 3)]
        same(b"".join(parts), run("rna-mask", tokens), "rna-mask: shards one after the other")


@check
def batches():
    """What is computed together changes no byte."""
    for command in (
        ["rnaret-embed", "--pool", "none"],
        ["rnaret-embed"],
        ["rnaret-fold"],
        ["rnaret-coding", "--threshold", "0"],
        ["rnaret-mirtarget", "--mirna", MIRNAS, "--candidates", "all"],
    ):
        whole = run(*command, RNAS)
        for size in (1, 100, 900):
            same(run(*command, "--batch-tokens", size, RNAS), whole, f"{' '.join(map(str, command))}: batches of {size}")


BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


@check
def compressed_output():
    with tempfile.TemporaryDirectory() as folder:
        records = short_records(folder)
        for command in SHARDED:
            plain, path = run(*command, records), pathlib.Path(folder) / "out.gz"
            same(run(*command, "-o", path, records), b"", "nothing on standard output")
            data = path.read_bytes()
            label = " ".join(map(str, command))
            same(gzip.decompress(data), plain, f"{label}: gzip reads it")
            require(data[12:14] == b"BC" and data.endswith(BGZF_END), f"{label}: bgzip blocks with their end marker")
            left = sorted(p.name for p in pathlib.Path(folder).iterdir())
            same(left, ["out.gz", "short.fa"], f"{label}: no temporary file is left")


@check
def input_forms():
    plain = gzip.decompress(RNAS.read_bytes())
    dna = b"\n".join(line if line.startswith(b">") else line.lower().replace(b"u", b"t") for line in plain.split(b"\n"))
    whole = run("rna-kmerize", "-k", 3, RNAS)
    for label, data in {
        "standard input": plain,
        "gzip on standard input": RNAS.read_bytes(),
        "lower-case DNA": dna,
        "CRLF": plain.replace(b"\n", b"\r\n"),
    }.items():
        same(run("rna-kmerize", "-k", 3, stdin=data), whole, label)
        same(run("rna-kmerize", "-k", 3, "-", stdin=data), whole, f"{label}, as -")


TOOLS = ["rna-kmerize", "rna-mask", "rnaret-embed", "rnaret-fold", "rnaret-coding", "rnaret-mirtarget", "rnaret-predict", "rnaret-report", "rnaret-train"]


@check
def conventions():
    version = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT, check=True, capture_output=True
        ).stdout
    )["packages"][0]["version"]
    for tool in TOOLS:
        same(run(tool, "--version").decode(), f"{tool} {version}\n", "--version is one line")
        text = run(tool, "--help").decode()
        require("testdata/" in text, f"{tool} --help shows examples on testdata")
        run(tool, "--no-such-flag", status=2)
    for name in ("truncated.fa.gz", "empty_record.fa", "bad_letter.fa", "truncated.fq"):
        run("rna-kmerize", "-k", 3, TESTDATA / "broken" / name, status=1)
    run("rnaret-embed", "--pool", "none", "--format", "safetensors", TESTDATA / "broken" / "duplicate_ids.fa", status=1)
    run("rna-kmerize", "-k", 3, "--shard", "1/2", stdin=b">a\nACGU\n", status=2)


@check
def help_examples():
    """The examples of every --help run as they stand, from the root of the repository."""
    for tool in TOOLS:
        lines = [line.strip().removeprefix("$ ") for line in run(tool, "--help").decode().splitlines()]
        examples = [line for line in lines if line.startswith(tuple(f"{t} " for t in TOOLS)) and "testdata/" in line]
        require(len(examples) >= 2, f"{tool} --help shows {len(examples)} examples")
        environment = {**os.environ, "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}"}
        for example in examples:
            # They may write files, so they get a folder of their own in which testdata/ is where they expect it.
            with tempfile.TemporaryDirectory() as folder:
                (pathlib.Path(folder) / "testdata").symlink_to(TESTDATA)
                command = ["bash", "-euo", "pipefail", "-c", example]
                done = subprocess.run(command, cwd=folder, env=environment, capture_output=True)
                require(done.returncode == 0, f"{example}\n{done.stderr.decode()}")
                written = [path for path in pathlib.Path(folder).iterdir() if path.name != "testdata"]
                require(done.stdout or any(path.stat().st_size for path in written), f"{example}: gives nothing")


def main():
    global BINARIES
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=pathlib.Path, default=BINARIES, help="folder of the release binaries")
    parser.add_argument("checks", nargs="*", help=f"only these: {' '.join(c.__name__ for c in CHECKS)}")
    arguments = parser.parse_args()
    BINARIES = arguments.binaries.resolve()
    missing = [tool for tool in TOOLS if not (BINARIES / tool).is_file()]
    if missing and not arguments.checks:
        sys.exit(f"not built: {', '.join(missing)} in {BINARIES}; run: cargo build --release")
    unknown = set(arguments.checks) - {c.__name__ for c in CHECKS}
    if unknown:
        sys.exit(f"no such check: {', '.join(sorted(unknown))}")
    failed = []
    for function in CHECKS:
        if arguments.checks and function.__name__ not in arguments.checks:
            continue
        try:
            function()
            print(f"ok      {function.__name__}", flush=True)
        except Exception as error:
            failed.append(function.__name__)
            if not isinstance(error, AssertionError):
                traceback.print_exc()
            print(f"FAILED  {function.__name__}: {error}", flush=True)
    if failed:
        sys.exit(f"{len(failed)} of {len(CHECKS)} checks failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
