"""Tables: CSV and TSV files by pandas, Parquet and Arrow files where a library for them is installed.

Columns ``name_0``, ``name_1``, ... (or ``name0``, ``name1``) are the columns of one matrix ``name``. A table
without a header is one matrix, called as the file, or columns ``0``, ``1``, ... if it holds texts. A text
file (.txt, .list) is a matrix of numbers, a table, or a text for each line. Of large files, the matrices are
read in blocks on demand.
"""

from __future__ import annotations

import io
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas
from pandas import DataFrame, Series

from bench.contract import Array, DataError
from bench.data.formats.array_file import (
    TEXTS,
    ArrayFile,
    as_data_error,
    joined,
    require_distinct,
    require_memory,
    texts,
)
from bench.data.formats.records import grouped
from bench.data.formats.stored import BLOCK, Stored

_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?")
_NUMBERS: Final = re.compile(r"[-+.\d][-+.\deE]*(?:[,\s]+[-+.\d][-+.\deE]*)+")
_MOST_COLUMNS: Final = 100_000
_LARGE: Final = 1 << 25
"""Smaller files are read whole."""
_INDEX: Final = "Unnamed: 0"
"""Pandas' name of a first column without one, which is the number of the row where pandas wrote the table."""


class _Source(ABC):
    """A table of which parts can be read.

    Attributes:
        numeric: whether a column holds numbers, by its name; empty if the table is read whole only.
        by_columns: whether blocks are columns.
    """

    numeric: Mapping[str, bool]
    by_columns = True

    @abstractmethod
    def frame(self, columns: Sequence[str] = ()) -> DataFrame:
        """Return some columns, or all."""

    @abstractmethod
    def blocks(self, columns: Sequence[str], count: int) -> Iterable[DataFrame]:
        """Return ``count`` rows of some columns, a block at a time."""


class _Text(_Source):
    """A CSV file or the like, by pandas, in blocks of rows."""

    by_columns = False

    def __init__(self, path: Path, **options: Any) -> None:
        self._path, self._decimal = path, options.get("decimal", ".")
        self._read: Any = partial(pandas.read_csv, path, **options)
        self.headless = options["header"] is None
        head = self._read(nrows=100)
        self.names = [*map(str, head.columns)]
        as_shown = isinstance(head.index, pandas.RangeIndex)  # else rows are longer than the header
        as_shown &= self.headless or not _is_data(head)
        self.numeric = dict(zip(self.names, map(_is_numeric, head.dtypes), strict=True)) if as_shown else {}

    def frame(self, columns: Sequence[str] = ()) -> DataFrame:
        """Return some columns, or all; a heading that is a row is read as one."""
        if columns:  # taken out as text first: pandas decides a column's type by all of its rows
            text = io.StringIO()
            for chunk in self.blocks(columns, dtype=str, keep_default_na=False):
                chunk.to_csv(text, index=False, header=not text.tell())
            return _with_words(partial(_read_again, text, decimal=self._decimal))
        frame = _with_words(self._read)
        if not self.headless and _is_data(frame):
            frame = _with_words(partial(self._read, header=None))
        if [*map(str, frame.columns)] == ["0"] and not _is_numeric(frame.dtypes.iloc[0]):
            frame.columns = [self._path.stem]
        return frame

    def blocks(self, columns: Sequence[str], count: int = 0, **options: Any) -> Iterator[DataFrame]:
        """Yield some columns, a block of rows at a time."""
        wanted, rows = {*columns}, max(1, BLOCK // (8 * len(self.names)))
        positions = [index for index, name in enumerate(self.names) if name in wanted]
        for chunk in self._read(usecols=positions, chunksize=rows, **options):
            chunk.columns = [self.names[index] for index in positions]
            yield chunk[[*columns]]


class _Stored(_Source):
    """A Parquet or Arrow file, in blocks of columns."""

    def __init__(self, read: Callable[..., DataFrame], numeric: Mapping[str, bool]) -> None:
        self._read, self.numeric = read, numeric

    def frame(self, columns: Sequence[str] = ()) -> DataFrame:
        """Return some columns, or all."""
        return self._read(columns=[*columns] or None)

    def blocks(self, columns: Sequence[str], count: int) -> Iterable[DataFrame]:
        """Return all rows of some columns, a block of columns at a time."""
        step = max(1, BLOCK // (8 * count))
        return (self.frame(columns[start : start + step]) for start in range(0, len(columns), step))


class Table(ArrayFile):
    """A table, whose columns are arrays."""

    def __init__(self, path: Path, container: str = "table") -> None:
        """Read all but large matrices; ``container`` is ``table``, ``parquet`` or ``arrow``."""
        super().__init__(path)
        ways: list[Callable[[Path], _Source]] = [_arrow if container == "arrow" else _parquet]
        if container == "table":
            ways = [_matrix, _table, _lines] if path.suffix.lower() in TEXTS else [_separated]
        with as_data_error(str(path)):
            for way in ways:
                try:
                    self._open(way(path))
                    break
                except ValueError:  # a text of another kind
                    if way is ways[-1]:
                        raise

    def _open(self, source: _Source) -> None:
        """Read what is no large matrix, and group numbered columns."""
        size = self.path.stat().st_size
        numeric = source.numeric if size > _LARGE else {}
        arrays = grouped(numeric, self.path.stem)
        large = {key for key, names in arrays.items() if len(names) > 1 and all(map(numeric.get, names))}
        rest = [name for key, columns in arrays.items() if key not in large for name in columns]
        require_memory(int(4 * size * len(rest) / len(numeric)) if large else 4 * size, str(self.path))
        self._frame = source.frame((rest or [*numeric][:1]) if large else ())
        if max(self._frame.shape[1], len(numeric)) > _MOST_COLUMNS:
            raise DataError(f"{self.path}: over {_MOST_COLUMNS} columns; transpose it: rows are samples")
        self._frame.columns = [str(name) for name in self._frame.columns]
        first = self._frame.columns[0] if self._frame.shape[1] > 1 else ""
        if first == _INDEX and [*self._frame[first]] == [*range(len(self._frame))]:
            self._frame = self._frame.drop(columns=first)
            arrays.pop(first, None)
        require_distinct([*self._frame.columns], self.path)
        kinds = dict(zip(self._frame.columns, map(_is_numeric, self._frame.dtypes), strict=True))
        self._columns = arrays if large else grouped(kinds, self.path.stem)
        self._source, self._large = source, large

    def keys(self) -> list[str]:
        """Return the names of columns, and of groups of numbered columns."""
        return [*self._columns]

    def _shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of a column or of a group of columns."""
        columns = self._columns[key]
        return (len(self._frame), len(columns)) if columns != [key] else self._read(key).shape

    def _stored(self, key: str) -> Stored | None:
        """Return a large matrix to be read in blocks."""
        if key not in self._large:
            return None
        require_memory(4 * math.prod(self._shape(key)), self.where(key))
        count, columns, turned = len(self._frame), self._columns[key], self._source.by_columns
        blocks = (self._numbers(frame, key) for frame in self._source.blocks(columns, count))
        return Stored((count, len(columns)), turned, (one.T if turned else one for one in blocks))

    def _read(self, key: str) -> Array:
        """Return a column, or a group of columns as a matrix."""
        columns = self._columns[key]
        if (stored := self._stored(key)) is not None:
            values = np.concatenate([*stored.blocks])
            return values.T if stored.fortran else values
        return (
            self._column(self._frame[key], key)
            if columns == [key]
            else self._numbers(self._frame[columns], key)
        )

    def _numbers(self, frame: DataFrame, key: str) -> Array:
        """Return a matrix of numbers; raises DataError if a column holds anything else."""
        if not all(map(_is_numeric, frame.dtypes)):
            raise DataError(f"{self.where(key)}: not all of its columns are numbers")
        return np.asarray(frame.to_numpy())

    def _column(self, values: Series, key: str) -> Array:
        """Return a column of numbers, of texts, or of lists of numbers; a missing text is empty."""
        if getattr(values.dtype, "kind", "O") in "biuf":
            return np.asarray(values.to_numpy())
        cells = [
            np.asarray(one).tolist() if isinstance(one, list | tuple | np.ndarray) else one
            for one in values.tolist()
        ]
        listed = [None if not isinstance(one, list) and pandas.isna(one) else one for one in cells]
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


def _lists_in(cells: Sequence[str]) -> list[list[Any] | None] | None:
    """Return the lists of numbers or words that all texts hold (``[1, 2]``, ``0.5 0.25``); None if not."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    bracketed = bool(filled) and all(cell[0] == "[" and cell[-1] == "]" for cell in filled)
    if not bracketed and not (filled and (_NUMBERS.fullmatch(filled[0]) or _is_number(filled[0]))):
        return None
    single = [cell for cell in filled if not _NUMBERS.fullmatch(cell)]
    if not bracketed and (len(single) == len(filled) or not all(map(_is_number, single))):
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


def _separated(path: Path) -> _Text:
    """Open a table whose cells are separated by commas, semicolons or tabs."""
    with path.open("rb") as binary:
        encoding = "utf-16" if binary.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        with path.open(encoding=encoding, newline="") as stream:
            first, second = stream.readline(1 << 24), stream.readline(1 << 24)
    except UnicodeDecodeError:
        raise DataError(f"{path}: a text in neither UTF-8 nor UTF-16; save it in UTF-8") from None
    if "\0" in first:
        raise ValueError("it is not a text")
    bare = re.sub(r'"[^"]*"', "", first)
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=bare.count)
    decimal = "," if separator == ";" and re.search(r"\d,\d", second or first) else "."
    words = first.strip().split(separator)
    headless = all(_is_number(word.replace(decimal, ".")) for word in words)
    headless &= len(words) < 3 or words != [*map(str, range(len(words)))]  # as pandas counts columns
    header = None if headless else 0
    return _Text(path, sep=separator, header=header, encoding=encoding, decimal=decimal)


def _read_again(text: io.StringIO, **options: Any) -> DataFrame:
    """Return the table of a text that was written before."""
    text.seek(0)
    frame: DataFrame = pandas.read_csv(text, **options)
    return frame


def _with_words(read: Callable[..., DataFrame]) -> DataFrame:
    """Return a table in which only empty cells of a column of texts are missing, and no words such as NA."""
    frame = read(low_memory=False)
    texts_in = [not _is_numeric(kind) for kind in frame.dtypes]
    columns = np.flatnonzero(texts_in & frame.isna().any().to_numpy()).tolist()
    if columns and isinstance(frame.index, pandas.RangeIndex):
        words = read(usecols=columns, dtype=str, keep_default_na=False)
        for column, name in zip(columns, words.columns, strict=True):
            frame.isetitem(column, words[name].to_numpy())
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
        if not _is_numeric(column.dtype)
        and len(values := {*column}) <= max(len(column) / 2, len(column) * (frame.shape[1] == 1))
    )


def _matrix(path: Path) -> _Text:
    """Open a matrix of numbers between blanks, of equally many on each line."""
    with path.open(encoding="utf-8-sig") as stream:
        words = stream.readline(1 << 24).split()
        if len(words) < 2 or not all(map(_is_number, words)):
            raise ValueError("its first line holds no numbers")
        if {len(line.split()) for line in stream} - {0, len(words)}:
            raise ValueError("lists of several lengths")
    return _Text(path, sep=r"\s+", header=None, encoding="utf-8-sig")


def _table(path: Path) -> _Text:
    """Open a text file that is a table."""
    found = _separated(path)
    if len(found.names) < 2 and not (found.headless and all(found.numeric.values())):
        raise ValueError("it has one column")
    return found


def _lines(path: Path) -> _Stored:
    """Open a file with a text on each line."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return _Stored(lambda **_: pandas.DataFrame({path.stem: lines}, dtype=object), {})


def _is_numeric(kind: Any) -> bool:
    """Whether a type of columns is one of numbers."""
    return getattr(kind, "kind", "O") in "biuf"


def _is_number(word: str) -> bool:
    """Whether a cell is a number, perhaps in quotes."""
    try:
        float(word.strip().strip('"'))
    except ValueError:
        return False
    return True


def _arrow(path: Path) -> _Stored:
    """Open an Arrow file (Feather, IPC file or stream)."""
    if find_spec("pyarrow") is None:
        raise DataError(
            f"{path}: to read Arrow and Feather files, install a library for them: pip install pyarrow; or "
            "save the table with to_parquet or to_csv"
        )
    ipc = import_module("pyarrow.ipc")
    with path.open("rb") as stream:
        if stream.read(4) == b"\xff\xff\xff\xff":
            return _Stored(lambda **_: ipc.open_stream(str(path)).read_pandas(), {})
    return _Stored(partial(pandas.read_feather, path), _numeric(ipc.open_file(str(path)).schema))


def _parquet(path: Path) -> _Stored:
    """Open a Parquet file."""
    if find_spec("pyarrow") is not None:
        numeric = _numeric(import_module("pyarrow.parquet").read_schema(str(path)))
    elif find_spec("fastparquet") is not None:
        table = import_module("fastparquet").ParquetFile(str(path))
        kinds = {name: _is_numeric(kind) for name, kind in table.dtypes.items()}
        numeric = _without_index(kinds, table.pandas_metadata)
    else:
        raise DataError(
            f"{path}: to read Parquet files, install a library for them: "
            "pip install 'cross-modal-bench[parquet]'"
        )
    return _Stored(partial(pandas.read_parquet, path), numeric)


def _numeric(schema: Any) -> dict[str, bool]:
    """Return which columns of a schema of pyarrow's hold numbers."""
    types = import_module("pyarrow.types")
    kinds = (types.is_floating, types.is_integer, types.is_boolean)
    found = {field.name: any(is_kind(field.type) for is_kind in kinds) for field in schema}
    return _without_index(found, schema.pandas_metadata or {})


def _without_index(columns: dict[str, bool], metadata: Mapping[str, Any]) -> dict[str, bool]:
    """Return columns without those that pandas wrote as the table's index."""
    index = [one for one in metadata.get("index_columns", ()) if isinstance(one, str)]
    return {name: numeric for name, numeric in columns.items() if name not in index}
