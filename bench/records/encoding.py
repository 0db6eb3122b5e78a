"""The bytes of a record's files: the same content always gives the same bytes.

No file is ever unpickled. Numbers are kept exactly: JSON and CSV have the shortest text that reads back to
the same double.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.records.protocols import aggregate, bounds_of
from bench.records.schema import SCHEMA, Record, Result, Series, check_record, require_equal

RECORD: Final = "record.json"
PER_QUERY: Final = "per_query.npz"
TRACE: Final = "trace.csv"
LOG: Final = "log.txt"
SUMS: Final = "sha256sums.txt"
SNAPSHOT: Final = "view.npz"
FILES: Final = (LOG, PER_QUERY, RECORD, TRACE)
"""Files of every record; a finished one since layout 2 has a `SNAPSHOT`, too."""

Value = str | int | float | None
PerQuery = dict[Series, NDArray[np.float64]]

_FIRST_COLUMNS: Final = ("stage", "epoch")
_MEAN_TOLERANCE: Final = 1e-12  # of a metric and the mean of its queries, for another order of summation
_HEADERS: Final = 1 << 22  # largest size of the names and headers of the arrays in an .npz, in bytes
_NPZ_ERRORS: Final = (
    ValueError,
    TypeError,
    OSError,
    EOFError,
    MemoryError,  # a header that is nested too deeply
    NotImplementedError,  # an unknown compression
    RuntimeError,  # an encrypted member
    zipfile.BadZipFile,
    zlib.error,
)


UNREADABLE: Final = (msgspec.MsgspecError, ValueError, TypeError, LookupError, RecursionError)
"""Exceptions of msgspec for any bytes, and of NumPy for arrays of any shape."""


class Damaged(ValueError):
    """A record's file was damaged or edited; the message is one sentence without the path."""


class Newer(Damaged):
    """A record's file has the layout of a later version of this program."""


_RECORDS = msgspec.json.Decoder(Record)
R = TypeVar("R")


def encode_record(record: Record) -> bytes:
    """Return a record as indented JSON with sorted keys.

    In notes, NumPy numbers and arrays become plain ones, and NaN and infinity null.

    Raises:
        ValueError: if the record could not be read back, as with a metric that is NaN.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, (np.generic, np.ndarray)):
            return value.tolist()
        raise TypeError(f"a {type(value).__name__} is neither text, number, list nor dictionary")

    try:
        text = msgspec.json.encode(record, order="sorted", enc_hook=plain)
        check_record(_RECORDS.decode(text))
    except UNREADABLE as error:
        raise ValueError(f"the record of {record.identity.title} cannot be written: {error}") from error
    return msgspec.json.format(text, indent=2) + b"\n"


def decode_record(content: bytes) -> Record:
    """Return the record of the content of a file, after a check of all fields.

    Raises:
        Damaged: if it is not JSON, of another schema (`Newer` for a later one), or contradicts itself.
    """
    record = decoded(RECORD, content, _RECORDS, "schema", SCHEMA)
    try:
        check_record(record)
    except ValueError as error:
        raise Damaged(f"{RECORD} has impossible content: {error}") from error
    return record


def decoded(name: str, content: bytes, decoder: msgspec.json.Decoder[R], field: str, newest: int) -> R:
    """Return the decoded JSON file ``name``, whose layout is in a ``field``.

    Raises:
        Damaged: if it does not fit the schema; `Newer` if its layout is a later one.
    """
    try:
        return decoder.decode(content)
    except UNREADABLE as error:
        layout: Any = None
        with suppress(*UNREADABLE):
            layout = msgspec.json.decode(content, type=dict[str, Any])[field]
        if isinstance(layout, int) and layout > newest:
            raise layout_error(name, layout, newest) from error
        raise Damaged(f"{name} does not fit the schema: {error}") from error


def layout_error(name: str, layout: int, newest: int) -> Damaged:
    """Return the error for a file of an unknown layout."""
    kind = Newer if layout > newest else Damaged
    return kind(f"{name} has layout version {layout}, but this program reads up to version {newest}")


def encode_per_query(per_query: Mapping[tuple[str, str, str, str], ArrayLike]) -> bytes:
    """Return values per query ``(n_queries,)`` as an uncompressed .npz of three arrays.

    ``values`` has all series one after another, float64; ``series`` has their names, and ``ends`` the end of
    each. `numpy.savez` writes a fixed date.

    Raises:
        ValueError: if an array is not a vector of finite numbers.
    """
    arrays = {Series(*key): np.asarray(per_query[key], dtype=np.float64) for key in sorted(per_query)}
    for series, values in arrays.items():
        if values.ndim != 1 or not np.isfinite(values).all():
            raise ValueError(f"values of {series} must be a vector of finite numbers")
    # Each part is quoted: ids of protocols contain slashes, and names of modalities any characters.
    names = ["/".join(quote(part, safe="@") for part in series) for series in arrays]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        series=np.array(names, dtype=np.str_),
        ends=np.cumsum([len(values) for values in arrays.values()], dtype=np.int64),
        values=np.concatenate([*arrays.values(), np.empty(0)]),
    )
    return buffer.getvalue()


def decode_per_query(
    content: bytes, result: Result | None, wanted: Callable[[Series], bool] = lambda _: True
) -> PerQuery:
    """Return the ``wanted`` arrays of `encode_per_query`, of any layout, after a check with the metrics.

    ``result`` is None for a failed cell, whose arrays are not checked.

    Raises:
        Damaged: if this is no such archive, one that would need pickle, or not that of the metrics.
    """
    metrics = {metric.series: metric for metric in result.metrics} if result is not None else {}
    size = 8 * sum(metric.queries for metric in metrics.values()) if metrics else _HEADERS
    try:
        arrays = read_npz(content, size + _HEADERS)
        if "values" in arrays:
            names, ends = arrays["series"].astype(np.str_).tolist(), arrays["ends"].astype(np.int64)
            if (np.diff(ends, prepend=0) < 0).any() or ends.max(initial=0) != len(arrays["values"]):
                raise ValueError("its ends are not those of its values")
            bounds = zip([0, *ends.tolist()], ends.tolist(), strict=False)
            parts = [arrays["values"][start:end] for start, end in bounds]
            arrays = dict(zip(names, parts, strict=True))
        # Before layout 3, each series was a separate array.
        per_query = {_series(name): np.asarray(values, np.float64) for name, values in arrays.items()}
    except UNREADABLE as error:
        raise Damaged(f"{PER_QUERY} cannot be read: {error}") from error
    try:
        if result is not None:
            require_equal(per_query.keys(), metrics, "values per query")
        per_query = {series: values for series, values in per_query.items() if wanted(series)}
        for series in per_query.keys() & metrics.keys():
            values, metric = per_query[series], metrics[series]
            if values.shape != (metric.queries,):
                raise ValueError(f"{series} has values of shape {values.shape} for {metric.queries} queries")
            # These reductions take half the time of the methods; a record may have hundreds of series.
            low, high = bounds_of(series.protocol, metric.items)
            if not (np.minimum.reduce(values) >= low and np.maximum.reduce(values) <= high):  # NaN is neither
                raise ValueError(f"{series} has a query outside of {low:g} to {high:g}")
            number = aggregate(series.protocol, values)
            if abs(number - metric.value) > _MEAN_TOLERANCE * high:
                raise ValueError(f"{series} is {metric.value!r}, but its queries give {number!r}")
    except ValueError as error:
        raise Damaged(f"{PER_QUERY} has impossible content: {error}") from error
    return per_query


@lru_cache(maxsize=10_000)
def _series(name: str) -> Series:
    """Return the key that a name in an archive stands for."""
    return Series(*map(unquote, name.split("/")))


def read_npz(content: bytes, largest: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz without pickle.

    Raises:
        ValueError: if this is no such archive, one that would need pickle, or larger than ``largest`` bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > largest:
                raise ValueError(f"it would take {size:,} bytes, more than the {largest:,} allowed")
            arrays = {}
            for member in archive.infolist():
                # NumPy would allocate the size that the header states.
                array = archive.read(member)
                start = 10 + int.from_bytes(array[8:10], "little")
                shape, fortran, dtype = _header(array[:start])
                values = np.frombuffer(array, dtype, offset=start).reshape(
                    shape, order="F" if fortran else "C"
                )
                arrays[member.filename.removesuffix(".npy")] = values.copy()
            return arrays
    except _NPZ_ERRORS as error:
        raise ValueError(str(error)) from error


@lru_cache(maxsize=1_000)
def _header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type; cached, because NumPy parses a header as Python source."""
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array has a header of another version than 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject:
        raise ValueError("an array of objects would need allow_pickle, which is never used")
    return shape, fortran, dtype


def encode_trace(rows: Iterable[Mapping[str, Value]]) -> bytes:
    """Return the rows of a trace as CSV: `stage`, `epoch`, then other columns as they first appear."""

    def text(value: Any) -> str:
        value = value.item() if isinstance(value, np.generic) else value
        value = int(value) if isinstance(value, bool) else value
        word = "" if value is None else repr(value) if isinstance(value, int | float) else str(value)
        # The standard library does not quote a carriage return, which ends a line for its reader.
        if any(mark in word for mark in ',"\r\n\0'):
            word = '"' + word.replace("\0", "\\0").replace('"', '""') + '"'
        return word

    rows = list(rows)
    seen = dict.fromkeys(column for row in rows for column in row)
    columns = sorted(seen, key=lambda column: _FIRST_COLUMNS.index(column) if column in _FIRST_COLUMNS else 2)
    lines: list[list[Any]] = []
    if columns:
        lines = [list(columns), *([row.get(column) for column in columns] for row in rows)]
    # A row without values is written as an empty text: a blank line would be no row.
    content = "".join((",".join(map(text, line)) or '""') + "\n" for line in lines)
    return content.encode("utf-8", "backslashreplace")


def decode_trace(content: bytes) -> list[dict[str, Value]]:
    """Return the rows of `encode_trace` without empty cells; numeric text becomes a number.

    Raises:
        Damaged: if this is not such a table.
    """
    columns, *rows = read_table(content) or [[]]
    return [{column: _value(text) for column, text in zip(columns, row, strict=True) if text} for row in rows]


def read_table(content: bytes) -> list[list[str]]:
    """Return the lines of a trace, with the names of its columns first.

    Raises:
        Damaged: if this is no CSV, or one with rows of different lengths.
    """
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise Damaged(f"{TRACE} cannot be read: {error}") from error
    if any(len(line) != len(lines[0]) for line in lines):
        raise Damaged(f"{TRACE} has rows of different lengths")
    return lines


def _value(text: str) -> Value:
    """Return a cell of a trace as a number, if it is one."""
    if "." not in text:  # an exception for each fraction would take most of the time
        with suppress(ValueError):
            return int(text)
    try:
        return float(text)
    except ValueError:
        return text


def encode_sums(files: Mapping[str, bytes]) -> bytes:
    """Return the checksums of ``files`` in the format of ``sha256sum``."""
    lines = (f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return "".join(lines).encode()


def decode_sums(content: bytes) -> dict[str, str]:
    """Return file name -> checksum.

    Raises:
        Damaged: if the list is not of exactly a record's files, with or without a snapshot.
    """
    lines = [line.split("  ", 1) for line in content.decode("utf-8", "replace").splitlines()]
    sums = {line[-1]: line[0] for line in lines}
    if tuple(sorted(sums.keys() - {SNAPSHOT})) != FILES:
        raise Damaged(f"{SUMS} does not list exactly {', '.join(FILES[:-1])} and {FILES[-1]}")
    return sums
