"""File locks: they show which writers and runs are alive, and runs claim cells by them.

These are locks of the kernel (flock), released however a process ends, and shared by all processes of one
kernel, whatever host name or process namespace they see; a process id proves nothing across containers.

A free lock proves that its holder is dead only under the kernel that the holder ran under: a network file
system may keep the locks of each machine apart. So names end with the kernel (`unique_word`), and for another
kernel, or where there are no locks, nobody can tell.
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
"""Of a lock: a process holds it, none does any more, or that cannot be told here."""

Standing = Literal["mine", "recorded", "elsewhere"]
"""Of a cell: claimed by this process, recorded by another run since this one began, or claimed by another."""

Stamp = tuple[int, int]
"""Of a record: the number of its file or folder, and when that changed last."""

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_PAUSE: Final = 0.002  # seconds between two attempts while another process just looks at a lock
_PATIENCE: Final = 0.2  # seconds in which whoever just looks at a lock gives it back


@lru_cache(maxsize=1)
def kernel() -> str:
    """Return 8 digits that tell this start of this kernel from others; random ones where nothing does."""
    with suppress(OSError):
        return _BOOT.read_text().strip()[:8]
    if platform.system() == "Linux":  # a sandbox that may keep locks to itself
        return secrets.token_hex(4)
    return socket.gethostname().encode().hex()[:8].rjust(8, "0")


def unique_word() -> str:
    """Return a word for a name that no other process makes; it begins with the kernel."""
    return kernel() + secrets.token_hex(4)


def try_lock(path: Path, seconds: float = 0.0) -> UnixFileLock | None:
    """Lock a file, which is made if there is none.

    Returns:
        None if another process or thread holds the lock for so many ``seconds``; negative: for ever.

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
        lock.release()  # its last holder has removed the file before it was locked here


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let one process at a time into the body; where there are no locks, all.

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
    """Hold the lock of a new file or folder, whose name ends with a `unique_word`; it is removed at the end.

    Yields:
        Whether the lock is held; False where there are no locks, and then there is no file either.

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
    """Yield whether the holder of a file's or folder's lock lives; nobody takes it in the body."""
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


class _Claimable(Protocol):
    """What `Claims` asks of a store; see `bench.records.Store`."""

    @property
    def claims(self) -> Path: ...
    def stamps(self) -> dict[str, Stamp]: ...
    def stamp(self, digest: str) -> Stamp | None: ...
    def has(self, digest: str) -> bool: ...


class Claims:
    """Context manager: the claims of this process on cells; of several runs, one at a time runs a cell.

    It notes at once which records are there, so make it before reading what is to be done.
    A claim is a lock on a file of the cell. It holds on one machine, and between machines as far as their
    shared file system carries locks. Without locks, a run goes on and says so; then two runs may do a cell
    twice, which costs time but harms no record.

    Attributes:
        unavailable: why there are no claims here, in a few words; empty where there are.
    """

    def __init__(self, store: _Claimable) -> None:
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

    def take(self, digest: str) -> Standing:
        """Claim a cell if it is free; a cell that another run has recorded in the meantime is left alone.

        Safe in any thread, as long as no two ask for the same cell.
        """
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
        # Looked at under the lock: whoever held it before has recorded what it did.
        if self.recorded(digest):
            self.release(digest)
            return "recorded"
        return "mine"

    def recorded(self, digest: str) -> bool:
        """Return whether another run has recorded this cell since the claims were made."""
        return self._store.stamp(digest) != self._seen.get(digest) and self._store.has(digest)

    def release(self, digest: str) -> None:
        """Give a claim back: the cell is recorded."""
        lock = self._locks.pop(digest, None)
        if lock is not None:
            with suppress(OSError):
                (self._store.claims / digest).unlink(missing_ok=True)
            lock.release()
