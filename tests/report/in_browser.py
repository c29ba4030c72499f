#!/usr/bin/env python3
"""Opens reports of rnaret-report in a headless Chromium, as a reader does: sorts, filters, clicks, saves.

    python3 tests/report/in_browser.py --binaries target/release [--screenshots FOLDER]

Needs the packages of requirements.txt and a Chromium (Debian's package `chromium`, or --chromium PATH). The pages are
opened as files, without a network, and any message of an error on the console fails the run.
"""

import argparse
import gzip
import json
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
# Names that would do something if anything read them as HTML. FASTA's ids end at a blank.
EVIL = ["<script>window.harmed=1</script>", '"><img/src=x/onerror=window.harmed=1>', "</script><svg/onload=window.harmed=1>"]


def fasta() -> str:
    """The six RNAs of testdata, and the same letters under names that mean harm."""
    text = gzip.open(ROOT / "testdata/rnas.fa.gz", "rt").read()
    sequence = "GGGGCUAUAGCUCAGCUGGGAGAGCGCUUGCAUGGCAUGCAAGAGGUCAGCGGUUCGAUCCCGCUUAGCUCCACCA"
    return text + "".join(f">{name} a description\n{sequence}\n" for name in EVIL)


def results(binaries: Path, folder: Path) -> Path:
    """What the pipelines write about these RNAs, and the tables that they leave out."""
    folder.mkdir()
    rnas = folder.parent / "rnas.fa"
    rnas.write_text(fasta())

    def run(tool: str, *arguments: str) -> None:
        subprocess.run([binaries / tool, "-q", "--stats", folder / "rnaret.stats.tsv", *arguments, rnas], check=True)

    run("rnaret-fold", "--format", "tsv", "--energy", "--pairs", f"{folder}/rnas.pairs.tsv", "--homologs", f"{folder}/rnas.homologs.tsv", "-o", f"{folder}/rnas.structures.tsv.gz")
    run("rnaret-coding", "--summary", f"{folder}/rnas.potential.tsv.gz", "--track", f"{folder}/rnas.track.bedgraph.gz", "-o", f"{folder}/rnas.cds.bed.gz")
    run("rnaret-mirtarget", "--mirna", str(ROOT / "testdata/mirnas.fa"), "-o", f"{folder}/rnas.sites.tsv.gz")
    run("rnaret-embed", "-o", f"{folder}/rnas.embeddings.tsv.gz")
    run("rnaret-embed", "--likelihood", "-o", f"{folder}/rnas.likelihood.tsv")
    return folder


def many(folder: Path, count: int) -> Path:
    """Results of this many records, made up: lengths as of a mixture of small RNAs and transcripts."""
    folder.mkdir()
    draw = random.Random(1)
    with open(folder / "many.structures.tsv", "w") as structures, open(folder / "many.potential.tsv", "w") as potential, open(
        folder / "many.embeddings.tsv", "w"
    ) as embeddings, open(folder / "many.sites.tsv", "w") as sites:
        structures.write("id\tlength\tsequence\tstructure\tpairs\tenergy\tensemble_energy\tmean_pair_probability\n")
        potential.write("id\tlength\tcoding_potential\tlabel\tstate\tstrand\torf_start\torf_end\torf_length\torf_coverage\n")
        embeddings.write("id\tlength\t" + "\t".join(f"e{i}" for i in range(96)) + "\n")
        sites.write("mirna\ttarget\tstart\tend\tseed_type\tprobability\n")
        for number in range(count):
            length = draw.choice([76, 120, 300, 800, 1500, 3000])
            letters = [draw.choice("ACGU") for _ in range(length)]
            line = ["."] * length
            # Hairpins one after another, some with branches.
            at = draw.randrange(10)
            while at + 30 < length:
                stem, loop = draw.randrange(4, 12), draw.randrange(3, 9)
                if draw.random() < 0.3 and at + 2 * stem + 70 < length:
                    wide = draw.randrange(50, 70)
                else:
                    wide = loop
                if at + 2 * stem + wide >= length:
                    break
                for step in range(stem):
                    i, j = at + step, at + 2 * stem + wide - 1 - step
                    line[i], line[j] = "(", ")"
                    letters[i], letters[j] = draw.choice(["GC", "CG", "AU", "UA"])
                if wide > loop:
                    inner = at + stem + 4
                    for step in range(6):
                        line[inner + step], line[inner + 30 - step] = "(", ")"
                at += 2 * stem + wide + draw.randrange(1, 12)
            name = f"record{number:05d}"
            pairs = line.count("(")
            structures.write(f"{name}\t{length}\t{''.join(letters)}\t{''.join(line)}\t{pairs}\t{-0.9 * pairs:.2f}\t{-0.95 * pairs:.2f}\t0.8\n")
            coding = draw.random()
            potential.write(f"{name}\t{length}\t{coding:.6g}\t{'mRNA' if coding > 0.5 else 'lncRNA'}\tnone\t+\tNA\tNA\tNA\tNA\n")
            embeddings.write(f"{name}\t{length}\t" + "\t".join(f"{draw.gauss(coding * (i % 3), 1):.6g}" for i in range(96)) + "\n")
            for _ in range(draw.randrange(4)):
                start = draw.randrange(length - 50)
                sites.write(f"mir-{draw.randrange(20)}\t{name}\t{start}\t{start + 50}\t7mer-m8\t{draw.random():.6g}\n")
    return folder


class Reader:
    """A page with what it says on its console, and what it asks of a network."""

    def __init__(self, browser, report: Path):
        self.page: Page = browser.new_page()
        self.problems: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text) if message.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.problems.append(f"a dialog: {dialog.message}"))
        self.page.on("request", lambda request: None if request.url.startswith(("file:", "blob:", "data:")) else self.problems.append(f"asked for {request.url}"))
        begin = time.monotonic()
        self.page.goto(report.as_uri())
        self.page.wait_for_selector("html[data-ready=true]", timeout=60_000)
        self.seconds = time.monotonic() - begin

    def column(self, name: str) -> list[str]:
        """The cells of a column on the page that is shown."""
        place = self.page.locator("#table thead th button").evaluate_all("(buttons, name) => buttons.findIndex((button) => button.dataset.sort === name)", name)
        assert place >= 0, f"there is no column {name}"
        return self.page.locator(f"#table tbody tr td:nth-child({place + 1})").all_text_contents()

    def sort(self, name: str) -> None:
        self.page.click(f'[data-sort="{name}"]')

    def filter(self, name: str, text: str) -> None:
        self.page.fill(f'[data-filter="{name}"]', text)

    def choose(self, record: str) -> None:
        self.page.fill("#search", record)
        self.page.locator("#table tbody tr").first.click()
        expect(self.page.locator("#record h2")).to_have_text(record)

    def save(self, selector: str) -> str:
        with self.page.expect_download() as download:
            self.page.click(selector)
        return Path(download.value.path()).read_text()

    def check(self) -> None:
        assert not self.problems, self.problems
        assert self.page.evaluate("window.harmed") is None, "a name was run as a script"


def numbers(cells: list[str]) -> list[float]:
    return [float(cell.replace(",", "")) for cell in cells if cell != "–"]


def check_small(reader: Reader, folder: Path, screenshots: Path | None) -> None:
    page = reader.page
    count = len(fasta().split(">")) - 1 - "".join(EVIL).count(">")
    assert f"{count} records" in page.inner_text("#summary")

    # Sorting, both ways; what is missing comes last.
    reader.sort("length")
    lengths = numbers(reader.column("length"))
    assert lengths == sorted(lengths, reverse=True) and len(lengths) == count, lengths
    reader.sort("length")
    lengths = numbers(reader.column("length"))
    assert lengths == sorted(lengths), lengths
    for _ in range(2):
        reader.sort("coding")
        labels = reader.column("coding")
        assert "mRNA" in labels and set(labels[labels.index("–") :]) == {"–"}, labels

    # Filtering, by numbers and by text.
    reader.filter("length", ">200")
    assert min(numbers(reader.column("length"))) > 200
    reader.filter("length", "70..80")
    assert {70 <= length <= 80 for length in numbers(reader.column("length"))} == {True}
    reader.filter("length", "")
    page.fill("#search", "trna")
    assert reader.column("id") and all("trna" in name.lower() for name in reader.column("id"))
    page.fill("#search", "")
    table = reader.save("#save-table").splitlines()
    assert len(table) == count + 1 and table[0].startswith("id\t"), table[0]
    reader.check()

    # Names that mean harm are names.
    for name in EVIL:
        reader.choose(name)
        assert page.inner_text("#record h2") == name
        page.hover("#record h2")
        reader.check()
    if screenshots:
        page.screenshot(path=screenshots / "harm.png", full_page=True)

    # Every record can be looked at in every way, and what is saved is what the tools wrote.
    page.fill("#search", "")
    with gzip.open(folder / "rnas.structures.tsv.gz", "rt") as rows:
        header, *rows = [row.rstrip("\n").split("\t") for row in rows]
    for row in rows:
        known = dict(zip(header, row))
        reader.choose(known["id"])
        for view in ["arcs", "dots", "drawing"]:
            page.click(f'[data-view="{view}"]')
            box = page.locator("#structure-view svg").bounding_box()
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            page.mouse.wheel(0, -300)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 3)
            page.mouse.up()
            if screenshots and view != "drawing":
                page.click("text=Whole >> nth=0")
                page.locator("#structure-view").screenshot(path=screenshots / f"{known['id'][:20].replace('/', '_')}.{view}.png")
        page.click("text=Whole >> nth=0")
        if screenshots:
            page.locator("#record").screenshot(path=screenshots / f"{known['id'][:20].replace('/', '_')}.png")
        assert reader.save('[data-save="dbn"]').split("\n")[1:3] == [known["sequence"], known["structure"]]
        table = reader.save('[data-save="ct"]').splitlines()
        assert len(table) == len(known["sequence"]) + 1
        assert sum(line.split()[4] != "0" for line in table[1:]) == 2 * int(known["pairs"])
        picture = reader.save('[data-save="svg"]')
        assert picture.startswith("<?xml") and picture.count("<circle") == len(known["sequence"])
        reader.check()
    assert page.locator(".tracks").count() == 1

    # The other parts.
    for part in ["map", "distributions", "runs"]:
        page.click(f'[data-part="{part}"]')
        assert page.locator(f"#{part}").is_visible()
        if part == "runs":
            text = page.inner_text("#runs")
            assert "rnaret-fold" in text and "What it is for" in text and "Limits" in text, text
        if part == "map":
            # A click on a point shows its record.
            where = page.evaluate("(() => { const canvas = document.getElementById('map-canvas'); const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height); const at = []; for (let i = 0; i < data.data.length; i += 4) if (data.data[i + 3] > 250 && data.data[i] + data.data[i + 1] + data.data[i + 2] < 500) { at.push([(i / 4) % canvas.width, Math.floor(i / 4 / canvas.width)]); } return at[Math.floor(at.length / 2)]; })()")
            ratio = page.evaluate("devicePixelRatio")
            page.evaluate("document.getElementById('record').querySelector('h2').textContent = ''")
            page.locator("#map-canvas").click(position={"x": where[0] / ratio, "y": where[1] / ratio})
            expect(page.locator("#record h2")).not_to_have_text("")
        if screenshots:
            page.screenshot(path=screenshots / f"{part}.png", full_page=True)
        reader.check()
    page.click('[data-part="records"]')
    if screenshots:
        page.screenshot(path=screenshots / "records.png")


def check_many(reader: Reader, count: int, screenshots: Path | None) -> None:
    page = reader.page
    assert f"{count:,} records" in page.inner_text("#summary")
    reader.sort("length")
    assert len(reader.column("id")) == 15
    page.click('[aria-label="Next page"]')
    assert "page 2 of" in page.inner_text("#table-state")
    reader.filter("coding", "mrna")
    reader.filter("coding potential", ">0.9")
    assert min(numbers(reader.column("coding potential"))) > 0.9
    reader.filter("coding", "")
    reader.filter("coding potential", "")
    reader.choose(f"record{count - 1:05d}")
    page.click('[data-part="map"]')
    if screenshots:
        page.screenshot(path=screenshots / "many-map.png")
    page.click('[data-part="distributions"]')
    if screenshots:
        page.screenshot(path=screenshots / "many-distributions.png", full_page=True)
    reader.check()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/release")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("chromium-browser"))
    parser.add_argument("--screenshots", type=Path)
    parser.add_argument("--records", type=int, default=5000, help="of the large report")
    arguments = parser.parse_args()
    binaries = arguments.binaries.resolve()
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        scratch = Path(scratch)
        small = results(binaries, scratch / "results")
        reports = {}
        for name, folder in [("small", small), ("many", many(scratch / "many", arguments.records))]:
            reports[name] = scratch / f"{name}.html"
            begin = time.monotonic()
            subprocess.run([binaries / "rnaret-report", "-q", "--title", "Test of the report", "-o", reports[name], folder], check=True)
            print(f"{name}: {reports[name].stat().st_size / 1e6:.2f} MB, made in {time.monotonic() - begin:.2f} s")
        assert reports["many"].stat().st_size < 20e6, "5,000 records take more than 20 MB"
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        print(f"Chromium {browser.version}")
        context = browser.new_context(offline=True, viewport={"width": 1400, "height": 1000})
        for name, check in [("small", lambda reader: check_small(reader, small, arguments.screenshots)), ("many", lambda reader: check_many(reader, arguments.records, arguments.screenshots))]:
            reader = Reader(context, reports[name])
            print(f"{name}: opened in {reader.seconds:.2f} s")
            check(reader)
            reader.check()
        browser.close()
    print(json.dumps({"reports": "well"}))


if __name__ == "__main__":
    main()
