"""Tables: CSV and TSV files by pandas, Parquet and Arrow files where a library for them is installed.

Columns ``name_0``, ``name_1``, ... (or ``name0``, ``name1``) are the columns of one matrix ``name``. A table
without a header is one matrix, called as the file, or columns ``0``, ``1``, ... if it holds texts. A text
file (.txt, .list) is a matrix of numbers, a table, or a text for each line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import ArrayFile, blamed, joined, require_distinct, require_memory, texts

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_NUMBERED: Final = re.compile(r"(.*?)[_.\-\[ ]?(\d{1,6})\]?")
_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?")
_NUMBERS: Final = re.compile(r"[-+.\d][-+.\deE]*(?:[,\s]+[-+.\d][-+.\deE]*)+")
_MOST_COLUMNS: Final = 100_000
_INDEX: Final = "Unnamed: 0"
"""Pandas' name of a first column without one, which is the number of the row where pandas wrote the table."""

TEXTS: Final = (".txt", ".list", ".lst")
"""Endings of the names of text files that may be a matrix, a table, or a text for each line."""


class Table(ArrayFile):
    """A table, whose columns are arrays."""

    def __init__(self, path: Path, read: Callable[[Path], DataFrame] | None = None) -> None:
        """Read the whole table.

        Args:
            path: of the file.
            read: reads it; None for a text.
        """
        super().__init__(path)
        with blamed(str(path)):
            require_memory(4 * path.stat().st_size, str(path))
            self._frame = (read or (_lines if path.suffix.lower() in TEXTS else _separated))(path)
            if self._frame.shape[1] > _MOST_COLUMNS:
                raise DataError(f"{path}: {self._frame.shape[1]} columns; transpose it: rows are samples")
            self._frame.columns = [str(name) for name in self._frame.columns]
            first = self._frame.columns[0] if self._frame.shape[1] > 1 else ""
            if first == _INDEX and [*self._frame[first]] == [*range(len(self._frame))]:
                self._frame = self._frame.drop(columns=first)
            require_distinct([*self._frame.columns], path)
            self._columns = self._grouped()

    def _grouped(self) -> dict[str, list[str]]:
        """Return the columns of each array."""
        names = [*self._frame.columns]
        if all(name.isdigit() for name in names):  # without a header
            numbers = all(getattr(kind, "kind", "O") in "biuf" for kind in self._frame.dtypes)
            return {self.path.stem: names} if numbers else {name: [name] for name in names}
        numbered: dict[str, dict[int, str]] = {}
        for name in names:
            if (match := _NUMBERED.fullmatch(name)) is not None:
                numbered.setdefault(match[1] or self.path.stem, {})[int(match[2])] = name
        grouped: dict[str, list[str]] = {}
        for name in names:
            match = _NUMBERED.fullmatch(name)
            prefix = (match[1] or self.path.stem) if match else name
            run = numbered.get(prefix, {})
            whole = len(run) > 1 and sorted(run) == [*range(min(run), min(run) + len(run))] and min(run) <= 1
            if match and whole and prefix not in names:
                grouped[prefix] = [run[number] for number in sorted(run)]
            else:
                grouped[name] = [name]
        return grouped

    def keys(self) -> list[str]:
        """Return the names of columns, and of groups of numbered columns."""
        return [*self._columns]

    def _shape(self, key: str) -> tuple[int, ...]:
        columns = self._columns[key]
        whole = len(columns) > 1 or key not in self._frame.columns
        return (len(self._frame), len(columns)) if whole else self._read(key).shape

    def _read(self, key: str) -> Array:
        columns = self._columns[key]
        if len(columns) > 1 or key not in self._frame.columns:
            values = self._frame[columns]
            if any(kind.kind not in "biuf" for kind in values.dtypes):
                raise DataError(f"{self.where(key)}: not all of its columns are numbers")
            return np.asarray(values.to_numpy())
        return self._column(self._frame[key], key)

    def _column(self, values: Series, key: str) -> Array:
        """Return a column of numbers, of texts, or of lists of numbers; a missing text is empty."""
        if getattr(values.dtype, "kind", "O") in "biuf":
            return np.asarray(values.to_numpy())
        import pandas

        listed = [None if not isinstance(one, list) and pandas.isna(one) else one for one in _plain(values)]
        if any(isinstance(one, list) for one in listed):
            return self._rows([one if isinstance(one, list) else None for one in listed], key)
        if any(one is not None and not isinstance(one, str | bytes) for one in listed):
            raise DataError(f"{self.where(key)}: neither numbers nor texts, or entries are missing")
        read = texts("" if one is None else one for one in listed)
        rows = _lists_in(read.tolist())
        return read if rows is None else self._rows(rows, key)

    def _rows(self, rows: list[list[Any] | None], key: str) -> Array:
        """Return lists of numbers as a matrix, with NaN where one is missing; lists of classes as texts."""
        lengths = {len(row) for row in rows if row is not None}
        numbers = all(isinstance(one, int | float) for row in rows if row is not None for one in row)
        if numbers and len(lengths) == 1:
            gap = [math.nan] * lengths.pop()
            return np.asarray([gap if row is None else row for row in rows], dtype=np.float64)
        try:
            return joined([] if row is None else row for row in rows)
        except ValueError:
            raise DataError(f"{self.where(key)}: lists of different lengths") from None


def _plain(values: Series) -> list[Any]:
    """Return a column's entries, lists among them as lists of Python's numbers."""
    return [
        np.asarray(one).tolist() if isinstance(one, list | tuple | np.ndarray) else one
        for one in values.tolist()
    ]


def _lists_in(cells: Sequence[str]) -> list[list[Any] | None] | None:
    """Return the lists of numbers or words that all texts hold (``[1, 2]``, ``0.5 0.25``); None if not."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    bracketed = bool(filled) and all(cell[0] == "[" and cell[-1] == "]" for cell in filled)
    if not bracketed and not (filled and (_NUMBERS.fullmatch(filled[0]) or _is_number(filled[0]))):
        return None
    several = [_NUMBERS.fullmatch(cell) is not None for cell in filled]
    listed = any(several) and all(map(lambda is_list, cell: is_list or _is_number(cell), several, filled))
    if not bracketed and not listed:
        return None
    rows: list[list[Any] | None] = []
    for cell in cells:
        words = [word.strip("'\"") for word in re.split(r"[,\s]+", cell.strip().strip("[]")) if word]
        if not all(map(_is_number, words)):
            rows.append([*words])
        else:
            whole = all(word.lstrip("+-").isdigit() for word in words)
            rows.append([int(word) if whole else float(word) for word in words] if cell.strip() else None)
    return rows


def _separated(path: Path) -> DataFrame:
    import pandas

    with path.open("rb") as binary:
        encoding = "utf-16" if binary.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        with path.open(encoding=encoding, newline="") as stream:
            first, second = stream.readline(1 << 24), stream.readline(1 << 24)
    except UnicodeDecodeError:
        raise DataError(f"{path}: a text in neither UTF-8 nor UTF-16; save it in UTF-8") from None
    if "\0" in first:
        raise ValueError("it is not a text")
    separator = "\t" if path.suffix.lower() == ".tsv" else _separator(first)
    decimal = "," if separator == ";" and re.search(r"\d,\d", second or first) else "."
    words = first.strip().split(separator)
    headless = all(_is_number(word.replace(decimal, ".")) for word in words)
    headless &= len(words) < 3 or words != [*map(str, range(len(words)))]  # as pandas counts columns

    def read(header: int | None, names: list[str] | None = None) -> DataFrame:
        return pandas.read_csv(
            path,
            sep=separator,
            header=header,
            names=names,
            encoding=encoding,
            decimal=decimal,
            low_memory=False,
        )

    frame = read(None if headless else 0)
    if not headless and _is_data(frame):
        frame = read(None)
    if [*map(str, frame.columns)] == ["0"] and getattr(frame.dtypes[0], "kind", "O") not in "biuf":
        frame.columns = [path.stem]
    return frame


def _is_data(frame: DataFrame) -> bool:
    """Return whether a heading is a row: a class that occurs again, or numbers that count no columns."""
    numbers = [name for name in map(str, frame.columns) if _NUMBER.fullmatch(name)]
    counted = [[*map(str, range(first, first + len(numbers)))] for first in (0, 1)]
    unnamed = any(str(name).startswith("Unnamed: ") for name in frame.columns)
    if numbers and not (numbers in counted and (len(numbers) > 1 or unnamed)):
        return True
    return any(
        name in values
        for name, column in frame.items()
        if getattr(column.dtype, "kind", "O") not in "biuf"
        and len(values := {*column}) <= max(len(column) / 2, len(column) * (frame.shape[1] == 1))
    )


def _separator(line: str) -> str:
    """Return what separates the cells of a table's first line."""
    bare = re.sub(r'"[^"]*"', "", line)
    return max(",;\t", key=bare.count)


def _lines(path: Path) -> DataFrame:
    """Return a text file: a matrix of numbers between blanks, a table, or one text for each line."""
    import pandas

    with path.open(encoding="utf-8-sig") as stream:
        words = stream.readline(1 << 24).split()
    try:
        if len(words) > 1 and all(map(_is_number, words)):
            frame = pandas.read_csv(path, sep=r"\s+", header=None, encoding="utf-8-sig", low_memory=False)
            if not frame.isna().any(axis=None) or _is_even(path):
                return frame
            raise ValueError("lists of several lengths")
        frame = _separated(path)
        if frame.shape[1] > 1 or all(isinstance(name, int) for name in frame.columns):
            return frame
    except ValueError:  # a text of another kind
        pass
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return pandas.DataFrame({path.stem: lines}, dtype=object)


def _is_even(path: Path) -> bool:
    """Return whether all lines that are not empty have equally many words."""
    with path.open(encoding="utf-8-sig") as stream:
        return len({len(line.split()) for line in stream} - {0}) == 1


def _is_number(word: str) -> bool:
    try:
        float(word.strip().strip('"'))
    except ValueError:
        return False
    return True


def arrow(path: Path) -> DataFrame:
    """Read an Arrow file (Feather, IPC file or stream).

    Raises:
        DataError: if no library for it is installed.
    """
    import pandas

    if find_spec("pyarrow") is None:
        raise DataError(
            f"{path}: to read Arrow and Feather files, install a library for them: pip install pyarrow; or "
            "save the table with to_parquet or to_csv"
        )
    with path.open("rb") as stream:
        if stream.read(4) != b"\xff\xff\xff\xff":
            return pandas.read_feather(path)
    table: DataFrame = import_module("pyarrow.ipc").open_stream(str(path)).read_all().to_pandas()
    return table


def parquet(path: Path) -> DataFrame:
    """Read a Parquet file.

    Raises:
        DataError: if no library for it is installed.
    """
    import pandas

    if find_spec("pyarrow") is None and find_spec("fastparquet") is None:
        raise DataError(
            f"{path}: to read Parquet files, install a library for them: pip install '.[parquet]'"
        )
    return pandas.read_parquet(path)
