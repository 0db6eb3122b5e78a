"""Tables of raw data (CSV, TSV, parquet, JSON lines): columns of items, labels, parts and ids."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, DataError, UsageError
from bench.data.formats.probe import require_harmless

PARTS: Final = ("train", "validation", "test")
SEPARATOR: Final = ";"
TEST_SHARE: Final = 5  # one of so many ids is for testing where the table states no split
_PART_NAMES: Final = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "te", "query"), "test"),
}
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "labels": ("labels", "label", "class", "classes", "category"),
    "split": ("split", "part", "partition", "subset"),
    "ids": ("id", "ids", "item"),
}


@dataclass(frozen=True)
class Table:
    """A table in memory.

    Attributes:
        path: of its file.
        columns: values by column, each one for each row.
        sha256: of the file.
    """

    path: Path
    columns: Mapping[str, Sequence[Any]]
    sha256: str

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def column(self, name: str) -> Sequence[Any]:
        """Return a column.

        Raises:
            UsageError: if there is none of that name.
        """
        if name not in self.columns:
            raise UsageError(f"{self.path} has no column {name!r}; it has {', '.join(self.columns)}")
        return self.columns[name]

    def first_of(self, names: Sequence[str]) -> str | None:
        """Return the first of some names that is a column, in any case of letters."""
        known = {column.lower(): column for column in reversed([*self.columns])}
        return next((known[name] for name in names if name in known), None)

    def where(self, row: int) -> str:
        """Return the table and a row in words, counted from 1 without the heading."""
        return f"{self.path}, row {row + 1}"


@dataclass(frozen=True)
class Rows:
    """Part, label and id of each row.

    Attributes:
        parts: ``train``, ``validation`` or ``test``.
        labels: ``(n,)`` class numbers, or ``(n, C)`` 0/1; -1 where a row has no label.
        classes: names of the classes, in the order of their numbers.
        ids: ``(n,)`` integers.
        rule: how the rows were split, in words.
    """

    parts: Sequence[str]
    labels: Array
    classes: tuple[str, ...]
    ids: NDArray[np.int64]
    rule: str


def read_table(path: Path) -> Table:
    """Read a table by the ending of its name: ``.csv``, ``.tsv``, ``.parquet``, ``.jsonl`` or ``.ndjson``.

    Raises:
        DataError: if the file is missing, damaged or has no row.
        UsageError: if its name has another ending, or parquet needs a package.
    """
    import pandas as pd

    ending = path.suffix.lower()
    if not path.is_file():
        raise DataError(f"{path}: no such table")
    try:
        if ending in (".csv", ".tsv"):
            frame = _separated(path, "," if ending == ".csv" else "\t")
        elif ending in (".jsonl", ".ndjson"):
            frame = pd.DataFrame(_json_lines(path), dtype=object)
        elif ending == ".parquet":
            require_harmless(path)
            frame = pd.read_parquet(path)
        else:
            raise UsageError(f"{path}: a table must be .csv, .tsv, .parquet or .jsonl")
    except (UsageError, DataError):
        raise
    except ImportError as error:
        raise UsageError(
            f"{path}: reading parquet needs the package pyarrow or fastparquet; install one"
        ) from error
    except Exception as error:  # parsers raise errors of many types
        raise DataError(f"{path}: the table cannot be read: {str(error).partition(chr(10))[0]}") from error
    if frame.empty or not all(isinstance(name, str) for name in frame.columns):
        raise DataError(f"{path}: the table has no rows, or columns without names")
    frame = frame.astype(object).where(frame.notna(), None)  # types of pandas have several words for it
    columns = {name: [*frame[name]] for name in frame.columns}
    return Table(path, columns, hashlib.sha256(path.read_bytes()).hexdigest())


def read_rows(
    table: Table,
    labels: str | None = None,
    split: str | None = None,
    ids: str | None = None,
    *,
    multi_label: bool = False,
) -> Rows:
    """Read the columns of labels, parts and ids; None means the first that has a usual name.

    Without a column of parts ids are split by their hashes, without one of ids the rows are numbered. Under
    ``multi_label`` a cell may hold several classes, as a list or separated by ``;``.

    Raises:
        UsageError: if a column is missing.
        DataError: if a value does not fit its column.
    """
    names = {
        kind: given or table.first_of(_COLUMNS[kind])
        for kind, given in (("labels", labels), ("split", split), ("ids", ids))
    }
    if names["labels"] is None:
        raise UsageError(f"{table.path} has no column of labels; name it: --labels COLUMN")
    numbers = _ids(table, names["ids"])
    parts, rule = _parts(table, names["split"], names["ids"])
    for part in ("train", "test"):
        if part not in parts:
            raise DataError(f"{table.path}: no row is of {part} ({rule}); a dataset needs some")
    return Rows(parts, *_labels(table, names["labels"], multi_label), numbers, rule)


def _separated(path: Path, separator: str) -> Any:
    """Return a table of texts; raises DataError if rows do not fit the heading."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(
                path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False
            )
        except (pd.errors.ParserWarning, pd.errors.ParserError) as error:
            raise DataError(
                f"{path}: the rows do not fit the heading ({str(error).strip()}); put cells that have "
                f"{separator!r}, quotes or line breaks in them into quotes"
            ) from error


def is_absent(value: Any) -> bool:
    """Return whether a cell is empty: None, NaN or a text without letters."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and value != value)


def _json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects in lines of JSON; raises DataError for any other line."""
    records: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: not valid JSON ({error})") from error
        if not isinstance(record, dict):
            raise DataError(f"{path}, line {number}: expected an object such as {{'image': 'a.png'}}")
        records.append(record)
    return records


def _ids(table: Table, name: str | None) -> NDArray[np.int64]:
    """Return the ids as integers; where they are anything else, they are numbered as they come."""
    if name is None:
        return np.arange(len(table), dtype=np.int64)
    values = table.column(name)
    if absent := [row for row, value in enumerate(values) if is_absent(value)]:
        raise DataError(f"{table.where(absent[0])}: the id in column {name!r} is empty")
    texts = [str(value) for value in values]
    if all(text.isascii() and text.isdecimal() and len(text) < 19 for text in texts):
        return np.array([int(text) for text in texts], dtype=np.int64)
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.int64)


def _parts(table: Table, name: str | None, ids: str | None) -> tuple[list[str], str]:
    """Return the part of each row, and by which rule."""
    if name is None:
        keys = [str(value) for value in (table.column(ids) if ids else range(len(table)))]
        drawn = [int(hashlib.sha256(key.encode()).hexdigest(), 16) % TEST_SHARE == 0 for key in keys]
        rule = f"test: SHA-256 of the {'id' if ids else 'row number'} is 0 modulo {TEST_SHARE}"
        return ["test" if is_test else "train" for is_test in drawn], rule
    parts: list[str] = []
    for row, value in enumerate(table.column(name)):
        part = _PART_NAMES.get(str(value).strip().lower())
        if part is None:
            raise DataError(
                f"{table.where(row)}: unknown split {str(value)[:40]!r} in column {name!r}; use "
                f"{', '.join(PARTS)}"
            )
        parts.append(part)
    return parts, f"column {name!r}"


def _labels(table: Table, name: str, multi_label: bool) -> tuple[Array, tuple[str, ...]]:
    """Return labels ``(n,)``, or ``(n, C)`` of several classes, and the names of the classes."""
    values = table.column(name)
    several = multi_label or any(isinstance(value, (list, tuple, np.ndarray)) for value in values)
    named = [_classes_of(table, row, value, several) for row, value in enumerate(values)]
    known = {name for found in named for name in found}
    if len(known) < 2:
        raise DataError(f"{table.path}: column {name!r} has {len(known)} class; at least two are needed")
    is_number = all(name.isascii() and name.isdecimal() and len(name) < 19 for name in known)
    classes = sorted(known, key=(lambda name: (int(name), name)) if is_number else str)
    number = {name: i for i, name in enumerate(classes)}
    if not several:
        return np.array([number[found[0]] if found else -1 for found in named], np.int64), tuple(classes)
    matrix = np.zeros((len(named), len(classes)), dtype=np.int8)
    for row, found in enumerate(named):
        matrix[row, [number[name] for name in found]] = 1
        if not found:
            matrix[row] = -1
    return matrix, tuple(classes)


def _classes_of(table: Table, row: int, value: Any, several: bool) -> list[str]:
    """Return the classes in a cell; none if it is empty."""
    if isinstance(value, (list, tuple, np.ndarray)):
        parts = list(value)
    elif is_absent(value):
        return []
    else:
        parts = str(value).split(SEPARATOR) if several else [value]
    if not all(isinstance(part, (str, int, float, np.integer, np.bool_)) for part in parts):
        raise DataError(f"{table.where(row)}: a label must be a text or a number, not {str(value)[:60]}")
    if any(isinstance(part, float) and not math.isfinite(part) for part in parts):
        raise DataError(f"{table.where(row)}: a label must be a text or a finite number, not {value}")
    texts = [str(int(part)) if isinstance(part, float) and part.is_integer() else str(part) for part in parts]
    return [text.strip() for text in texts if text.strip()]
