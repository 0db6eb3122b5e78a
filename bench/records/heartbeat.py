"""What runs at the moment: a small file per `run`, ``<results>/running/<host>-<pid>-<word>.json``.

`status` reads them. They are a courtesy: a run never fails because of them, and nothing is decided by them. A
lock beside each shows that the run lives; where that cannot be told, a long silence shows that it does not.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from bench.records.folders import here
from bench.records.locks import held, looked_at

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
        digest: of the cell.
        title: of the cell.
        slot: where it runs.
        began: seconds since 1970.
        stage: of the fit; empty before the first report.
        epoch: of the stage; 0 before the first report.
        epochs: how many the stage has at most; 0 where unknown.
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
        held: how many are over, but wait for room on the disk.
        running: cells on their way.
        left: expected seconds until all has ended; None where nothing is known.
        stopping: whether no cell starts any more, because of Ctrl-C.
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
    """Keeps the file of this run up to date while it is open, from a thread of its own."""

    def __init__(self, results: Path, state: Callable[[], RunState], pause: float = _PAUSE) -> None:
        """Tell of a run.

        Args:
            results: its folder.
            state: asked where the run stands, from another thread.
            pause: seconds between two looks; the file is written once per look at most.
        """
        self._folder = results / "running"
        # A number of a process may be there twice, in two containers that share a host name.
        self._path = self._folder / f"{here()}-{os.getpid()}-{secrets.token_hex(2)}.json"
        self._lock = contextlib.ExitStack()
        self._state = state
        self._pause = pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        """Remove what dead runs have left, and start."""
        remove_dead_runs(self._folder.parent)
        with contextlib.suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            self._lock.enter_context(held(_lock_of(self._path)))
            self._write(self._state())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and remove the file."""
        self._over.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._lock.close()
            self._folder.rmdir()  # unless other runs have files there

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
    return [(path.stem, state) for path, state, _ in _files(results / "running") if state is not None]


def remove_dead_runs(results: Path) -> None:
    """Remove the files that dead runs have left."""
    folder = results / "running"
    with contextlib.suppress(OSError):
        for path, state, dead in _files(folder):
            if dead or (state is None and _silence(path) > _FORGOTTEN):
                for left in (path, path.with_suffix(".tmp"), _lock_of(path)):
                    left.unlink(missing_ok=True)
        folder.rmdir()  # unless runs are at work


def _files(folder: Path) -> Iterator[tuple[Path, RunState | None, bool]]:
    """Iterate over the files of runs and whether their runs are dead for certain.

    The state is None for those that are dead or silent, or cannot be read.
    """
    for path in sorted({path.with_suffix(".json") for path in folder.glob("*.[jl]*")}):
        with looked_at(_lock_of(path)) as holder:
            state = _read(path)
        yield path, None if holder == "dead" else state, holder == "dead"


def _read(path: Path) -> RunState | None:
    """Return the state in a file; None if it is old or cannot be read."""
    try:
        state = msgspec.json.decode(path.read_bytes(), type=RunState)
    except (OSError, msgspec.DecodeError):  # of these, one that has just ended
        return None
    return None if _silence(path) > _SILENT else state


def _silence(path: Path) -> float:
    """Return the seconds since a run has written its file; 0 where there is none."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")
