"""Heartbeats: a file per active `run`, ``<results>/running/<host>-<pid>-<word>.json``, which `status` reads.

No run fails because of them, and no decision depends on them. A lock beside each file shows whether the run
is alive; if that is unknown, the time of the last write decides.
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
from typing import Final

import msgspec

from bench.atomic import read_state
from bench.records.encoding import UNREADABLE
from bench.records.locks import Holder, held, lock_of, looked_at, unique_word

_PAUSE: Final = 1.0  # seconds between two comparisons with the last written state
_INTERVAL: Final = 10.0  # seconds after which an unchanged state is written
_SILENT: Final = 120.0  # seconds without a write after which a run counts as dead
_FORGOTTEN: Final = 86_400.0  # seconds without a write after which the file of an unknown run is removed


class RunningCell(msgspec.Struct, frozen=True, kw_only=True):
    """A running cell: its slot and start in seconds since 1970; stage and epoch are empty or 0 if unknown."""

    digest: str
    title: str
    slot: str
    began: float
    stage: str = ""
    epoch: int = 0
    epochs: int = 0


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """State of a run.

    Attributes:
        began: start of the run, in seconds since 1970.
        written: time of this state, in seconds since 1970.
        what: part of the grid, such as ``shard 1/4``; empty for all of it.
        total: number of requested cells.
        recorded: number of those that were recorded before the run.
        statuses: number of cells that have ended since, by status.
        elsewhere: number of those that another run ran.
        waiting: number of cells that other runs are running, once no other cell is left.
        running: running cells.
        left: expected seconds until the end; None if unknown.
        stopping: whether no further cell starts, because of Ctrl-C.
        held: number of cells whose records wait for room on the disk.
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
        """Return how many cells are recorded or have ended."""
        return self.recorded + sum(self.statuses.values())

    @property
    def failed(self) -> int:
        """Return how many cells ended without a result and were not skipped."""
        return sum(number for status, number in self.statuses.items() if status not in ("done", "skipped"))


@contextlib.contextmanager
def heartbeat(results: Path, state: Callable[[], RunState], pause: float = _PAUSE) -> Iterator[None]:
    """Keep the file of this run up to date in the body, in a thread, and remove those of dead runs.

    ``state`` is called every ``pause`` seconds.
    """
    remove_dead_runs(results)
    host = re.sub(r"[^A-Za-z0-9.]", "_", platform.node()) or "_"
    path = results / "running" / f"{host}-{os.getpid()}-{unique_word()}.json"
    over = threading.Event()

    def write(now: RunState) -> None:
        # Not flushed to the disk: after a crash of the machine the file has no meaning.
        temporary = path.with_suffix(".tmp")
        with contextlib.suppress(OSError):
            temporary.write_bytes(msgspec.json.encode(now))
            temporary.replace(path)

    def beat() -> None:
        last = state()
        while not over.wait(pause):
            now = state()
            same = msgspec.structs.replace(now, written=last.written, left=last.left) == last
            if not same or now.written - last.written >= _INTERVAL:
                write(now)
                last = now

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            stack.enter_context(held(path))
            write(state())
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                stack.close()
                path.parent.rmdir()  # unless other runs have files there


def active_runs(results: Path) -> list[tuple[str, RunState]]:
    """Return (name, state) of the active runs of a results folder; the name is the file's stem."""
    runs = []
    for path, holder, silence in _files(results / "running"):
        if holder == "dead" or silence > _SILENT:
            continue
        with contextlib.suppress(OSError, *UNREADABLE):  # the run may have just ended
            runs.append((path.stem, msgspec.json.decode(read_state(path), type=RunState)))
    return runs


def remove_dead_runs(results: Path) -> None:
    """Remove the files of dead runs."""
    folder = results / "running"
    with contextlib.suppress(OSError):
        for path, holder, silence in _files(folder):
            if holder == "dead" or (holder == "unknown" and silence > _FORGOTTEN):
                for left in (path, path.with_suffix(".tmp"), path.with_suffix(".lock"), lock_of(path)):
                    left.unlink(missing_ok=True)
        folder.rmdir()  # unless runs are active


def _files(folder: Path) -> Iterator[tuple[Path, Holder, float]]:
    """Iterate over the files of runs, the states of their locks, and the seconds since the last write."""
    names = {path.name.partition(".json")[0].removesuffix(".lock") for path in folder.glob("*.[jl]*")}
    for path in sorted(folder / f"{name}.json" for name in names):
        # A run that died before its first heartbeat has left only its lock.
        times = [found.stat().st_mtime for found in (path, lock_of(path)) if found.exists()]
        with looked_at(path) as holder:
            yield path, holder, time.time() - max(times, default=0.0)
