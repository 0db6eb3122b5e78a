"""Writes a record's folder whole or not at all, also with concurrent writers and crashes.

A folder is built under a hidden name beside its final one, flushed to the disk, and renamed. POSIX and
network file systems rename a folder in one step, but never onto a full one; so an old record is first moved
aside (`.old-...`) and removed when the new one stands. A process that dies between the two steps leaves the
old record aside, and `tidy` puts it back. A lock beside the hidden folder tells whether its maker lives;
where there are no locks, its age decides.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from bench.contract.errors import BenchError, lacks_room
from bench.records.locks import Stamp, held, lock_of, looked_at, unique_word

_HIDDEN: Final = re.compile(
    r"\.(?P<kind>tmp|old)-(?P<digest>[0-9a-f]+)-(.+-\d+-)?[0-9a-f]{8,16}(?P<lock>\.lock)?"
)
_STALE_SECONDS: Final = 86_400.0
"""Age of a hidden folder that counts as left where nobody can tell whether its writer lives."""

_ADVICE: Final = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EROFS: "it is mounted read-only; choose another folder with --results",
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM),
        "this user may not write there; change its permissions or choose another with --results",
    ),
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
    """Tell whether a file of so many bytes can be written there now, also under a quota, by trying it."""
    try:
        with _hidden(runs, "tmp") as trial:
            _build(trial, {"room": os.urandom(size)})
    except OSError:
        return False
    return True


def make(folder: Path) -> None:
    """Make a folder if it is not there.

    Raises:
        StoreError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(error, folder) from error


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder but hidden things, sorted; nothing where there is none."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def stamps(paths: Iterable[Path]) -> dict[str, Stamp]:
    """Return the stamps of files or folders that are there, by their names without suffix."""
    found = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            found[path.stem] = status.st_ino, status.st_mtime_ns
    return found


@contextmanager
def marked(runs: Path) -> Iterator[str]:
    """Mark the folder of the records for a time; a process that finds the name in it sees this very folder.

    Yields:
        The name of a hidden folder, which `tidy` removes if its maker dies.

    Raises:
        StoreError: if nothing can be written there.
    """
    make(runs)
    with ExitStack() as stack:
        try:
            mark = stack.enter_context(_hidden(runs, "tmp"))
            mark.mkdir()
        except OSError as error:
            raise explain(error, runs) from error
        yield mark.name


def publish(target: Path, files: Mapping[str, bytes], rank: Rank) -> bool:
    """Make ``target`` a folder with these files, unless one of higher rank is there already.

    Returns:
        Whether the new folder is the one that stands.

    Raises:
        StoreError: if the disk is full or refuses; what was there before is still there then.
    """
    try:
        with _hidden(target.parent, "tmp", target.name) as fresh:
            _build(fresh, files)
            return _install(fresh, target, rank)
    except OSError as error:
        raise explain(error, target.parent) from error


def tidy(runs: Path) -> None:
    """Remove what dead writers left, and put back a record that one of them had moved aside."""
    for entry in [*runs.iterdir()]:
        match = _HIDDEN.fullmatch(entry.name)
        if match is None:
            continue
        folder = runs / entry.name.removesuffix(match["lock"] or "")
        with looked_at(folder) as writer:
            if writer == "alive":
                continue
            if writer == "unknown":
                with suppress(FileNotFoundError):
                    if time.time() - entry.stat().st_mtime <= _STALE_SECONDS:
                        continue
            if match["kind"] == "old":
                with suppress(OSError):  # its successor stands, or another process was quicker
                    folder.rename(runs / match["digest"])
            shutil.rmtree(folder, ignore_errors=True)
            lock_of(folder).unlink(missing_ok=True)


@contextmanager
def _hidden(runs: Path, kind: str, digest: str = "0") -> Iterator[Path]:
    """Give a hidden name to a folder that nobody else removes while its maker lives; remove it at the end.

    Raises:
        OSError: if nothing can be written there.
    """
    folder = runs / f".{kind}-{digest}-{unique_word()}"
    with held(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _build(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder and flush its files to the disk at once: one after another takes three times as long."""
    from concurrent.futures import ThreadPoolExecutor  # only here: who reads records need not wait for it

    folder.mkdir()
    with ExitStack() as stack:
        handles = []
        for name in sorted(files):
            file = stack.enter_context((folder / name).open("wb"))
            file.write(files[name])
            file.flush()
            handles.append(file.fileno())
        try:
            with ThreadPoolExecutor(len(handles)) as pool:
                list(pool.map(os.fsync, handles))
        except RuntimeError:  # no thread can be started, as where memory is short
            for handle in handles:
                os.fsync(handle)
    _sync(folder)


def _install(fresh: Path, target: Path, rank: Rank) -> bool:
    while not _renamed(fresh, target):
        worth = rank(fresh)
        if rank(target) > worth:
            return False
        with _hidden(target.parent, "old", target.name) as aside:
            try:
                target.rename(aside)
            except FileNotFoundError:  # another writer has just moved it aside
                continue
            try:
                # Another writer may have finished a better one since the rank was read: then it goes back.
                if rank(aside) > worth:
                    _install(aside, target, rank)
                    return False
                if _renamed(fresh, target):
                    break
            except BaseException:
                _renamed(aside, target)
                raise
    _sync(target.parent)
    return True


def _renamed(folder: Path, target: Path) -> bool:
    """Rename a folder; False if there is one of that name."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot flush a directory; they order the rename themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)
