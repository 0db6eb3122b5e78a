"""Puts a record's folder in place so that it is whole or absent, whoever else writes or dies meanwhile.

A folder is built under a hidden name beside its place, flushed to the disk, and renamed. POSIX and network
file systems rename a folder in one step, but never onto a full one; so an old record is first moved aside
(`.old-...`) and removed when the new one stands. A process that dies between the two steps leaves the old
record aside, and `tidy` puts it back. There is no lock, so nothing can be left locked.
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

_HIDDEN = re.compile(r"\.(?P<what>tmp|old)-(?P<digest>[0-9a-f]+)-(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]+")
_STALE_SECONDS: Final = 86_400.0
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
    trial = runs / _hidden_name("tmp", "0")
    try:
        _build(trial, {"room": os.urandom(size)})
    except OSError:
        return False
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    return True


def make_root(runs: Path) -> None:
    """Create the folder of all records and prove that it can be written.

    Raises:
        StoreError: if not.
    """
    try:
        runs.mkdir(parents=True, exist_ok=True)
        probe = runs / _hidden_name("tmp", "0")
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise explain(error, runs) from error


def publish(place: Path, files: Mapping[str, bytes], rank: Rank) -> bool:
    """Make ``place`` a folder with these files, unless one of higher rank is there already.

    Returns:
        Whether the new folder is the one that stands.

    Raises:
        StoreError: if the disk is full or refuses; what was there before is still there then.
    """
    fresh = place.parent / _hidden_name("tmp", place.name)
    try:
        _build(fresh, files)
        return _install(fresh, place, rank)
    except OSError as error:
        raise explain(error, place.parent) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def marked(runs: Path) -> Iterator[str]:
    """Mark the folder of the records for a time; who finds the name in it sees this very folder.

    The mark is a hidden folder, which `tidy` removes if its maker dies.

    Yields:
        Its name.
    """
    name = _hidden_name("tmp", "0")
    try:
        (runs / name).mkdir()
    except OSError as error:
        raise explain(error, runs) from error
    try:
        yield name
    finally:
        shutil.rmtree(runs / name, ignore_errors=True)


def tidy(runs: Path) -> None:
    """Remove what dead writers left, and put back a record that one of them had moved aside."""
    for leftover in [entry for entry in runs.iterdir() if entry.name.startswith((".tmp-", ".old-"))]:
        match = _HIDDEN.fullmatch(leftover.name)
        if match is None or not _abandoned(leftover, match["host"], int(match["pid"])):
            continue
        if match["what"] == "old":
            try:
                leftover.rename(runs / match["digest"])
                continue
            except OSError:  # its successor stands, or another process was quicker
                pass
        shutil.rmtree(leftover, ignore_errors=True)


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
        aside = place.parent / _hidden_name("old", place.name)
        try:
            place.rename(aside)
        except FileNotFoundError:  # another writer has just moved it aside
            continue
        try:
            # Another writer may have finished a better one since the rank was read: then that one goes back.
            if rank(aside) > worth:
                _install(aside, place, rank)
                return False
            if _renamed(fresh, place):
                break
        except BaseException:
            _renamed(aside, place)
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
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


def _hidden_name(what: str, digest: str) -> str:
    return f".{what}-{digest}-{here()}-{os.getpid()}-{secrets.token_hex(4)}"


def _abandoned(folder: Path, host: str, pid: int) -> bool:
    try:
        age = time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        return False
    return age > _STALE_SECONDS or (host == here() and not alive(pid))


def alive(pid: int) -> bool:
    """Return whether this machine has a process with this number that has not ended.

    One that has ended keeps its number until its parent asks for its status, which some containers never do.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # alive, of another user
        return True
    import psutil  # only here: a folder without leftovers need not wait for it

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
