"""Puts a record's folder in place so that it is whole or absent, whoever else writes or dies meanwhile.

A folder is built under a hidden name beside its place, flushed to the disk, and renamed. POSIX and network
file systems rename a folder in one step, but never onto a full one; so an old record is first moved aside
(`.old-...`) and removed when the new one stands. A process that dies between the two steps leaves the old
record aside, and `tidy` puts it back. Whether it died is told by a lock on a file beside the hidden folder,
which the kernel takes back; where there are no locks, by age alone.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.contract.errors import BenchError, lacks_room
from bench.records.locks import held, looked_at

_HIDDEN: Final = re.compile(r"\.(?P<what>tmp|old)-(?P<digest>[0-9a-f]+)-.+-\d+-[0-9a-f]+")
_LOCK: Final = ".lock"
_STALE_SECONDS: Final = 86_400.0
"""Age of a hidden folder that counts as left where nobody can tell whether its writer lives."""

_STACK: Final = 1 << 20
"""Bytes of a thread's stack: the usual ones would count much where a worker's memory is limited."""

_STARTING: Final = threading.Lock()
"""The size of stacks belongs to the whole process."""

_TAKEN: Final = {errno.ENOTEMPTY, errno.EEXIST}
_ADVICE: Final = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EROFS: "it is mounted read-only; choose another folder with --results",
    errno.EACCES: "this user may not write there; change its permissions or choose another with --results",
    errno.EPERM: "this user may not write there; change its permissions or choose another with --results",
    errno.ENOTDIR: "part of that path is a file; move it away or choose another folder with --results",
}

Rank = Callable[[Path], int]
"""How much a record's folder is worth keeping; a lower one never replaces a higher one."""


class StoreError(BenchError):
    """The results folder cannot be written: full, protected, or not a folder."""


class DiskFull(StoreError):
    """The disk of the results is full, or this user's part of it: what is smaller may find room, or later."""


def explain(error: OSError, folder: Path) -> StoreError:
    """Return the error to raise for ``error``, with what to do about it."""
    advice = _ADVICE.get(error.errno or 0, f"{error.strerror or error}; check the disk and run again")
    kind = DiskFull if lacks_room(error) else StoreError
    return kind(f"cannot write results to {folder}: {advice}")


def seems_free(runs: Path) -> int:
    """Return how many bytes the system says are free there; it knows nothing of quotas."""
    try:
        return shutil.disk_usage(runs).free
    except OSError:  # somebody moved the folder away: whoever writes there says so
        return 0


def has_room(runs: Path, size: int) -> bool:
    """Tell whether a file of so many bytes can be written there now, whatever the system says is free.

    Free blocks say nothing of a quota; so it is tried, and removed again.
    """
    try:
        with _hidden(runs, "tmp") as trial:
            _build(trial, {"room": os.urandom(size)})
    except OSError:
        return False
    return True


def make_root(runs: Path) -> None:
    """Create the folder of all records and prove that it can be written.

    Raises:
        StoreError: if not.
    """
    try:
        runs.mkdir(parents=True, exist_ok=True)
        with _hidden(runs, "tmp") as probe:
            probe.mkdir()
    except OSError as error:
        raise explain(error, runs) from error


def publish(place: Path, files: Mapping[str, bytes], rank: Rank) -> bool:
    """Make ``place`` a folder with these files, unless one of higher rank is there already.

    Returns:
        Whether the new folder is the one that stands.

    Raises:
        StoreError: if the disk is full or refuses; what was there before is still there then.
    """
    try:
        with _hidden(place.parent, "tmp", place.name) as fresh:
            _build(fresh, files)
            return _install(fresh, place, rank)
    except OSError as error:
        raise explain(error, place.parent) from error


@contextmanager
def marked(runs: Path) -> Iterator[str]:
    """Mark the folder of the records for a time; who finds the name in it sees this very folder.

    The mark is a hidden folder, which `tidy` removes if its maker dies.

    Yields:
        Its name.
    """
    with ExitStack() as stack:
        try:
            mark = stack.enter_context(_hidden(runs, "tmp"))
            mark.mkdir()
        except OSError as error:
            raise explain(error, runs) from error
        yield mark.name


def tidy(runs: Path) -> None:
    """Remove what dead writers left, and put back a record that one of them had moved aside."""
    for entry in [*runs.iterdir()]:
        match = _HIDDEN.fullmatch(entry.name.removesuffix(_LOCK))
        if match is None:
            continue
        folder = runs / match[0]
        lock = _lock_of(folder)
        with looked_at(lock) as writer:
            if writer == "dead" or (writer == "unknown" and _is_old(folder if folder.exists() else lock)):
                _clear(folder, runs / match["digest"] if match["what"] == "old" else None)
                lock.unlink(missing_ok=True)


def _clear(leftover: Path, place: Path | None) -> None:
    """Remove a dead writer's folder, or put it back in its ``place`` if that is still free."""
    if place is not None:
        try:
            leftover.rename(place)
            return
        except OSError:  # its successor stands, or another process was quicker
            pass
    shutil.rmtree(leftover, ignore_errors=True)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _STALE_SECONDS
    except FileNotFoundError:
        return False


@contextmanager
def _hidden(runs: Path, what: str, digest: str = "0") -> Iterator[Path]:
    """Give a hidden name to a folder that nobody else removes while its maker lives; remove it at the end.

    Raises:
        OSError: if nothing can be written there.
    """
    folder = runs / f".{what}-{digest}-{here()}-{os.getpid()}-{secrets.token_hex(4)}"
    with held(_lock_of(folder)):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK)


def _build(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    with ExitStack() as stack:
        written = []
        for name in sorted(files):
            file = stack.enter_context((folder / name).open("wb"))
            file.write(files[name])
            file.flush()
            written.append(file)
        _at_once([*(partial(os.fsync, file.fileno()) for file in written), partial(_sync, folder)])


def _at_once(flushes: Sequence[Callable[[], None]]) -> None:
    """Flush several things to the disk at the same time: its journal takes together what comes together.

    One after the other, they take three times as long.
    """
    from concurrent.futures import ThreadPoolExecutor  # only here: who reads records need not wait for it

    try:
        with ThreadPoolExecutor(len(flushes)) as pool:
            with _STARTING:
                usual = threading.stack_size(_STACK)
                try:
                    waiting = [pool.submit(flush) for flush in flushes]
                finally:
                    threading.stack_size(usual)
            for flushed in waiting:
                flushed.result()
    except RuntimeError:  # no thread can be started, as where memory is short
        for flush in flushes:
            flush()


def _install(fresh: Path, place: Path, rank: Rank) -> bool:
    while not _renamed(fresh, place):
        worth = rank(fresh)
        if rank(place) > worth:
            return False
        with _hidden(place.parent, "old", place.name) as aside:
            try:
                place.rename(aside)
            except FileNotFoundError:  # another writer has just moved it aside
                continue
            try:
                # Another writer may have finished a better one since the rank was read: then it goes back.
                if rank(aside) > worth:
                    _install(aside, place, rank)
                    return False
                if _renamed(fresh, place):
                    break
            except BaseException:
                _renamed(aside, place)
                raise
    _sync(place.parent)
    return True


def _renamed(folder: Path, place: Path) -> bool:
    try:
        folder.rename(place)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True


def _sync(folder: Path) -> None:
    if os.name == "nt":  # pragma: no cover (Windows keeps its directories by itself)
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot flush a directory; they order the rename themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def here() -> str:
    """Return this machine's name as it stands in names of files."""
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname()) or "_"
