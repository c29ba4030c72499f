"""The tables of the tools: columns by name, numbers as numbers, ``NA`` as what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Union

if TYPE_CHECKING:
    import pandas

#: What a table comes as: ``"pandas"``, ``"records"`` (a list of dictionaries), or ``None``: pandas where it is installed.
As = Union[Literal["pandas", "records"], None]

#: A table in either form.
Table = Union["pandas.DataFrame", "list[dict[str, Any]]"]

#: Columns that are text, whatever stands in them.
TEXT = frozenset(
    "id sequence structure label state strand mirna target seed_type homolog nucleotide description".split()
)


def _has_pandas() -> bool:
    try:
        import pandas  # noqa: F401
    except ImportError:
        return False
    return True


def _column(name: str, cells: list[str]) -> list[Any]:
    """The values of a column; ``None`` is missing."""
    values: list[Any] = [None if cell == "NA" and name != "id" else cell for cell in cells]
    if name in TEXT:
        return values
    for number in (int, float):
        try:
            return [None if value is None else number(value) for value in values]
        except ValueError:
            pass
    return values


def read(text: bytes, as_: As) -> Table:
    """A table with one header row and tabs."""
    if as_ not in (None, "pandas", "records"):
        raise ValueError(f"as_ is \"pandas\" or \"records\", not {as_!r}")
    lines = text.decode().split("\n")
    names = lines[0].split("\t")
    rows = [line.split("\t") for line in lines[1:] if line]
    columns = {name: _column(name, [row[place] for row in rows]) for place, name in enumerate(names)}
    if as_ == "pandas" or (as_ is None and _has_pandas()):
        import pandas

        frame = pandas.DataFrame(columns, columns=names)
        for name, values in columns.items():
            kinds = {type(value) for value in values}
            # Whole numbers stay whole where one is missing.
            if name not in TEXT and kinds == {int, type(None)}:
                frame[name] = pandas.array(values, dtype="Int64")
        return frame
    return [dict(zip(names, row)) for row in zip(*columns.values())]
