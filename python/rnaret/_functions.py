"""One function for each tool."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

from ._tables import As, Table, read
from ._tools import Option, Rnas, fasta, inputs_of, options_of, run

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray


class Embeddings(NamedTuple):
    """Vectors of RNAs, in the order in which the RNAs came."""

    ids: list[str]
    #: Nucleotides of each.
    lengths: list[int]
    #: One row for each RNA, float32.
    vectors: NDArray[numpy.float32]


def fold(rnas: Rnas, *, as_: As = None, **options: Option) -> Table:
    """Secondary structures: a row for each RNA with ``id length sequence structure pairs``.

    ``energy=True`` adds ``energy ensemble_energy mean_pair_probability``. Other keywords are options of ``rnaret-fold``, such as
    ``decoder="mfe"``, ``known_structures=["built-in", "mine.dbn"]``, ``threads=4``.
    """
    arguments, text = inputs_of(rnas)
    return read(run("rnaret-fold", "-q", "--format", "tsv", *options_of(options), *arguments, input=text), as_)


def coding(rnas: Rnas, *, as_: As = None, **options: Option) -> Table:
    """Coding potential: a row for each transcript with its label and its open reading frame (0-based, half-open).

    Keywords are options of ``rnaret-coding``, such as ``strand="both"``, ``protein="proteins.fa"``. Ids have to differ.
    """
    arguments, text = inputs_of(rnas)
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.tsv"
        run("rnaret-coding", "-q", "--summary", summary, *options_of(options), *arguments, input=text)
        return read(summary.read_bytes(), as_)


def mirtarget(mirnas: Rnas, targets: Rnas, *, as_: As = None, **options: Option) -> Table:
    """Target sites: a row for each candidate with ``mirna target start end seed_type probability`` (0-based, half-open).

    miRNAs are written 5' to 3'. Keywords are options of ``rnaret-mirtarget``, such as ``min_prob=0.5``, ``candidates="all"``.
    """
    arguments, text = inputs_of(targets)
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(mirnas, (str, os.PathLike)):
            path = Path(mirnas)
        else:
            path = Path(folder) / "mirnas.fa"
            path.write_bytes(fasta(mirnas))
        return read(run("rnaret-mirtarget", "-q", "--mirna", path, *options_of(options), *arguments, input=text), as_)


@overload
def embed(rnas: Rnas, *, pool: Literal["mean", "cls"] = "mean", **options: Option) -> Embeddings: ...


@overload
def embed(rnas: Rnas, *, pool: Literal["none"], **options: Option) -> dict[str, NDArray[numpy.float32]]: ...


def embed(
    rnas: Rnas, *, pool: Literal["mean", "cls", "none"] = "mean", **options: Option
) -> Embeddings | dict[str, NDArray[numpy.float32]]:
    """Embeddings, for which numpy is needed: one vector for each RNA, or with ``pool="none"`` an array with a row for each
    nucleotide, by id (ids have to differ then).

    Other keywords are options of ``rnaret-embed``, such as ``model="pretrain-k5"``.
    """
    arguments, text = inputs_of(rnas)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "embeddings.safetensors"
        run("rnaret-embed", "-q", "--pool", pool, "--format", "safetensors", "-o", path, *options_of(options), *arguments, input=text)
        tensors, metadata = _safetensors(path)
    if pool == "none":
        return tensors
    return Embeddings(json.loads(metadata["ids"]), json.loads(metadata["lengths"]), tensors["embeddings"])


def predict(rnas: Rnas, model: str | os.PathLike[str], *, as_: As = None, **options: Option) -> Table:
    """What a model of ``rnaret-train classify``, ``regress`` or ``label`` says: a row for each RNA, or for each nucleotide."""
    arguments, text = inputs_of(rnas)
    return read(run("rnaret-predict", "-q", "--model", model, *options_of(options), *arguments, input=text), as_)


def _safetensors(path: Path) -> tuple[dict[str, NDArray[numpy.float32]], dict[str, str]]:
    """The tensors and the metadata of a safetensors file of 32-bit floats: a length, JSON, and the numbers."""
    import numpy

    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header: dict[str, Any] = json.loads(data[8 : 8 + size])
    metadata: dict[str, str] = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        start, end = (8 + size + offset for offset in entry["data_offsets"])
        values = numpy.frombuffer(data[start:end], dtype="<f4").astype(numpy.float32)
        tensors[name] = values.reshape(entry["shape"])
    return tensors, metadata
