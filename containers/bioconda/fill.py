"""Makes the Bioconda recipe of a release from the template beside this script.

    python3 containers/bioconda/fill.py OWNER ARCHIVE OUTPUT

OWNER is whose GitHub repository it is, ARCHIVE the release's archive, downloaded from the address that the recipe names, OUTPUT the folder
for meta.yaml and build.sh (in a clone of bioconda-recipes: recipes/rnaret). Refuses an archive of another version.
"""

import hashlib
import re
import shutil
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    owner, archive, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if not re.fullmatch(r"[A-Za-z0-9-]+", owner):
        sys.exit(f"{owner!r} is not the name of a GitHub user or organisation")
    text = (HERE / "meta.yaml").read_text()
    version = re.search(r'{% set version = "([^"]*)" %}', text)[1]
    with tarfile.open(archive) as tar:
        manifest = next((member for member in tar if re.fullmatch(r"[^/]+/Cargo\.toml", member.name)), None)
        if manifest is None:
            sys.exit(f"{archive} holds no Cargo.toml in its one folder: is it the archive of the release?")
        packed = re.search(r'^version = "(.*)"', tar.extractfile(manifest).read().decode(), re.M)[1]
    if packed != version:
        sys.exit(f"{archive} is of version {packed}, the recipe of {version}")

    text = re.sub(r"\A(#.*\n)+", "", text)
    text = re.sub(r"^ *# RELEASE:.*\n", "", text, flags=re.M)
    text = text.replace("OWNER", owner).replace("0" * 64, hashlib.sha256(archive.read_bytes()).hexdigest())
    output.mkdir(parents=True, exist_ok=True)
    (output / "meta.yaml").write_text(text)
    shutil.copy(HERE / "build.sh", output / "build.sh")
    print(f"{output / 'meta.yaml'}: rnaret {version} of {owner}")


if __name__ == "__main__":
    main()
