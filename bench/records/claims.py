"""Claims on cells and trials: of several runs on one results folder, one at a time runs a cell.

A claim is a lock on one byte of a file, ``<results>/.claims`` for cells, at a place derived from the digest;
nothing is written there. The kernel takes it back however the process ends, so no claim outlives its holder
and none has to be cleared away. It holds on one machine, and between machines as far as their shared file
system carries POSIX locks, as NFS and most parallel file systems do. Where there are none (Windows, some
mounts), a run goes on without and says so; then two runs may do a cell twice, which costs time but harms no
record.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Protocol, TypeVar

from bench.records.folders import explain
from bench.records.store import Stamp, Store

try:
    import fcntl
except ImportError:  # pragma: no cover (Windows)
    fcntl = None  # type: ignore[assignment]

Standing = Literal["mine", "recorded", "elsewhere"]
"""Of a cell: claimed by this process, recorded by another run since this one began, or claimed by another."""

C = TypeVar("C", bound="ClaimsOn")

_TAKEN: Final = {errno.EACCES, errno.EAGAIN}
_DIGITS: Final = 15
"""Hexadecimal digits of the digest that make the place of a lock: as many as a file's offset can hold.

That two cells of a grid share a place is improbable (400 cells: 1 in 10^13) and would only delay one.
"""


class Shelf(Protocol):
    """What tells whether a cell was recorded in the meantime, as `bench.records.Store` does."""

    @property
    def claims(self) -> Path:
        """Return the file whose bytes are locked."""

    def stamps(self) -> dict[str, Stamp]:
        """Return digest -> what changes whenever a record is put in place, of all that is there."""

    def stamp(self, digest: str) -> Stamp | None:
        """Return the same of one."""

    def has(self, digest: str) -> bool:
        """Return whether there is a sound record."""


class ClaimsOn:
    """The claims of this process on what one store records.

    POSIX locks belong to a process: use one object at a time per store.

    Attributes:
        unavailable: why there are no claims here, in a few words; empty where there are.
    """

    def __init__(self, shelf: Shelf) -> None:
        """Note which records are there; make it before reading what is to be done.

        Args:
            shelf: its records tell whether another run has finished a cell in the meantime.
        """
        self.unavailable = "" if fcntl is not None else "this system has none"
        self._shelf = shelf
        self._path = shelf.claims
        self._seen = shelf.stamps()
        self._file: int | None = None
        self._mine: set[str] = set()

    def __enter__(self: C) -> C:
        """Open the file of claims, and see whether it can be locked.

        Raises:
            StoreError: if it cannot be written.
        """
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise explain(error, self._path) from error
        if self._lock("f" * _DIGITS):
            self._unlock("f" * _DIGITS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give all claims back."""
        if self._file is not None:
            os.close(self._file)  # the kernel drops the locks
        self._file = None
        self._mine.clear()

    def take(self, digest: str) -> Standing:
        """Claim a cell if it is free; a cell that another run has recorded in the meantime is left alone.

        Safe in any thread, as long as no two ask for the same cell.
        """
        if digest in self._mine:
            return "mine"
        if not self._lock(digest):
            return "elsewhere"
        # Looked at under the lock: whoever held it before has recorded what it did.
        if self.recorded(digest):
            self._unlock(digest)
            return "recorded"
        self._mine.add(digest)
        return "mine"

    def recorded(self, digest: str) -> bool:
        """Return whether another run has recorded this cell since the claims were made."""
        return self._shelf.stamp(digest) != self._seen.get(digest) and self._shelf.has(digest)

    def release(self, digest: str) -> None:
        """Give a claim back: the cell is recorded."""
        if digest in self._mine:
            self._mine.discard(digest)
            self._unlock(digest)

    def _lock(self, digest: str) -> bool:
        if fcntl is None or self.unavailable:
            return True
        assert self._file is not None
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(digest), os.SEEK_SET)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            self.unavailable = f"its file system refuses: {error.strerror}"
        return True

    def _unlock(self, digest: str) -> None:
        if fcntl is not None and self._file is not None and not self.unavailable:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(digest), os.SEEK_SET)


class Claims(ClaimsOn):
    """The claims of this process on cells of one results folder.

    Attributes:
        store: of the records.
    """

    def __init__(self, store: Store) -> None:
        """Note which records are there; make it before reading what is to be done."""
        super().__init__(store)
        self.store = store


def _place(digest: str) -> int:
    return int(digest[:_DIGITS], 16)
