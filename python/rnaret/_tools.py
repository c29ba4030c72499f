"""Running the tools: where they are, what they are given, and what becomes of their errors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Iterable, Mapping, Sequence, Union

#: RNAs: a FASTA or FASTQ file, ids and sequences, or pairs of them.
Rnas = Union[str, "os.PathLike[str]", Mapping[str, str], Iterable["tuple[str, str]"]]

#: The value of an option: ``True`` is a flag, ``None`` and ``False`` leave it out, a sequence repeats it.
Option = Union[None, bool, int, float, str, "os.PathLike[str]", Sequence[Union[int, float, str, "os.PathLike[str]"]]]


class RnaretError(RuntimeError):
    """A tool ended with an error: its message says which record, and what to do."""


def program(tool: str) -> str:
    """The path of a tool: beside this interpreter, where pip puts it, or on ``PATH``."""
    for scheme in (None, "posix_user"):
        folder = sysconfig.get_path("scripts") if scheme is None else sysconfig.get_path("scripts", scheme)
        beside = Path(folder) / tool
        if beside.is_file():
            return str(beside)
    found = shutil.which(tool)
    if found is None:
        raise RnaretError(f"{tool} is neither beside this Python nor on PATH: install the package rnaret again")
    return found


def run(tool: str, *arguments: str | os.PathLike[str], input: bytes | None = None) -> bytes:  # noqa: A002
    """Runs a tool, such as ``"rnaret-fold"``, with ``input`` as its standard input; returns its standard output.

    Raises :class:`RnaretError` with the tool's message where it fails.
    """
    command = [program(tool), *(os.fspath(argument) for argument in arguments)]
    done = subprocess.run(command, input=b"" if input is None else input, capture_output=True, check=False)
    if done.returncode != 0:
        message = done.stderr.decode(errors="replace").strip()
        raise RnaretError(message or f"{tool} ended with status {done.returncode}")
    return done.stdout


def options_of(options: Mapping[str, Option]) -> list[str]:
    """Keywords as options of a command line."""
    words: list[str] = []
    for name, value in options.items():
        flag = "--" + name.rstrip("_").replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            words.append(flag)
            continue
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        words.extend(f"{flag}={os.fspath(one) if isinstance(one, os.PathLike) else one}" for one in values)
    return words


def inputs_of(rnas: Rnas) -> tuple[list[str], bytes | None]:
    """RNAs as the arguments and the standard input of a tool."""
    if isinstance(rnas, (str, os.PathLike)):
        path = os.fspath(rnas)
        if not os.path.exists(path):
            raise FileNotFoundError(f"{path}: no such file; sequences are given as a dict or as pairs of id and sequence")
        return ["--", path], None
    return ["--", "-"], fasta(rnas)


def fasta(rnas: Mapping[str, str] | Iterable[tuple[str, str]]) -> bytes:
    """Ids and sequences as FASTA. An id is one word."""
    pairs = rnas.items() if isinstance(rnas, Mapping) else rnas
    lines = []
    for pair in pairs:
        if isinstance(pair, str) or len(pair) != 2:
            raise TypeError(f"RNAs are a path, a mapping from id to sequence, or pairs of both; this is no pair: {pair!r}")
        name, sequence = pair
        if not isinstance(name, str) or not isinstance(sequence, str):
            raise TypeError(f"ids and sequences are texts: {pair!r}")
        if not name or name.split() != [name]:
            raise ValueError(f"an id is one word without blanks: {name!r}")
        if not sequence or sequence.split() != [sequence] or ">" in sequence:
            raise ValueError(f"{name}: a sequence is one word of letters, not {sequence[:40]!r}")
        lines.append(f">{name}\n{sequence}\n")
    return "".join(lines).encode()
