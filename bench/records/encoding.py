"""The bytes of a record's files: the same content always gives the same bytes.

Nothing here is ever unpickled. Numbers survive exactly: JSON and CSV hold the shortest text that reads back
to the same double, the arrays are stored as they are.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.records.checking import check_per_query, check_record
from bench.records.npz import pack, unpack
from bench.records.schema import READABLE, SCHEMA, Record

RECORD: Final = "record.json"
PER_QUERY: Final = "per_query.npz"
TRACE: Final = "trace.csv"
LOG: Final = "log.txt"
SUMS: Final = "sha256sums.txt"
SNAPSHOT: Final = "view.npz"
FILES: Final = (LOG, PER_QUERY, RECORD, TRACE)
"""What every record has; a finished one of this version has a `SNAPSHOT`, too."""

Value = str | int | float | None
_FIRST_COLUMNS: Final = ("stage", "epoch")


class Series(NamedTuple):
    """Names one array of average precisions: which state was evaluated, how, and in which direction."""

    selection: str
    protocol: str
    query: str
    gallery: str


class Damaged(ValueError):
    """A record's file is not what its writer left; the message is one sentence without the path."""


class Newer(Damaged):
    """A record's file is of a layout that a later version of this program made."""


class _Head(msgspec.Struct):
    """What can be read of a record whatever its layout."""

    schema: int


_RECORDS = msgspec.json.Decoder(Record)
_HEADS = msgspec.json.Decoder(_Head)


def encode_record(record: Record) -> bytes:
    """Return a record as indented JSON with sorted keys; NumPy numbers and arrays become plain ones.

    JSON has no word for NaN and infinity: in free notes they become null.

    Raises:
        ValueError: if what was written could not be read back, as with a metric that is NaN.
    """
    try:
        check_record(record)
        text = msgspec.json.encode(record, order="sorted", enc_hook=_plain)
        _RECORDS.decode(text)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise ValueError(f"the record of {record.identity.title} cannot be written: {error}") from error
    return msgspec.json.format(text, indent=2) + b"\n"


def decode_record(content: bytes) -> Record:
    """Return the record that ``content`` holds, with every field checked, and all fields against each other.

    Raises:
        Damaged: if it is not JSON, of another schema (`Newer` for a later one), or contradicts itself.
    """
    try:
        record = _RECORDS.decode(content)
    except msgspec.MsgspecError as error:
        raise _unreadable(content, error) from error
    try:
        check_record(record)
    except ValueError as error:
        raise Damaged(f"{RECORD} cannot be believed: {error}") from error
    return record


def _unreadable(content: bytes, error: msgspec.MsgspecError) -> Damaged:
    try:
        schema = _HEADS.decode(content).schema
    except msgspec.MsgspecError:
        schema = SCHEMA
    if schema not in READABLE:
        kind = Newer if schema > SCHEMA else Damaged
        return kind(f"{RECORD} has layout version {schema}, but this program reads up to version {SCHEMA}")
    return Damaged(f"{RECORD} does not fit the schema: {error}")


def encode_per_query(per_query: Mapping[tuple[str, str, str, str], ArrayLike]) -> bytes:
    """Return the arrays ``(n_queries,)`` as an uncompressed .npz, float64, in the order of their keys.

    Raises:
        ValueError: if an array is not a vector of finite numbers.
    """
    arrays: dict[str, NDArray[np.float64]] = {}
    for series in sorted(per_query):
        values = np.asarray(per_query[series], dtype=np.float64)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise ValueError(f"average precisions of {series} must be a vector of finite numbers")
        arrays[_key(series)] = values
    return pack(arrays, compressed=False)


def decode_per_query(
    content: bytes, wanted: Callable[[Series], bool] = lambda _: True
) -> dict[Series, NDArray[np.float64]]:
    """Return the arrays of `encode_per_query`, or those that are ``wanted``.

    Raises:
        Damaged: if this is no such archive, or one that would need pickle.
    """
    try:
        arrays = unpack(content, wanted=lambda key: wanted(_series(key)))
        return {_series(key): np.asarray(values, np.float64) for key, values in arrays.items()}
    except (ValueError, TypeError) as error:
        raise Damaged(f"{PER_QUERY} cannot be read: {error}") from error


def believed_per_query(
    content: bytes, record: Record, wanted: Callable[[Series], bool] = lambda _: True
) -> dict[Series, NDArray[np.float64]]:
    """Return the arrays of a record, or those that are ``wanted``, after a check against its metrics.

    Raises:
        Damaged: as `decode_per_query`, or if they are not those of the record.
    """
    stored: list[Series] = []

    def note(series: Series) -> bool:
        """Take note of every name, and tell whether its array is to be read."""
        stored.append(series)
        return wanted(series)

    found = decode_per_query(content, note)
    try:
        check_per_query(record, stored, found)
    except ValueError as error:
        raise Damaged(f"{PER_QUERY} cannot be believed: {error}") from error
    return found


def _key(series: tuple[str, str, str, str]) -> str:
    # Ids of protocols contain slashes and a user's modalities may contain anything: each part is quoted.
    return "/".join(quote(part, safe="@") for part in series)


@lru_cache(maxsize=10_000)
def _series(key: str) -> Series:
    return Series(*(unquote(part) for part in key.split("/")))


def encode_trace(rows: Iterable[Mapping[str, Value]]) -> bytes:
    """Return the rows of a trace as CSV: `stage` and `epoch` first, then columns as they first appear."""
    rows = list(rows)
    seen = dict.fromkeys(column for row in rows for column in row)
    columns: list[str] = [column for column in _FIRST_COLUMNS if column in seen]
    columns += [column for column in seen if column not in _FIRST_COLUMNS]
    lines = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)] if columns else []
    # A row of nothing is written as one empty text: a blank line would be no row at all.
    text = "".join((",".join(map(_quoted, line)) or '""') + "\n" for line in lines)
    return text.encode("utf-8", "backslashreplace")


def decode_trace(content: bytes) -> list[dict[str, Value]]:
    """Return the rows of `encode_trace`; empty cells are left out, text that is a number reads as one.

    Raises:
        Damaged: if this is not such a table.
    """
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise Damaged(f"{TRACE} cannot be read: {error}") from error
    columns = lines[0] if lines else []
    if any(len(line) != len(columns) for line in lines):
        raise Damaged(f"{TRACE} has rows of different lengths")
    return [
        {column: _value(text) for column, text in zip(columns, line, strict=True) if text}
        for line in lines[1:]
    ]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        value = int(value)
    return repr(value) if isinstance(value, int | float) else str(value)


def _quoted(text: str) -> str:
    # The writer of the standard library leaves a lone carriage return bare; its reader ends the line there.
    if not any(mark in text for mark in ',"\r\n\0'):
        return text
    return '"' + text.replace("\0", "\\0").replace('"', '""') + '"'


def _value(text: str) -> Value:
    if "." not in text:  # most cells are fractions: a failure each would cost more than the rest
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
        Damaged: if the list is not of exactly a record's files, with or without a view.
    """
    lines = [line.split("  ", 1) for line in content.decode("utf-8", "replace").splitlines()]
    sums = {line[1]: line[0] for line in lines if len(line) == 2}
    if tuple(sorted(sums.keys() - {SNAPSHOT})) != FILES:
        raise Damaged(f"{SUMS} does not list exactly {_listed(FILES)}")
    return sums


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is neither text, number, list nor dictionary")
