"""Heartbeats of runs at work: a small file per `run`, ``<results>/running/<host>-<pid>-<word>.json``.

`status` reads them. A run never fails because of them, and nothing is decided by them. A lock beside each
shows that the run lives; where that cannot be told, a long silence shows that it does not.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from bench.records.encoding import UNREADABLE
from bench.records.locks import Holder, held, lock_of, looked_at, unique_word

_PAUSE: Final = 1.0
"""Seconds between two looks at whether there is something new to write."""

_SIGN_OF_LIFE: Final = 10.0
"""Seconds after which the file is written even if nothing has changed."""

_SILENT: Final = 120.0
"""Seconds of silence after which a run counts as dead: it may be on a machine that is gone."""

_FORGOTTEN: Final = 86_400.0
"""Seconds after which the file of a silent run is removed of which nobody can tell whether it lives."""


class RunningCell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell on its way.

    Attributes:
        slot: where it runs.
        began: seconds since 1970.
        stage: of the fit; empty before the first report.
        epoch: of the stage, of at most ``epochs``; 0 where unknown.
    """

    digest: str
    title: str
    slot: str
    began: float
    stage: str = ""
    epoch: int = 0
    epochs: int = 0


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands.

    Attributes:
        began: seconds since 1970.
        written: the same, of this state.
        what: part of the grid, such as ``shard 1/4``; empty for all of it.
        total: cells asked for.
        recorded: of these, how many were recorded before.
        statuses: how many ended since, by status.
        elsewhere: of those, how many another run did.
        waiting: how many are left that other runs are running, once all else is done.
        running: cells on their way.
        left: expected seconds until all has ended; None where nothing is known.
        stopping: whether no cell starts any more, because of Ctrl-C.
        held: how many are over, but wait for room on the disk.
    """

    began: float
    written: float
    what: str
    total: int
    recorded: int
    statuses: dict[str, int]
    elsewhere: int
    waiting: int
    running: list[RunningCell]
    left: float | None
    stopping: bool
    held: int = 0

    @property
    def ended(self) -> int:
        """Return how many cells need not run any more."""
        return self.recorded + sum(self.statuses.values())

    @property
    def failed(self) -> int:
        """Return how many of the cells that ended have no result, for no declared reason."""
        return sum(number for status, number in self.statuses.items() if status not in ("done", "skipped"))


class Heartbeat:
    """Context manager that keeps the file of this run up to date, in a thread of its own.

    ``state`` is asked where the run stands every ``pause`` seconds. What dead runs have left is removed.
    """

    def __init__(self, results: Path, state: Callable[[], RunState], pause: float = _PAUSE) -> None:
        host = re.sub(r"[^A-Za-z0-9.]", "_", platform.node()) or "_"
        self._path = results / "running" / f"{host}-{os.getpid()}-{unique_word()}.json"
        self._lock = contextlib.ExitStack()
        self._state = state
        self._pause = pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        remove_dead_runs(self._path.parent.parent)
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            self._lock.enter_context(held(self._path))
            self._write(self._state())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._lock.close()
            self._path.parent.rmdir()  # unless other runs have files there

    def _beat(self) -> None:
        last = self._state()
        while not self._over.wait(self._pause):
            state = self._state()
            same = msgspec.structs.replace(state, written=last.written, left=last.left) == last
            if same and state.written - last.written < _SIGN_OF_LIFE:
                continue
            with contextlib.suppress(OSError):
                self._write(state)
            last = state

    def _write(self, state: RunState) -> None:
        # Not flushed to the disk: after a crash of the machine the file means nothing anyway.
        temporary = self._path.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.encode(state))
        temporary.replace(self._path)


def active_runs(results: Path) -> list[tuple[str, RunState]]:
    """Return (name, state) of the runs that are at work in a results folder; the name is the file's stem."""
    runs = []
    for path, holder, silence in _files(results / "running"):
        if holder == "dead" or silence > _SILENT:
            continue
        with contextlib.suppress(OSError, *UNREADABLE):  # of these, one that has just ended
            runs.append((path.stem, msgspec.json.decode(path.read_bytes(), type=RunState)))
    return runs


def remove_dead_runs(results: Path) -> None:
    """Remove the files that dead runs have left."""
    folder = results / "running"
    with contextlib.suppress(OSError):
        for path, holder, silence in _files(folder):
            if holder == "dead" or (holder == "unknown" and silence > _FORGOTTEN):
                for left in (path, path.with_suffix(".tmp"), path.with_suffix(".lock"), lock_of(path)):
                    left.unlink(missing_ok=True)
        folder.rmdir()  # unless runs are at work


def _files(folder: Path) -> Iterator[tuple[Path, Holder, float]]:
    """Iterate over the files of runs, what is known of their holders, and the seconds of silence."""
    names = {path.name.partition(".json")[0].removesuffix(".lock") for path in folder.glob("*.[jl]*")}
    for path in sorted(folder / f"{name}.json" for name in names):
        # A run that has died before its first heartbeat has left its lock only.
        newest = max(
            (found.stat().st_mtime for found in (path, lock_of(path)) if found.exists()), default=0.0
        )
        with looked_at(path) as holder:
            yield path, holder, time.time() - newest
