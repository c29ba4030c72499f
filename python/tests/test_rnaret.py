"""The module against the tools that it calls: python3 -m unittest discover python/tests (with the package installed)."""

import gzip
import math
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import rnaret

TESTDATA = Path(__file__).resolve().parents[2] / "testdata"
RNAS = TESTDATA / "rnas.fa.gz"
HAIRPIN = "GGGGCCCUUUUGGGCCCC"


def pairs() -> "list[tuple[str, str]]":
    """The six RNAs, read here."""
    found, name = [], ""
    for line in gzip.open(RNAS, "rt"):
        if line.startswith(">"):
            name = line[1:].split()[0]
            found.append([name, ""])
        else:
            found[-1][1] += line.strip()
    return [(name, sequence) for name, sequence in found]


class Inputs(unittest.TestCase):
    def test_a_path_a_dict_and_pairs_give_the_same(self) -> None:
        from_path = rnaret.fold(RNAS, as_="records")
        self.assertEqual(from_path, rnaret.fold(str(RNAS), as_="records"))
        self.assertEqual(from_path, rnaret.fold(dict(pairs()), as_="records"))
        self.assertEqual(from_path, rnaret.fold(iter(pairs()), as_="records"))
        self.assertEqual([row["id"] for row in from_path], [name for name, _ in pairs()])

    def test_no_rnas_are_no_rows(self) -> None:
        self.assertEqual(rnaret.fold({}, as_="records"), [])

    def test_what_is_no_rna_is_refused(self) -> None:
        for rnas, error in [
            ({"two words": "ACGU"}, ValueError),
            ({"a\n>b": "ACGU"}, ValueError),
            ({"": "ACGU"}, ValueError),
            ({"a": "ACGU\n>b\nACGU"}, ValueError),
            ({"a": ""}, ValueError),
            ([("a", "ACGU", "x")], TypeError),
            (["ACGU"], TypeError),
            ({"a": 1}, TypeError),
            ("ACGU", FileNotFoundError),
        ]:
            with self.assertRaises(error, msg=repr(rnas)):
                rnaret.fold(rnas)  # type: ignore[arg-type]

    def test_an_error_of_a_tool_says_what_it_said(self) -> None:
        with self.assertRaisesRegex(rnaret.RnaretError, "record 1 \\(a\\).*position 3"):
            rnaret.fold({"a": "AC*GU"})
        with self.assertRaisesRegex(rnaret.RnaretError, "--no-such"):
            rnaret.fold({"a": "ACGU"}, no_such=1)

    def test_ids_are_texts(self) -> None:
        rows = rnaret.fold({"NA": HAIRPIN, "1": HAIRPIN, "-x": HAIRPIN}, as_="records")
        self.assertEqual([row["id"] for row in rows], ["NA", "1", "-x"])


class Tools(unittest.TestCase):
    def test_fold(self) -> None:
        [row] = rnaret.fold({"hairpin": HAIRPIN}, as_="records", energy=True, decoder="mfe", known_structures=["none"])
        self.assertEqual(row["structure"], "(((((((....)))))))")
        self.assertEqual((row["length"], row["pairs"]), (18, 7))
        self.assertIsInstance(row["energy"], float)

    def test_coding(self) -> None:
        rows = {row["id"]: row for row in rnaret.coding(RNAS, as_="records")}
        self.assertEqual(rows["HBE1"]["label"], "mRNA")
        self.assertLess(rows["HBE1"]["orf_start"], rows["HBE1"]["orf_end"])
        self.assertTrue(any(row["label"] is None for row in rows.values()), "short ones have no label")

    def test_mirtarget(self) -> None:
        from_files = rnaret.mirtarget(TESTDATA / "mirnas.fa", RNAS, as_="records")
        self.assertTrue(from_files and all(0 <= row["probability"] <= 1 for row in from_files))
        some = rnaret.mirtarget({"hsa-let-7a-5p": "UGAGGUAGUAGGUUGUAUAGUU"}, dict(pairs()), as_="records", min_prob=0.1)
        self.assertTrue(all(row["mirna"] == "hsa-let-7a-5p" and row["probability"] >= 0.1 for row in some))

    def test_predict(self) -> None:
        rows = rnaret.predict(RNAS, TESTDATA / "models/classes.safetensors", as_="records")
        for row in rows:
            parts = {name[2:]: value for name, value in row.items() if name.startswith("p_")}
            self.assertAlmostEqual(sum(parts.values()), 1, places=4)
            self.assertEqual(max(parts, key=lambda name: parts[name]), row["label"])

    def test_embed(self) -> None:
        try:
            import numpy
        except ImportError:
            self.skipTest("numpy is not installed")
        found = rnaret.embed(RNAS)
        self.assertEqual(found.ids, [name for name, _ in pairs()])
        self.assertEqual(found.lengths, [len(sequence) for _, sequence in pairs()])
        self.assertEqual(found.vectors.shape[0], len(pairs()))
        self.assertEqual(found.vectors.dtype, numpy.float32)
        of_bases = rnaret.embed(RNAS, pool="none")
        for name, length, vector in zip(found.ids, found.lengths, found.vectors):
            self.assertEqual(of_bases[name].shape, (length, len(vector)))
            numpy.testing.assert_allclose(of_bases[name].mean(axis=0), vector, rtol=1e-3, atol=1e-4)
        self.assertEqual(rnaret.embed(RNAS, model="pretrain-k5").vectors.shape[0], len(pairs()))

    def test_run(self) -> None:
        self.assertTrue(rnaret.run("rna-kmerize", "-k", "3", input=b">a\nACGU\n").startswith(b"id\tlength\ttokens\n"))
        with tempfile.TemporaryDirectory() as folder:
            rnaret.run("rnaret-fold", "--format", "tsv", "-o", f"{folder}/a.structures.tsv", RNAS)
            self.assertIn(b"<!doctype html>", rnaret.run("rnaret-report", folder))


class Pandas(unittest.TestCase):
    def setUp(self) -> None:
        try:
            import pandas  # noqa: F401
        except ImportError:
            self.skipTest("pandas is not installed")

    def test_tables_are_frames(self) -> None:
        frame = rnaret.coding(RNAS)
        self.assertEqual(list(frame.columns)[:4], ["id", "length", "coding_potential", "label"])
        self.assertEqual(frame["length"].dtype.kind, "i")
        with_missing = rnaret.coding({**dict(pairs()), "unknown": "N" * 250})
        self.assertEqual(str(with_missing["orf_start"].dtype), "Int64")
        self.assertTrue(with_missing["orf_start"].isna().iloc[-1])
        records = rnaret.coding(RNAS, as_="records")
        for (_, row), record in zip(frame.iterrows(), records):
            self.assertEqual(row["id"], record["id"])
            potential = record["coding_potential"]
            self.assertTrue(math.isnan(row["coding_potential"]) if potential is None else row["coding_potential"] == potential)
        self.assertEqual(len(rnaret.fold({})), 0)

    def test_without_pandas_tables_are_lists(self) -> None:
        with mock.patch.dict(sys.modules, {"pandas": None}):
            self.assertIsInstance(rnaret.fold({"a": HAIRPIN}), list)


if __name__ == "__main__":
    unittest.main()
