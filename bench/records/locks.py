"""File locks: a writer or run holds one while it is alive, and runs claim cells by them.

These are locks of the kernel (flock), released however a process ends, and valid for all processes of one
kernel in any namespace; a process id is not unique across containers. On a network file system a free lock
proves that its holder is dead only on the kernel of the holder. Therefore names end with the kernel
(`unique_word`), and for another kernel, or without locks, the state is unknown.
"""

from __future__ import annotations

import errno
import os
import platform
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from filelock import UnixFileLock

Holder = Literal["alive", "dead", "unknown"]
"""State of the holder of a lock."""

Claim = Literal["mine", "recorded", "elsewhere"]
"""State of a cell: claimed here, recorded by another run since this one began, or claimed by another."""

Stamp = tuple[int, int]
"""Inode and time of the last change of a record's file or folder."""


class Claimable(Protocol):
    """A store whose entries can be claimed.

    Attributes:
        claims: folder of the locks.
    """

    claims: Path

    def has(self, digest: str) -> bool:
        """Return whether there is a sound entry."""

    def stamp(self, digest: str) -> Stamp | None:
        """Return the stamp of an entry; None if it is absent."""

    def stamps(self) -> dict[str, Stamp]:
        """Return the stamps of all entries."""


_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_PAUSE: Final = 0.002  # seconds between two attempts to lock a file
_PATIENCE: Final = 0.2  # seconds that a process may keep a lock only to read its state


@lru_cache(maxsize=1)
def kernel() -> str:
    """Return 8 digits that identify this boot of this kernel; random ones where they are not known."""
    with suppress(OSError):
        return _BOOT.read_text().strip()[:8]
    if platform.system() == "Linux":  # a sandbox that may keep locks to itself
        return secrets.token_hex(4)
    return socket.gethostname().encode().hex()[:8].rjust(8, "0")


def unique_word() -> str:
    """Return a random word that begins with the kernel."""
    return kernel() + secrets.token_hex(4)


def try_lock(path: Path, seconds: float = 0.0) -> UnixFileLock | None:
    """Lock a file, which is created if it is absent.

    Returns:
        None if another process or thread holds the lock for ``seconds``; negative seconds mean no limit.

    Raises:
        OSError: if the file cannot be written, or has no locks.
    """
    from filelock import Timeout, UnixFileLock  # takes longer to import than to use

    while True:
        lock = UnixFileLock(path, thread_local=False)
        try:
            lock.acquire(timeout=seconds, poll_interval=_PAUSE, blocking=seconds != 0)
        except Timeout:
            return None
        except NotImplementedError as error:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from error
        if type(lock) is not UnixFileLock:  # some versions fall back on files that outlive their makers
            lock.release()
            path.unlink(missing_ok=True)
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        if path.exists():
            return lock
        lock.release()  # the last holder removed the file before it was locked here


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let one process at a time run the body; without locks, all.

    Raises:
        OSError: if the lock's file cannot be written.
    """
    path.touch()
    lock = None
    with suppress(OSError):
        lock = try_lock(path, -1)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def lock_of(path: Path) -> Path:
    """Return the lock of a file or folder whose name ends with a `unique_word`."""
    return path.with_name(path.name + ".lock")


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold the lock of a new file or folder, whose name ends with a `unique_word`, in the body.

    Yields:
        Whether the lock is held; False without locks, and then there is no lock file either.

    Raises:
        OSError: if the lock's file cannot be written.
    """
    file, lock = lock_of(path), None
    file.touch()
    with suppress(OSError):
        lock = try_lock(file, _PATIENCE)
    try:
        if lock is None:
            file.unlink(missing_ok=True)
        yield lock is not None
    finally:
        if lock is not None:
            with suppress(OSError):
                file.unlink(missing_ok=True)
            lock.release()


@contextmanager
def looked_at(path: Path) -> Iterator[Holder]:
    """Yield the state of the holder of a file's or folder's lock; no process takes the lock in the body."""
    file, lock = lock_of(path), None
    holder: Holder = "unknown"
    if path.stem.rpartition("-")[2].startswith(kernel()) and file.exists():
        with suppress(OSError):
            lock = try_lock(file)
            holder = "alive" if lock is None else "dead"
    try:
        yield holder
    finally:
        if lock is not None:
            lock.release()


class Claims:
    """Context manager: the claims of this process on cells; of several runs, one at a time runs a cell.

    It lists the records when it is created: create it before planning. A claim is a lock on a file of the
    cell, valid on one machine, and between machines if their file system shares locks. Without locks, a run
    continues; then two runs may run a cell twice, which damages no record.

    Attributes:
        unavailable: why there are no locks, in a few words; empty where there are.
    """

    def __init__(self, store: Claimable) -> None:
        self._store = store
        self.unavailable = ""
        self._seen = store.stamps()
        self._locks: dict[str, UnixFileLock | None] = {}

    def __enter__(self) -> Claims:
        try:
            with held(self._store.claims / unique_word()) as locked:
                self.unavailable = "" if locked else "its file system has no locks"
        except OSError as error:
            self.unavailable = f"its file system refuses: {error.strerror}"
        return self

    def __exit__(self, *_: object) -> None:
        for digest in [*self._locks]:
            self.release(digest)

    def take(self, digest: str) -> Claim:
        """Claim a cell if it is free and not recorded meanwhile; for one thread per cell."""
        if digest in self._locks:
            return "mine"
        lock = None
        if not self.unavailable:
            try:
                lock = try_lock(self._store.claims / digest)
            except OSError as error:
                self.unavailable = f"its file system refuses: {error.strerror}"
            else:
                if lock is None:
                    return "elsewhere"
        self._locks[digest] = lock
        # Read under the lock: its last holder has recorded the cell before.
        if self.recorded(digest):
            self.release(digest)
            return "recorded"
        return "mine"

    def recorded(self, digest: str) -> bool:
        """Return whether another run has recorded this cell since these claims were created."""
        return self._store.stamp(digest) != self._seen.get(digest) and self._store.has(digest)

    def release(self, digest: str) -> None:
        """Release a claim."""
        lock = self._locks.pop(digest, None)
        if lock is not None:
            with suppress(OSError):
                (self._store.claims / digest).unlink(missing_ok=True)
            lock.release()
