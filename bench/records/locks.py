"""Locks by which a process shows that it lives: the kernel takes them back however it ends.

The number of a process proves nothing where two containers share a host name but not their processes. A lock
of `flock` does: it is shared by all processes of one kernel, whatever namespace they are in, and it does not
belong to a process as a whole, as POSIX locks do, so each thread can hold its own. The library `filelock`
locks the same way, but hides whether a file system carries locks at all, which decides here.

A lock that is free proves that its holder is dead only under the kernel that the holder ran under: a network
file system may keep the locks of each machine apart. So a lock's file names its kernel, and for another one,
or without locks, nobody can tell.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

try:
    import fcntl
except ImportError:  # pragma: no cover (Windows)
    fcntl = None  # type: ignore[assignment]

Holder = Literal["alive", "dead", "unknown"]
"""Of a lock: a process holds it, none does any more, or that cannot be told here."""

_ARE_LOCKS: Final[bool] = fcntl is not None
_TAKEN: Final = {errno.EACCES, errno.EAGAIN}
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_PAUSE: Final = 0.001
"""Seconds between two attempts while somebody is just looking at the lock."""


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Make a file and hold a lock on it for a time; the file is removed at the end.

    Yields:
        Whether the lock is held; False where there are none, and then there is no file either.

    Raises:
        OSError: if the file cannot be written.
    """
    handle = _lock(path)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            os.close(handle)


@contextmanager
def looked_at(path: Path) -> Iterator[Holder]:
    """Tell whether the holder of a lock lives; in the body nobody can take the lock of a dead one.

    Yields:
        What is known of the holder.
    """
    handle = None
    try:
        with suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
        yield "unknown" if handle is None else _holder(handle)
    finally:
        if handle is not None:
            os.close(handle)


def _lock(path: Path) -> int | None:
    """Return a handle of the new, locked file; None where there are no locks."""
    if not _ARE_LOCKS:
        return None
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:
                os.write(handle, kernel())
                return handle
        except OSError as error:
            if error.errno not in _TAKEN:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
                os.close(handle)
                return None
        # Somebody took the new file for a dead one's and has the lock, or has removed the file by now.
        os.close(handle)
        time.sleep(_PAUSE)


def _holder(handle: int) -> Holder:
    if not _ARE_LOCKS:
        return "unknown"
    try:
        # Shared, so that of several who look at a dead one's lock none takes another for its holder.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return "alive" if error.errno in _TAKEN else "unknown"
    named = os.read(handle, 100)
    # A file without a name: its maker died between two steps, or is about to lock it and will make it again.
    return "dead" if named in (b"", kernel()) else "unknown"


@lru_cache(maxsize=1)
def kernel() -> bytes:
    """Return what tells this start of this machine's kernel from others; a random word where nothing does."""
    with suppress(OSError):
        return _BOOT.read_bytes().strip()
    if platform.system() == "Linux":  # a sandbox that may keep locks to itself
        return os.urandom(16).hex().encode()
    return socket.gethostname().encode()
