"""The results store: one folder per cell below ``<root>/runs``, named by the digest of its identity."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.contract.errors import DataError
from bench.records import encoding, folders
from bench.records.encoding import Damaged, Newer, Series, Value
from bench.records.schema import Record, Status
from bench.records.snapshot import Snapshot
from bench.records.snapshot_bytes import decode_snapshot, encode_snapshot

T = TypeVar("T")

Stamp = tuple[int, int]
"""Of a record's folder: the number of its directory, and when that changed last."""

_DIGEST: Final = re.compile(r"[0-9a-f]{20}")


class Problem(NamedTuple):
    """A folder that is not a sound record.

    Attributes:
        folder: of the record.
        sentence: why, and what to do about it.
        newer: whether `Store.write` keeps it, because a later version of this program made it.
    """

    folder: Path
    sentence: str
    newer: bool = False


class Store:
    """Writes, finds and reads records.

    Every file of a record is checked against ``sha256sums.txt`` before it is believed, and its numbers
    against each other: a record that is truncated, edited or impossible counts as absent, is named in
    `problems`, and the next run makes it again. What asks for one file of a record reads and checks that one
    alone. Values per query are held against the metrics whenever they are read, and by `verify`.

    Attributes:
        root: the results folder; it need not exist for reading.
        runs: the folder of the records.
        problems: what the last `statuses` or `records` left out, and why.
        without_snapshot: why finished cells that the last `statuses` or `records` found have no snapshot, by
            digest.
    """

    def __init__(self, root: Path | str) -> None:
        """Look at ``root``; nothing is created or changed."""
        self.root = Path(root)
        self.runs = self.root / "runs"
        self.problems: list[Problem] = []
        self.without_snapshot: dict[str, str] = {}

    @property
    def claims(self) -> Path:
        """The file of the claims on cells."""
        return self.root / ".claims"

    def prepare(self) -> None:
        """Make the results folder ready for writing and clear what dead writers left in it.

        Raises:
            StoreError: if it cannot be written.
        """
        folders.make_root(self.runs)
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
        if not self.runs.is_dir():
            folders.make_root(self.runs)
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
        files[encoding.SUMS] = encoding.encode_sums(files)
        return folders.publish(self.runs / digest, files, _rank)

    def has(self, digest: str) -> bool:
        """Return whether there is a sound record of this cell, whatever its status."""
        return self.status(digest) is not None

    def status(self, digest: str) -> Status | None:
        """Return a record's status; None where there is none or it is damaged."""
        try:
            folder = self.runs / digest
            return _decode(folder, _load(folder)).status
        except (Damaged, FileNotFoundError):
            return None

    def stamps(self) -> dict[str, Stamp]:
        """Return digest -> stamp of whatever is there; cheap, nothing is read."""
        try:
            names = [entry.name for entry in self.runs.iterdir() if entry.name[0] != "."]
        except (FileNotFoundError, NotADirectoryError):
            return {}
        found = {name: self.stamp(name) for name in names}
        return {name: stamp for name, stamp in found.items() if stamp is not None}

    def stamp(self, digest: str) -> Stamp | None:
        """Return what changes whenever a record is put in place; None where there is none."""
        try:
            status = (self.runs / digest).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def statuses(self) -> dict[str, Status]:
        """Return digest -> status of all sound records; `problems` names the others."""
        return {record.digest: record.status for record in self.records()}

    def records(self) -> Iterator[Record]:
        """Iterate over all sound records in the order of their digests; `problems` names the others."""
        self.problems, self.without_snapshot = [], {}
        try:
            places = sorted(entry for entry in self.runs.iterdir() if entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return
        for folder in places:
            if folder.name.startswith("."):
                continue
            try:
                record = _decode(folder, _load(folder))
            except FileNotFoundError:  # replaced just now, or removed
                continue
            except Damaged as error:
                self.problems.append(Problem(folder, _sentence(folder, error), isinstance(error, Newer)))
                continue
            if record.result is not None and record.result.snapshot_error:
                self.without_snapshot[folder.name] = record.result.snapshot_error
            yield record

    def read(self, digest: str) -> Record:
        """Return one record.

        Raises:
            DataError: if there is none or it is damaged.
        """
        return self._one(digest, _decode)

    def verify(self, digest: str) -> Record:
        """Return one record after a look into each of its files, and at its values per query.

        Raises:
            DataError: if there is none or it cannot be believed.
        """
        return self._one(digest, _verified)[0]

    def per_query(
        self, digest: str, wanted: Callable[[Series], bool] = lambda _: True
    ) -> dict[Series, NDArray[np.float64]]:
        """Return the average precision of every query ``(n_queries,)``, by what was evaluated.

        Args:
            digest: of the record.
            wanted: what to read; the rest costs no time.

        Raises:
            DataError: if there is no such record or it is damaged.
        """

        def read(folder: Path, files: dict[str, bytes]) -> dict[Series, NDArray[np.float64]]:
            return encoding.believed_per_query(files[encoding.PER_QUERY], _decode(folder, files), wanted)

        return self._one(digest, read, encoding.RECORD, encoding.PER_QUERY)

    def trace(self, digest: str) -> list[dict[str, Value]]:
        """Return the rows of the training's trace, empty cells left out.

        Raises:
            DataError: if there is no such record or it is damaged.
        """
        return self._one(
            digest, lambda _, files: encoding.decode_trace(files[encoding.TRACE]), encoding.TRACE
        )

    def snapshot(self, digest: str) -> Snapshot | None:
        """Return what is drawn of the cell; None where the record has nothing of the kind.

        Raises:
            DataError: if there is no such record or it is damaged.
        """

        def read(_: Path, files: dict[str, bytes]) -> Snapshot | None:
            return decode_snapshot(files[encoding.SNAPSHOT]) if encoding.SNAPSHOT in files else None

        return self._one(digest, read, encoding.SNAPSHOT)

    def log(self, digest: str) -> str:
        """Return what the cell printed.

        Raises:
            DataError: if there is no such record or it is damaged.
        """
        return self._one(
            digest, lambda _, files: files[encoding.LOG].decode("utf-8", "replace"), encoding.LOG
        )

    def _one(self, digest: str, interpret: Callable[[Path, dict[str, bytes]], T], *names: str) -> T:
        """Interpret the files of one record, or those of these ``names``; they agree with their checksums.

        Raises:
            DataError: if there is none or what is read is damaged.
        """
        folder = self.runs / digest
        try:
            return interpret(folder, _load(folder, *names))
        except FileNotFoundError as error:
            raise DataError(f"there is no record {digest} in {self.runs}") from error
        except Damaged as error:
            raise DataError(_sentence(folder, error)) from error


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
    encoding.believed_per_query(files[encoding.PER_QUERY], record)
    if snapshot is not None:
        files[encoding.SNAPSHOT] = encode_snapshot(snapshot)
    return {**files, encoding.SUMS: encoding.encode_sums(files)}


def verified_files(digest: str, files: Mapping[str, bytes]) -> Record:
    """Return the record of files that were made elsewhere, after a look into each of them.

    Raises:
        DataError: if they are not the files of a sound record of this cell; one sentence.
    """
    names = {*files}
    try:
        if (
            not {*encoding.FILES, encoding.SUMS}
            <= names
            <= {*encoding.FILES, encoding.SUMS, encoding.SNAPSHOT}
        ):
            raise Damaged(f"its files have the names {', '.join(sorted(names))[:200]}")
        sums = encoding.decode_sums(files[encoding.SUMS])
        content = {name: files[name] for name in names - {encoding.SUMS}}
        if sums != {name: hashlib.sha256(each).hexdigest() for name, each in content.items()}:
            raise Damaged("its files differ from their checksums")
        return _verified(Path(digest), content)[0]
    except Damaged as error:
        raise DataError(f"the record of {digest}: {error}") from error


def _load(folder: Path, *names: str) -> dict[str, bytes]:
    """Return a record's files, or those of these ``names`` that it has; each equal to its checksum.

    Raises:
        FileNotFoundError: if there is no such folder.
        Damaged: if a file is missing or changed.
    """
    try:
        return _read_checked(folder, names)
    except Damaged:
        # It may have been replaced between two reads; a second look tells.
        return _read_checked(folder, names)


def _read_checked(folder: Path, only: Collection[str]) -> dict[str, bytes]:
    if _DIGEST.fullmatch(folder.name) is None and not folder.name.startswith("."):
        raise Damaged("its name is not the 20 hexadecimal digits of a cell")
    sums = encoding.decode_sums(_read_file(folder, encoding.SUMS))
    files = {name: _read_file(folder, name) for name in sums if not only or name in only}
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != sums[name]:
            raise Damaged(f"{name} was truncated or edited: it differs from its checksum")
    return files


def _read_file(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise
        raise Damaged(f"{name} is missing") from error
    except OSError as error:
        raise Damaged(f"{name} cannot be read: {error.strerror}") from error


def _decode(folder: Path, files: dict[str, bytes]) -> Record:
    record = encoding.decode_record(files[encoding.RECORD])
    if record.digest != folder.name:
        raise Damaged(f"{encoding.RECORD} belongs to the cell {record.digest}, not to this folder")
    return record


def _verified(folder: Path, files: dict[str, bytes]) -> tuple[Record, dict[str, bytes]]:
    """Return a record and its files after a look into each of them."""
    record = _decode(folder, files)
    encoding.believed_per_query(files[encoding.PER_QUERY], record)
    encoding.decode_trace(files[encoding.TRACE])
    if encoding.SNAPSHOT in files:
        decode_snapshot(files[encoding.SNAPSHOT])
    return record, files


def _rank(folder: Path) -> int:
    """Return how much a folder is worth keeping: finished, otherwise sound, or damaged."""
    try:
        record = encoding.decode_record(_load(folder)[encoding.RECORD])
    except Newer:  # of a newer version of this program: not ours to throw away
        return 3
    except (Damaged, FileNotFoundError):
        return 0
    return 2 if record.status == "done" else 1


def _sentence(folder: Path, error: Damaged) -> str:
    advice = "remove the folder, or run the cell again, which replaces it"
    if isinstance(error, Newer):
        advice = "use the version that made it, or another results folder"
    return f"{folder}: {error}; {advice}"
