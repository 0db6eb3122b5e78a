"""The results store: one folder per cell below ``<root>/runs``, one file per trial in ``<root>/trials``."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
from numpy.typing import ArrayLike

from bench.atomic import write_whole
from bench.contract.errors import DataError
from bench.records import encoding, folders
from bench.records.encoding import UNREADABLE, Damaged, Newer, PerQuery, Value
from bench.records.locks import Stamp
from bench.records.schema import Record, Series, Status, Trial
from bench.records.snapshot import Snapshot, decode_snapshot, encode_snapshot

T = TypeVar("T")

_DIGEST: Final = re.compile(r"[0-9a-f]{20}")
_CHUNK: Final = 1 << 20
_LARGEST: Final = 1 << 29
"""Bytes that a file may have; a log may have more, and then only its checksum is looked at."""


class Problem(NamedTuple):
    """A folder that is not a sound record.

    Attributes:
        folder: of the record, with marks for what cannot be printed of its name.
        sentence: why, and what to do about it.
        newer: whether `Store.write` keeps it, because a later version of this program made it.
    """

    folder: Path
    sentence: str
    newer: bool = False


class Store:
    """Writes, finds and reads records; making one creates nothing.

    Every file of a record is checked against ``sha256sums.txt`` before it is believed, and its numbers
    against each other: a record that is truncated, edited or impossible counts as absent, is named in
    `problems`, and the next run makes it again. What asks for one file of a record reads and checks that one
    alone; it raises DataError if there is none or it is damaged. Values per query are compared with the
    metrics whenever they are read, and by `verify`.

    Attributes:
        root: the results folder; it need not exist for reading.
        runs: the folder of the records.
        claims: the folder of the locks on cells.
        problems: what the last `statuses` or `records` left out, and why.
        without_snapshot: why finished cells that the last `statuses` or `records` found have no snapshot, by
            digest.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.runs = self.root / "runs"
        self.claims = self.root / ".locks"
        self.problems: list[Problem] = []
        self.without_snapshot: dict[str, str] = {}

    def prepare(self) -> None:
        """Make the results folder, prove that it can be written, and clear what dead writers left in it.

        Raises:
            StoreError: if it cannot be written.
        """
        with folders.marked(self.runs):
            folders.make(self.claims)
            folders.tidy(self.runs)

    def write(
        self,
        record: Record,
        per_query: Mapping[tuple[str, str, str, str], ArrayLike],
        trace: Iterable[Mapping[str, Value]],
        log: str,
        snapshot: Snapshot | None = None,
    ) -> bool:
        """Write a record; it is on disk when this returns.

        A record of the same cell is replaced, but never a finished one by a failure. At every moment the
        folder holds one whole record or is absent; several processes may write the same cell at once.

        Args:
            record: what is known about the cell.
            per_query: (selection, protocol, query, gallery) -> average precisions ``(n_queries,)``.
            trace: rows of the training's trace.
            log: what the cell printed.
            snapshot: what a report draws of the cell; None for nothing.

        Returns:
            False if this record was dropped: a failure where a finished one was there, or any where one
            of a later version of this program is.

        Raises:
            StoreError: if the folder cannot be written or the disk is full; nothing is lost then.
            ValueError: if the content cannot be stored faithfully.
        """
        return self.put(record.digest, record_files(record, per_query, trace, log, snapshot))

    def put(self, digest: str, files: Mapping[str, bytes]) -> bool:
        """Write a record whose files were made elsewhere by `record_files`; see `write`."""
        folders.make(self.runs)
        return folders.publish(self.runs / digest, files, _rank)

    def adopt(self, other: Store, digest: str) -> bool:
        """Copy a sound record of another store byte for byte, under the rules of `write`.

        Returns:
            False if it was dropped, because what is here is worth more.

        Raises:
            DataError: if there is no such record there, or it is damaged.
            StoreError: if the folder cannot be written or the disk is full; nothing is lost then.
        """
        _, files = other._one(digest, _verified)
        return self.put(digest, {**files, encoding.SUMS: encoding.encode_sums(files)})

    def has(self, digest: str) -> bool:
        """Return whether there is a sound record of this cell, whatever its status."""
        return self.status(digest) is not None

    def status(self, digest: str) -> Status | None:
        """Return a record's status; None where there is none or it is damaged."""
        try:
            return _sound(self.runs / digest).status
        except (Damaged, FileNotFoundError):
            return None

    def stamps(self) -> dict[str, Stamp]:
        """Return digest -> stamp of whatever is there; cheap, nothing is read."""
        return _stamps(_entries(self.runs))

    def stamp(self, digest: str) -> Stamp | None:
        """Return what changes whenever a record is put in place; None where there is none."""
        return _stamps([self.runs / digest]).get(digest)

    def statuses(self) -> dict[str, Status]:
        """Return digest -> status of all sound records; `problems` names the others."""
        return {record.digest: record.status for record in self.records()}

    def records(self) -> Iterator[Record]:
        """Iterate over all sound records in the order of their digests; `problems` names the others."""
        self.problems, self.without_snapshot = [], {}
        for folder in filter(Path.is_dir, _entries(self.runs)):
            try:
                record = _sound(folder)
            except FileNotFoundError:  # replaced just now, or removed
                continue
            except Damaged as error:
                sentence = _sentence(folder, error)
                self.problems.append(Problem(Path(_printable(folder)), sentence, isinstance(error, Newer)))
                continue
            if record.result is not None and record.result.snapshot_error:
                self.without_snapshot[folder.name] = record.result.snapshot_error
            yield record

    def read(self, digest: str) -> Record:
        """Return one record."""
        return self._one(digest, _sound)

    def verify(self, digest: str) -> Record:
        """Return one record after a look into each of its files, and at its values per query."""
        return self._one(digest, _verified)[0]

    def per_query(self, digest: str, wanted: Callable[[Series], bool] = lambda _: True) -> PerQuery:
        """Return the average precision of every query ``(n_queries,)``, by what was evaluated.

        Args:
            digest: of the record.
            wanted: what to check and to return.
        """

        def read(folder: Path) -> PerQuery:
            files = _load(folder, encoding.RECORD, encoding.PER_QUERY)
            record = _decode(folder, files)
            return encoding.decode_per_query(files[encoding.PER_QUERY], record.result, wanted)

        return self._one(digest, read)

    def trace(self, digest: str) -> list[dict[str, Value]]:
        """Return the rows of the training's trace, empty cells left out."""
        name = encoding.TRACE
        return self._one(digest, lambda folder: encoding.decode_trace(_load(folder, name)[name]))

    def snapshot(self, digest: str) -> Snapshot | None:
        """Return what is drawn of the cell; None where the record has nothing of the kind."""

        def read(folder: Path) -> Snapshot | None:
            content = _load(folder, encoding.SNAPSHOT).get(encoding.SNAPSHOT)
            return None if content is None else decode_snapshot(content)

        return self._one(digest, read)

    def log(self, digest: str) -> str:
        """Return what the cell printed."""
        name = encoding.LOG
        return self._one(digest, lambda folder: _load(folder, name)[name].decode("utf-8", "replace"))

    def _one(self, digest: str, read: Callable[[Path], T]) -> T:
        """Read something of one record."""
        folder = self.runs / digest
        try:
            return read(folder)
        except FileNotFoundError as error:
            raise DataError(f"there is no record {digest} in {self.runs}") from error
        except Damaged as error:
            raise DataError(_sentence(folder, error)) from error


class TrialStore:
    """Trials of `tune` as JSON files, one per cell and setting, each with a log beside it.

    Attributes:
        folder: of the trials.
        claims: the folder of the locks on trials, apart from those on cells with the same settings.
    """

    def __init__(self, results: Path) -> None:
        self.folder = results / "trials"
        self.claims = results / ".locks-trials"

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            StoreError: if it cannot be written.
        """
        folders.make(self.folder)
        folders.make(self.claims)

    def write(self, trial: Trial, log: str = "") -> None:
        """Write a trial and what it printed, each file whole or not at all, the log first.

        Raises:
            StoreError: if the folder cannot be written or the disk is full.
        """
        content = msgspec.json.format(msgspec.json.encode(trial, order="sorted"), indent=1)
        self.put(trial.identity.digest, content + b"\n", log.encode("utf-8", "backslashreplace"))

    def put(self, digest: str, content: bytes, log: bytes | None) -> None:
        """Write the files of a trial; see `write`. Trials of before there were logs have none."""
        try:
            if log is not None:
                write_whole(self.log_path(digest), log)
            write_whole(self._path(digest), content)
        except OSError as error:
            raise folders.explain(error, self.folder) from error

    def read(self) -> Iterator[Trial]:
        """Iterate over all sound trials, in the order of their digests; the others are run again."""
        for digest in self.digests():
            trial = self.get(digest)
            if trial is not None:
                yield trial

    def digests(self) -> list[str]:
        """Return the names of all files of trials, sorted."""
        return [path.stem for path in _entries(self.folder) if path.suffix == ".json"]

    def get(self, digest: str) -> Trial | None:
        """Return one trial; None where there is none, or it cannot be believed."""
        try:
            return self.load(digest)[0]
        except DataError:  # a trial is cheap, and nothing is built on it unread
            return None

    def load(self, digest: str) -> tuple[Trial, bytes, bytes | None]:
        """Return a trial, and the bytes of its file and of its log."""
        path, log = self._path(digest), self.log_path(digest)
        try:
            content = _read(path)[1]
            trial = msgspec.json.decode(content, type=Trial)
            if trial.identity.digest != digest:
                raise Damaged("it belongs to another cell")
            return trial, content, _read(log)[1] if log.exists() else None
        except (OSError, *UNREADABLE) as error:
            raise DataError(f"{_printable(path)} cannot be read: {error}; run tune there again") from error

    def has(self, digest: str) -> bool:
        """Return whether there is a sound trial."""
        return self.get(digest) is not None

    def log_path(self, digest: str) -> Path:
        """Return where the log of a trial is."""
        return self.folder / f"{digest}.txt"

    def stamps(self) -> dict[str, Stamp]:
        """Return digest -> stamp of whatever is there."""
        return _stamps(map(self._path, self.digests()))

    def stamp(self, digest: str) -> Stamp | None:
        """Return what changes whenever a trial is put in place; None where there is none."""
        return _stamps([self._path(digest)]).get(digest)

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.json"


def record_files(
    record: Record,
    per_query: Mapping[tuple[str, str, str, str], ArrayLike],
    trace: Iterable[Mapping[str, Value]],
    log: str,
    snapshot: Snapshot | None = None,
) -> dict[str, bytes]:
    """Return the files of a record by name, their checksums among them; arguments as for `Store.write`.

    Raises:
        ValueError: if the content cannot be stored faithfully, or its numbers cannot be.
    """
    files = {
        encoding.RECORD: encoding.encode_record(record),
        encoding.PER_QUERY: encoding.encode_per_query(per_query),
        encoding.TRACE: encoding.encode_trace(trace),
        encoding.LOG: log.encode("utf-8", "backslashreplace"),
    }
    encoding.decode_per_query(files[encoding.PER_QUERY], record.result)
    if snapshot is not None:
        files[encoding.SNAPSHOT] = encode_snapshot(snapshot)
    return {**files, encoding.SUMS: encoding.encode_sums(files)}


def verified_files(digest: str, files: Mapping[str, bytes]) -> Record:
    """Return the record of files that were made elsewhere, after a look into each of them.

    Raises:
        DataError: if they are not the files of a sound record of this cell; one sentence.
    """
    try:
        content = {name: each for name, each in files.items() if name != encoding.SUMS}
        if not {*encoding.FILES} <= content.keys() <= {*encoding.FILES, encoding.SNAPSHOT}:
            raise Damaged(f"its files have the names {', '.join(sorted(files))[:200]}")
        if files.get(encoding.SUMS) != encoding.encode_sums(content):
            raise Damaged("its files differ from their checksums")
        return _look_into(Path(digest), content)
    except Damaged as error:
        raise DataError(f"the record of {digest}: {error}") from error


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder but hidden things, sorted; nothing where there is none."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _stamps(paths: Iterable[Path]) -> dict[str, Stamp]:
    found = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            found[path.stem] = status.st_ino, status.st_mtime_ns
    return found


def _sound(folder: Path) -> Record:
    """Return a record after a look at all checksums and at the shape of its trace.

    Raises:
        FileNotFoundError: if there is no such folder.
        Damaged: if it cannot be believed.
    """
    files = _load(folder, encoding.RECORD, encoding.TRACE, rest=True)
    encoding.read_table(files[encoding.TRACE])
    return _decode(folder, files)


def _decode(folder: Path, files: Mapping[str, bytes]) -> Record:
    record = encoding.decode_record(files[encoding.RECORD])
    # A folder that is about to be put in place has a hidden name.
    if record.digest != folder.name and not folder.name.startswith("."):
        raise Damaged(f"{encoding.RECORD} belongs to the cell {record.digest}, not to this folder")
    return record


def _verified(folder: Path) -> tuple[Record, dict[str, bytes]]:
    """Return a record and its files after a look into each of them; raises as `_sound`."""
    files = _load(folder, *encoding.FILES, encoding.SNAPSHOT)
    return _look_into(folder, files), files


def _look_into(folder: Path, files: Mapping[str, bytes]) -> Record:
    record = _decode(folder, files)
    encoding.decode_per_query(files[encoding.PER_QUERY], record.result)
    encoding.decode_trace(files[encoding.TRACE])
    if encoding.SNAPSHOT in files:
        decode_snapshot(files[encoding.SNAPSHOT])
    return record


def _load(folder: Path, *names: str, rest: bool = False) -> dict[str, bytes]:
    """Return those files of a record of these ``names`` that it has; each is equal to its checksum.

    Args:
        folder: of the record.
        names: of the files.
        rest: whether the checksums of the other files are checked, too.

    Raises:
        FileNotFoundError: if there is no such folder.
        Damaged: if a file is missing or changed.
    """
    try:
        return _load_once(folder, names, rest)
    except Damaged:
        # It may have been replaced between two reads; a second look tells.
        return _load_once(folder, names, rest)


def _load_once(folder: Path, names: Iterable[str], rest: bool) -> dict[str, bytes]:
    if _DIGEST.fullmatch(folder.name) is None and not folder.name.startswith("."):
        raise Damaged("its name is not the 20 hexadecimal digits of a cell")
    sums = encoding.decode_sums(_read_of(folder, encoding.SUMS)[1])
    files = {}
    for name, expected in sums.items():
        if rest or name in names:
            found, content = _read_of(folder, name, keep=name in names)
            if found != expected:
                raise Damaged(f"{name} was truncated or edited: it differs from its checksum")
            if name in names:
                files[name] = content
    return files


def _read_of(folder: Path, name: str, *, keep: bool = True) -> tuple[str, bytes]:
    try:
        return _read(folder / name, keep=keep)
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise
        raise Damaged(f"{name} is missing") from error
    except OSError as error:
        raise Damaged(f"{name} cannot be read: {error.strerror}") from error


def _read(path: Path, *, keep: bool = True) -> tuple[str, bytes]:
    """Return a file's SHA-256, and its content if it is to be kept.

    Raises:
        OSError: if it cannot be read.
        Damaged: if it is no plain file, or too large to be kept in memory.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for its writer
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise Damaged(f"{path.name} cannot be read: it is no plain file")
        if status.st_size > _LARGEST and (keep or path.name != encoding.LOG):
            raise Damaged(f"{path.name} has {status.st_size:,} bytes, more than the {_LARGEST:,} allowed")
        digest, chunks = hashlib.sha256(), []
        while chunk := os.read(handle, min(status.st_size + 1, _CHUNK)):
            digest.update(chunk)
            if keep:
                chunks.append(chunk)
        return digest.hexdigest(), b"".join(chunks)
    finally:
        os.close(handle)


def _rank(folder: Path) -> int:
    """Return how much a folder is worth keeping: finished, otherwise sound, or damaged."""
    try:
        record = _sound(folder)
    except Newer:  # of a newer version of this program: not ours to throw away
        return 3
    except (Damaged, FileNotFoundError):
        return 0
    return 2 if record.status == "done" else 1


def _sentence(folder: Path, error: Damaged) -> str:
    advice = "remove the folder, or run the cell again, which replaces it"
    if isinstance(error, Newer):
        advice = "use the version that made it, or another results folder"
    return _printable(f"{folder}: {error}; {advice}")


def _printable(text: object) -> str:
    """Return a text in which escapes stand for bytes that are not UTF-8 and for control characters."""
    kept = str(text).encode("utf-8", "backslashreplace").decode()
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in kept)
