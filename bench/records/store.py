"""The results store: one folder per cell below ``<root>/runs``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bench.contract.errors import DataError
from bench.records import encoding, folders
from bench.records.encoding import Damaged, Newer, PerQuery, Value
from bench.records.files import decode, load, printable, record_files, sound_record, verified_record
from bench.records.folders import entries, stamps
from bench.records.locks import Stamp
from bench.records.models import ModelStore
from bench.records.schema import Record, Series, Status
from bench.records.snapshot import Snapshot, decode_snapshot

T = TypeVar("T")


class Problem(NamedTuple):
    """A folder that is not a sound record.

    Attributes:
        folder: of the record; its name is escaped where it cannot be printed.
        sentence: the reason, with advice.
        newer: whether a later version of this program wrote it: then `Store.put` does not replace it.
    """

    folder: Path
    sentence: str
    newer: bool = False


class Store:
    """Writes, finds and reads records; an instance alone creates no folder.

    Files of a record are checked against ``sha256sums.txt``, and its numbers against each other: a record
    that is truncated, edited or contradictory counts as absent, is listed in `problems`, and the next run
    makes it again. Methods that return one file read and check only that file, and raise DataError if the
    record is absent or the file is damaged. Values per query are always compared with the metrics.

    Attributes:
        root: the results folder; it need not exist for reading.
        runs: folder of the records.
        claims: folder of the locks on cells.
        models: the stored models.
        problems: damaged records that the last `statuses` or `records` left out.
        without_snapshot: reasons for missing snapshots of the finished cells of that call, by digest.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.runs = self.root / "runs"
        self.claims = self.root / ".locks"
        self.models = ModelStore(self.root)
        self.problems: list[Problem] = []
        self.without_snapshot: dict[str, str] = {}

    def prepare(self) -> None:
        """Create the results folder, check that it can be written, and remove files of dead writers.

        Raises:
            StoreError: if it cannot be written.
        """
        with folders.marked(self.runs):
            folders.make(self.claims)
            folders.tidy(self.runs, _rank)
            self.models.tidy()

    def write(self, record: Record, *content: Any) -> bool:
        """Put the `record_files` of a record and further content."""
        return self.put(record.digest, record_files(record, *content))

    def put(self, digest: str, files: Mapping[str, bytes]) -> bool:
        """Write `record_files`; they are on the disk when this returns.

        A record of the same cell is replaced, except a finished one by a failure, and one of a later version
        of this program. The folder is always a whole record or absent, also with several writers at once.

        Returns:
            Whether this record was written.

        Raises:
            StoreError: if the folder cannot be written or the disk is full; then the old record stays.
        """
        folders.make(self.runs)
        return folders.publish(self.runs / digest, files, _rank)

    def copy_from(self, other: Store, digest: str) -> bool:
        """Copy a sound record of another store byte for byte; returns and raises as `put`.

        Raises:
            DataError: if there is no such record there, or it is damaged.
        """
        _, files = other._read(digest, verified_record)
        return self.put(digest, {**files, encoding.SUMS: encoding.encode_sums(files)})

    def has(self, digest: str) -> bool:
        """Return whether there is a sound record of this cell, of any status."""
        return self.status(digest) is not None

    def status(self, digest: str) -> Status | None:
        """Return a record's status; None if it is absent or damaged."""
        try:
            return sound_record(self.runs / digest).status
        except (Damaged, FileNotFoundError):
            return None

    def stamps(self) -> dict[str, Stamp]:
        """Return digest -> stamp of all records, without reading them."""
        return stamps(entries(self.runs))

    def stamp(self, digest: str) -> Stamp | None:
        """Return a value that changes whenever a record is put; None without one."""
        return stamps([self.runs / digest]).get(digest)

    def statuses(self) -> dict[str, Status]:
        """Return digest -> status of all sound records; `problems` names the others."""
        return {record.digest: record.status for record in self.records()}

    def records(self) -> Iterator[Record]:
        """Iterate over all sound records in the order of their digests; `problems` names the others."""
        self.problems, self.without_snapshot = [], {}
        for folder in filter(Path.is_dir, entries(self.runs)):
            try:
                record = sound_record(folder)
            except FileNotFoundError:  # replaced or removed meanwhile
                continue
            except Damaged as error:
                sentence = _sentence(folder, error)
                self.problems.append(Problem(Path(printable(folder)), sentence, isinstance(error, Newer)))
                continue
            if record.result is not None and record.result.snapshot_error:
                self.without_snapshot[folder.name] = record.result.snapshot_error
            yield record

    def read(self, digest: str) -> Record:
        """Return one record."""
        return self._read(digest, sound_record)

    def verify(self, digest: str) -> Record:
        """Return one record after a check of each of its files."""
        return self._read(digest, verified_record)[0]

    def per_query(
        self, digest: str, wanted: Callable[[Series], bool] = lambda _: True, *, record: Record | None = None
    ) -> PerQuery:
        """Return the values per query ``(n_queries,)`` of the ``wanted`` series.

        They are compared with the metrics of the ``record``, which is read unless it is given.
        """

        def read(folder: Path) -> PerQuery:
            names = (encoding.PER_QUERY,) if record is not None else (encoding.PER_QUERY, encoding.RECORD)
            files = load(folder, *names)
            known = decode(folder, files) if record is None else record
            return encoding.decode_per_query(files[encoding.PER_QUERY], known.result, wanted)

        return self._read(digest, read)

    def trace(self, digest: str) -> list[dict[str, Value]]:
        """Return the rows of the training trace, without empty cells."""
        name = encoding.TRACE
        return self._read(digest, lambda folder: encoding.decode_trace(load(folder, name)[name]))

    def snapshot(self, digest: str) -> Snapshot | None:
        """Return the snapshot; None if the record has none."""
        content = self._read(digest, lambda folder: load(folder, encoding.SNAPSHOT).get(encoding.SNAPSHOT))
        return self._read(digest, lambda _: None if content is None else decode_snapshot(content))

    def log(self, digest: str) -> str:
        """Return the output of the cell."""
        name = encoding.LOG
        return self._read(digest, lambda folder: load(folder, name)[name].decode("utf-8", "replace"))

    def _read(self, digest: str, read: Callable[[Path], T]) -> T:
        """Return what ``read`` returns of a record's folder; raises DataError."""
        folder = self.runs / digest
        try:
            return read(folder)
        except FileNotFoundError as error:
            raise DataError(f"there is no record {digest} in {self.runs}") from error
        except Damaged as error:
            raise DataError(_sentence(folder, error)) from error


def _rank(folder: Path) -> int:
    """Return the rank of a folder: of a later version, finished, otherwise sound, damaged."""
    try:
        record = sound_record(folder)
    except Newer:
        return 3
    except (Damaged, FileNotFoundError):
        return 0
    return 2 if record.status == "done" else 1


def _sentence(folder: Path, error: Damaged) -> str:
    """Return an error of a record with its folder and advice."""
    advice = "remove the folder, and run the cell again"
    if isinstance(error, Newer):
        advice = "use the version that made it, or another results folder"
    return printable(f"{folder}: {error}; {advice}")
