"""Writes a record's folder whole or not at all, also with concurrent writers and crashes.

A folder is built under a hidden name beside its final one, flushed to the disk, and renamed. A rename is one
step, but not possible onto a folder with content; so an old record is first moved aside (`.old-...`), and
removed after the rename. If the process dies between the two steps, `tidy` restores the old record. A lock
beside the hidden folder shows whether its writer is alive; without locks, the age of the folder decides.
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
"""Age at which a hidden folder is removed if the state of its writer is unknown."""

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
"""Rank of a record's folder; one of lower rank never replaces one of higher rank."""


class StoreError(BenchError):
    """The results folder cannot be written: full, protected, or not a folder."""


class DiskFull(StoreError):
    """The disk or the quota is full: there may be room for a smaller record, or later."""


def explain(error: OSError, folder: Path) -> StoreError:
    """Return the error to raise for ``error``, with advice."""
    advice = _ADVICE.get(error.errno or 0, f"{error.strerror or error}; check the disk and run again")
    kind = DiskFull if lacks_room(error) else StoreError
    return kind(f"cannot write results to {folder}: {advice}")


def seems_free(runs: Path) -> int:
    """Return the free bytes of the disk, without regard to quotas; 0 if the folder is absent."""
    try:
        return shutil.disk_usage(runs).free
    except OSError:
        return 0


def has_room(runs: Path, size: int) -> bool:
    """Return whether a file of ``size`` bytes can be written there now, by writing one: quotas count."""
    try:
        with _hidden(runs, "tmp") as trial:
            _build(trial, {"room": os.urandom(size)})
    except OSError:
        return False
    return True


def make(folder: Path) -> None:
    """Create a folder if it is absent.

    Raises:
        StoreError: if it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(error, folder) from error


def entries(folder: Path) -> list[Path]:
    """Return the sorted entries of a folder without hidden ones; none if it is absent."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def stamps(paths: Iterable[Path]) -> dict[str, Stamp]:
    """Return the stamps of existing files or folders, by their names without suffix."""
    found = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            found[path.stem] = status.st_ino, status.st_mtime_ns
    return found


@contextmanager
def marked(runs: Path) -> Iterator[str]:
    """Create a hidden folder among the records in the body: a process that finds it sees the same results.

    Yields:
        Its name; `tidy` removes it if this process dies.

    Raises:
        StoreError: if the folder cannot be written.
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
    """Make ``target`` a folder with these files, unless it has a higher rank already.

    Returns:
        Whether the new folder is in place.

    Raises:
        StoreError: if the folder cannot be written or the disk is full; then the old one stays.
    """
    try:
        with _hidden(target.parent, "tmp", target.name) as fresh:
            _build(fresh, files)
            return _install(fresh, target, rank)
    except OSError as error:
        raise explain(error, target.parent) from error


def tidy(runs: Path, rank: Rank) -> None:
    """Remove hidden folders of dead writers; restore one moved aside, unless its successor ranks as high."""
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
                target = runs / match["digest"]
                with suppress(OSError):  # another process restored this one
                    if not _renamed(folder, target) and rank(folder) > rank(target):
                        _install(folder, target, rank)
            shutil.rmtree(folder, ignore_errors=True)
            lock_of(folder).unlink(missing_ok=True)


@contextmanager
def _hidden(runs: Path, kind: str, digest: str = "0") -> Iterator[Path]:
    """Yield the path of a hidden folder that no living process removes, and remove it after the body.

    Raises:
        OSError: if its lock cannot be written.
    """
    folder = runs / f".{kind}-{digest}-{unique_word()}"
    with held(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _build(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder and flush its files to the disk in parallel, which takes a third of the time."""
    from concurrent.futures import ThreadPoolExecutor  # loaded by writers only

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
        except RuntimeError:  # no thread can be started
            for handle in handles:
                os.fsync(handle)
    _sync(folder)


def _install(fresh: Path, target: Path, rank: Rank) -> bool:
    """Rename a fresh folder to its final name, unless the folder there has a higher rank; see `publish`."""
    while not _renamed(fresh, target):
        worth = rank(fresh)
        if rank(target) > worth:
            return False
        with _hidden(target.parent, "old", target.name) as aside:
            try:
                target.rename(aside)
            except FileNotFoundError:  # another writer moved it aside
                continue
            try:
                # Another writer may have replaced it by a better one since its rank was read.
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
    """Rename a folder; return False if the target has content."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _sync(folder: Path) -> None:
    """Flush the entries of a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot flush a directory; they keep the order by themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)
