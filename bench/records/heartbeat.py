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
from typing import Final

import msgspec

from bench.records.encoding import UNREADABLE
from bench.records.locks import Holder, held, lock_of, looked_at, unique_word

_PAUSE: Final = 1.0  # seconds between two looks at whether there is something new to write
_SIGN_OF_LIFE: Final = 10.0  # seconds after which the file is written even if nothing has changed
_SILENT: Final = 120.0
"""Seconds of silence after which a run counts as dead: it may be on a machine that is gone."""

_FORGOTTEN: Final = 86_400.0
"""Seconds after which the file of a silent run is removed of which nobody can tell whether it lives."""


class RunningCell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell on its way: in a slot, since ``began`` (seconds since 1970).

    The stage of the fit is empty before the first report; ``epoch`` is of at most ``epochs``, 0 where
    unknown.
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


@contextlib.contextmanager
def heartbeat(results: Path, state: Callable[[], RunState], pause: float = _PAUSE) -> Iterator[None]:
    """Keep the file of this run up to date in the body, in a thread; remove what dead runs have left.

    Every ``pause`` seconds ``state`` is asked where the run stands.
    """
    remove_dead_runs(results)
    host = re.sub(r"[^A-Za-z0-9.]", "_", platform.node()) or "_"
    path = results / "running" / f"{host}-{os.getpid()}-{unique_word()}.json"
    over = threading.Event()

    def write(now: RunState) -> None:
        # Not flushed to the disk: after a crash of the machine the file means nothing anyway.
        temporary = path.with_suffix(".tmp")
        with contextlib.suppress(OSError):
            temporary.write_bytes(msgspec.json.encode(now))
            temporary.replace(path)

    def beat() -> None:
        last = state()
        while not over.wait(pause):
            now = state()
            same = msgspec.structs.replace(now, written=last.written, left=last.left) == last
            if not same or now.written - last.written >= _SIGN_OF_LIFE:
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
        times = [found.stat().st_mtime for found in (path, lock_of(path)) if found.exists()]
        with looked_at(path) as holder:
            yield path, holder, time.time() - max(times, default=0.0)
