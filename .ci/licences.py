"""That every dependency, those of all features and platforms included, may be used under a licence that deny.toml allows
and comes from crates.io.

    cargo metadata --format-version 1 --all-features --locked | python3 .ci/licences.py deny.toml
"""

import json
import re
import sys
import tomllib


def allowed(expression: str, licences: set[str]) -> bool:
    """Whether an SPDX expression is met by these licences. A slash is what OR was written as once."""
    tokens = re.findall(r"[()]|[^\s()/]+|/", expression)
    place = 0

    def peek() -> str:
        return tokens[place] if place < len(tokens) else ""

    def take() -> str:
        nonlocal place
        place += 1
        return tokens[place - 1]

    def one() -> bool:
        if peek() == "(":
            take()
            value = any_of()
            if not tokens[place:] or take() != ")":
                raise ValueError(f"a bracket is missing in {expression}")
            return value
        name = take()
        if peek() == "WITH":
            name = f"{name} {take()} {take()}"
        return name in licences

    def all_of() -> bool:
        value = one()
        while peek() == "AND":
            take()
            value = one() and value
        return value

    def any_of() -> bool:
        value = all_of()
        while peek() in ("OR", "/"):
            take()
            value = all_of() or value
        return value

    value = any_of()
    if place != len(tokens):
        raise ValueError(f"{expression} is no licence expression")
    return value


def main() -> None:
    with open(sys.argv[1], "rb") as file:
        licences = set(tomllib.load(file)["licenses"]["allow"])
    assert allowed("(MIT OR GPL-3.0) AND Zlib", {"MIT", "Zlib"})
    assert not allowed("(MIT OR GPL-3.0) AND Zlib", {"MIT"})
    assert allowed("Unlicense/MIT", {"MIT"}) and not allowed("MIT AND GPL-3.0", {"MIT"})
    packages = json.load(sys.stdin)["packages"]
    wrong = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if package["source"] not in (None, "registry+https://github.com/rust-lang/crates.io-index"):
            wrong.append(f"{name} comes from {package['source']}")
        if not package["license"]:
            wrong.append(f"{name} states no licence")
        elif not allowed(package["license"], licences):
            wrong.append(f"{name} is under {package['license']}, which deny.toml does not allow")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(packages)} packages, all under licences that deny.toml allows")


if __name__ == "__main__":
    main()
