"""Packs the built binaries as a conda package and runs the package's tests, offline.

    python containers/conda/build.py BINARIES OUTPUT

BINARIES is the folder of the seven tools (target/release), OUTPUT becomes a local conda channel. Needs py-rattler-build.
Also checks that the Bioconda recipe, which is not built here, asks for the same tests and the same version, and that
containers/bioconda/fill.py fills it in.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import rattler_build
import yaml

TOOLS = ["rna-kmerize", "rna-mask", "rnaret-embed", "rnaret-fold", "rnaret-coding", "rnaret-mirtarget", "rnaret-predict", "rnaret-report", "rnaret-train"]


def bioconda_recipe(path):
    """The Bioconda recipe, with the functions that conda-build gives to recipes standing in as text."""
    text = path.read_text()
    variables = dict(re.findall(r'{% set (\w+) = "([^"]*)" %}', text))
    text = re.sub(r"{%.*?%}\n?", "", text)
    text = re.sub(r"{{\s*(\w+)\s*}}", lambda match: variables[match[1]], text)
    text = re.sub(r"{{\s*(\w+)\((.*?)\)\s*}}", lambda match: "function_" + match[1], text)
    return yaml.safe_load(text)


def check_filled(root, template):
    """What fill.py makes of an archive of this source names its owner and its checksum, and is otherwise the template."""
    archive, folder = root / "target" / "source.tar.gz", root / "target" / "bioconda"
    subprocess.run(["git", "archive", "--format=tar.gz", "--prefix=rnaret-0/", f"--output={archive}", "HEAD"], cwd=root, check=True)
    fill = [sys.executable, str(root / "containers" / "bioconda" / "fill.py")]
    subprocess.run([*fill, "some-lab", str(archive), str(folder)], check=True)
    text = (folder / "meta.yaml").read_text()
    assert not re.search("OWNER|0{64}|RELEASE", text), "everything is filled in"
    filled = bioconda_recipe(folder / "meta.yaml")
    assert filled["source"]["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert filled["source"]["url"].startswith("https://github.com/some-lab/rnaret/archive/v")
    assert {**filled, "source": 0, "about": 0, "extra": 0} == {**template, "source": 0, "about": 0, "extra": 0}
    assert filled["extra"]["recipe-maintainers"] == ["some-lab"]
    wrong = subprocess.run([*fill, "not a name", str(archive), str(folder)], capture_output=True, text=True)
    assert wrong.returncode != 0 and "is not the name" in wrong.stderr


def main():
    binaries, output = (Path(argument).resolve() for argument in sys.argv[1:])
    here = Path(__file__).resolve().parent
    root = here.parent.parent

    ours = yaml.safe_load((here / "recipe.yaml").read_text())
    theirs = bioconda_recipe(here.parent / "bioconda" / "meta.yaml")
    version = re.search(r'^version = "(.*)"', (root / "Cargo.toml").read_text(), re.M)[1]
    assert ours["context"]["version"] == theirs["package"]["version"] == version, "the recipes and Cargo.toml have one version"
    assert ours["tests"][0]["script"] == theirs["test"]["commands"], "the recipes have the same tests"
    assert ours["tests"][1]["package_contents"]["bin"] == TOOLS

    check_filled(root, theirs)

    source = root / "target" / "conda-source"
    shutil.rmtree(source, ignore_errors=True)
    (source / "bin").mkdir(parents=True)
    for tool in TOOLS:
        shutil.copy2(binaries / tool, source / "bin" / tool)
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"]:
        shutil.copy2(root / licence, source / licence)

    recipe = rattler_build.Stage0Recipe.from_file(here / "recipe.yaml")
    configuration = rattler_build.ToolConfiguration(test_strategy="native")
    for variant in recipe.render(rattler_build.VariantConfig()):
        result = variant.run_build(tool_config=configuration, output_dir=output, channels=[])
        print("built and tested:", *result.packages)


if __name__ == "__main__":
    main()
