"""The files of a record: encoded, read from its folder, and checked."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from numpy.typing import ArrayLike

from bench.contract.errors import DataError
from bench.records import encoding
from bench.records.encoding import FILES, LOG, PER_QUERY, RECORD, SNAPSHOT, SUMS, TRACE, Damaged, Value
from bench.records.schema import Record
from bench.records.snapshot import Snapshot, decode_snapshot, encode_snapshot

_DIGEST: Final = re.compile(r"[0-9a-f]{20}")
_CHUNK: Final = 1 << 20
_LARGEST: Final = 1 << 29
"""Largest size of a file in bytes; a log may be larger, and then only its checksum is read."""


def record_files(
    record: Record,
    per_query: Mapping[tuple[str, str, str, str], ArrayLike],
    trace: Iterable[Mapping[str, Value]],
    log: str,
    snapshot: Snapshot | None = None,
) -> dict[str, bytes]:
    """Return the files of a record by name, with their checksums.

    ``per_query`` holds values per query ``(n_queries,)`` by selection, protocol, query and gallery.

    Raises:
        ValueError: if the content cannot be stored exactly, or its numbers contradict each other.
    """
    files = {
        RECORD: encoding.encode_record(record),
        PER_QUERY: encoding.encode_per_query(per_query),
        TRACE: encoding.encode_trace(trace),
        LOG: log.encode("utf-8", "backslashreplace"),
    }
    encoding.decode_per_query(files[PER_QUERY], record.result)
    if snapshot is not None:
        files[SNAPSHOT] = encode_snapshot(snapshot)
    return {**files, SUMS: encoding.encode_sums(files)}


def verified_files(digest: str, files: Mapping[str, bytes]) -> Record:
    """Return the record of the files of another process, after a check of each.

    Raises:
        DataError: if they are not the files of a sound record of this cell; one sentence.
    """
    try:
        content = {name: file for name, file in files.items() if name != SUMS}
        if not {*FILES} <= content.keys() <= {*FILES, SNAPSHOT}:
            raise Damaged(f"its files have the names {', '.join(sorted(files))[:200]}")
        if files.get(SUMS) != encoding.encode_sums(content):
            raise Damaged("its files differ from their checksums")
        return _look_into(Path(digest), content)
    except Damaged as error:
        raise DataError(f"the record of {digest}: {error}") from error


def sound_record(folder: Path) -> Record:
    """Return the record in a folder after a check of all checksums, its values per query and its trace.

    Raises:
        FileNotFoundError: if there is no such folder.
        Damaged: if it is not sound.
    """
    files = load(folder, RECORD, PER_QUERY, TRACE, rest=True)
    encoding.read_table(files[TRACE])
    record = decode(folder, files)
    if record.result is not None:
        encoding.decode_per_query(files[PER_QUERY], record.result)
    return record


def verified_record(folder: Path) -> tuple[Record, dict[str, bytes]]:
    """Return a record and its files after a check of each; raises as `sound_record`."""
    files = load(folder, *FILES, SNAPSHOT)
    return _look_into(folder, files), files


def decode(folder: Path, files: Mapping[str, bytes]) -> Record:
    """Return the record that files hold; raises `Damaged` unless it is that of the folder."""
    record = encoding.decode_record(files[RECORD])
    # Before it is published, and while it is replaced, a folder has a name such as `.tmp-<digest>-<word>`.
    if record.digest != (folder.name.split("-")[1] if folder.name.startswith(".") else folder.name):
        raise Damaged(f"{RECORD} belongs to the cell {record.digest}, not to this folder")
    return record


def _look_into(folder: Path, files: Mapping[str, bytes]) -> Record:
    """Return the record of files after a check of the content of each; raises `Damaged`."""
    record = decode(folder, files)
    encoding.decode_per_query(files[PER_QUERY], record.result)
    encoding.decode_trace(files[TRACE])
    if SNAPSHOT in files:
        decode_snapshot(files[SNAPSHOT])
    return record


def load(folder: Path, *names: str, rest: bool = False) -> dict[str, bytes]:
    """Return those of the files ``names`` that a record has, after a check of their checksums.

    With ``rest`` the checksums of the other files are checked, too.

    Raises:
        FileNotFoundError: if there is no such folder.
        Damaged: if a file is missing or changed.
    """
    try:
        return _load(folder, names, rest)
    except Damaged:  # it may have been replaced between two reads
        return _load(folder, names, rest)


def _load(folder: Path, names: Iterable[str], rest: bool) -> dict[str, bytes]:
    """Read the files once; see `load`."""
    if _DIGEST.fullmatch(folder.name) is None and not folder.name.startswith("."):
        raise Damaged("its name is not the 20 hexadecimal digits of a cell")
    files: dict[str, bytes] = {}
    sums = {SUMS: ""}
    try:
        for name in (SUMS, *FILES, SNAPSHOT):
            keep = name in names or name == SUMS
            if name not in sums or not (keep or rest):
                continue
            found, content = read_file(folder / name, keep=keep)
            if name == SUMS:
                sums = encoding.decode_sums(content)
            elif found != sums[name]:
                raise Damaged(f"{name} was truncated or edited: it differs from its checksum")
            elif keep:
                files[name] = content
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise
        raise Damaged(f"{name} is missing") from error
    except OSError as error:
        raise Damaged(f"{name} cannot be read: {error.strerror}") from error
    return files


def read_file(path: Path, *, keep: bool = True, largest: int = _LARGEST) -> tuple[str, bytes]:
    """Return a file's SHA-256, and its content or, without ``keep``, no bytes.

    Raises:
        OSError: if it cannot be read.
        Damaged: if it is no plain file, or larger than ``largest`` bytes.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for its writer
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise Damaged(f"{path.name} cannot be read: it is no plain file")
        if status.st_size > largest and (keep or path.name != LOG):
            raise Damaged(f"{path.name} has {status.st_size:,} bytes, more than the {largest:,} allowed")
        digest, chunks = hashlib.sha256(), []
        while chunk := os.read(handle, min(status.st_size + 1, _CHUNK)):
            digest.update(chunk)
            if keep:
                chunks.append(chunk)
        return digest.hexdigest(), b"".join(chunks)
    finally:
        os.close(handle)


def printable(text: object) -> str:
    """Return a text with bytes that are not UTF-8 and control characters replaced by escapes."""
    kept = str(text).encode("utf-8", "backslashreplace").decode()
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in kept)
