"""Events of a run of cells, and the progress that they add up to."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bench.execution.tasks import Event, Progress, Started
from bench.experiment.grid import Cell
from bench.records.heartbeat import RunningCell, RunState
from bench.records.schema import Status


@dataclass(frozen=True)
class Planned:
    """Cells are about to be run, with their expected seconds by digest; and why none can be claimed."""

    costs: Mapping[str, float]
    unclaimed: str = ""


@dataclass(frozen=True)
class Waiting:
    """All that is left are cells that other runs on the same folder are running."""

    cells: Sequence[Cell]


@dataclass(frozen=True)
class Held:
    """A cell's run is over, but the disk has no room for its record, which is kept in memory for now.

    It ends later: when its record found room after all, or when the run gives it up.
    """

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Unstarted:
    """Cells that are not started, because the disk of the results has no room for their records."""

    cells: Sequence[Cell]


@dataclass(frozen=True)
class LeftOut:
    """A cell that is not run, because its method's plug-in ends or hangs when it is imported."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Ended:
    """A cell has ended.

    Attributes:
        reason: why it has no result; empty where it has one.
        seconds: that it took.
        elsewhere: whether another run on the same folder did it.
        on_disk: whether this stands in its record; False where that found no room.
    """

    cell: Cell
    status: Status
    reason: str
    seconds: float
    elsewhere: bool = False
    on_disk: bool = True


RunEvent = Event | Planned | Waiting | Held | Unstarted | LeftOut | Ended

_TRUSTED = 3  # so many cells must have ended before their times correct the estimates of those that are left


class RunProgress:
    """Counts what has ended and knows what is running.

    Attributes:
        what: part of the grid, such as ``shard 1/4``; empty for all of it.
        ran: how many cells ended in this run.
        unwritten: why, by digest, cells that ended in this run have no record.
        unstarted: digests of the cells for which the disk of the results had no room.
        left_out: why methods were not run, by their names: their plug-ins cannot be imported.
    """

    def __init__(
        self, total: int, recorded: int, what: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        """Count from now on; of ``total`` cells, ``recorded`` need not run."""
        self._total, self._recorded, self.what, self._clock = total, recorded, what, clock
        self._began = clock()
        self._lock = threading.Lock()
        self._costs: dict[str, float] = {}
        self._running: dict[str, RunningCell] = {}
        self._statuses: Counter[str] = Counter()
        self.ran = 0
        self.unwritten: dict[str, str] = {}
        self.unstarted: set[str] = set()
        self.left_out: dict[str, str] = {}
        self._held: set[str] = set()
        self._elsewhere = 0
        self._waiting = 0
        self._slots = 1
        self._times: list[tuple[float, float]] = []
        self._stopping = False

    def __call__(self, event: RunEvent) -> None:
        """Take note of an event."""
        with self._lock:
            if isinstance(event, Planned):
                self._costs = dict(event.costs)
            elif isinstance(event, Waiting):
                self._waiting = len(event.cells)
            elif isinstance(event, Unstarted):
                self.unstarted.update(cell.identity.digest for cell in event.cells)
            elif isinstance(event, Started):
                key, title = event.task.key, event.task.title
                self._running[key] = RunningCell(
                    digest=key, title=title, slot=event.slot.name, began=self._clock()
                )
                self._slots = max(self._slots, len(self._running))
            elif isinstance(event, Progress) and event.task.key in self._running:
                types = {"stage": str, "epoch": int, "epochs": int}  # a worker may report anything
                told = event.values.items()
                known = {key: value for key, value in told if isinstance(value, types.get(key, ()))}
                running = self._running[event.task.key]
                self._running[event.task.key] = msgspec.structs.replace(running, **known)
            elif isinstance(event, Held | LeftOut | Ended):
                self._leave(event)

    def _leave(self, event: Held | LeftOut | Ended) -> None:
        """Note that a cell runs no more."""
        digest = event.cell.identity.digest
        self._running.pop(digest, None)
        cost = self._costs.pop(digest, None)
        if isinstance(event, Held):
            self._held.add(digest)
        elif isinstance(event, LeftOut):
            self.left_out.setdefault(event.cell.identity.method, event.reason)
        else:
            self._held.discard(digest)
            self._statuses[event.status] += 1
            self._waiting = 0
            if not event.on_disk:
                self.unwritten[digest] = event.reason
            if event.elsewhere:
                self._elsewhere += 1
                return
            self.ran += 1
            if cost is not None:
                self._times.append((cost, event.seconds))

    def stop(self) -> None:
        """Take note that no cell starts any more; for a signal's handler, so it waits for no lock."""
        self._stopping = True

    def state(self) -> RunState:
        """Return where the run stands."""
        with self._lock:
            now = self._clock()
            return RunState(
                began=self._began,
                written=now,
                what=self.what,
                total=self._total,
                recorded=self._recorded,
                statuses=dict(self._statuses),
                elsewhere=self._elsewhere,
                waiting=self._waiting,
                held=len(self._held),
                running=[*self._running.values()],
                left=self._left(now),
                stopping=self._stopping,
            )

    def _left(self, now: float) -> float | None:
        """Return the expected seconds until all has ended; None where nothing is known.

        The slots are as many as ran at once so far. Once some cells have ended, the others are expected to
        miss their estimates by the same factor.
        """
        if not self._costs:
            return None
        expected, spent = (sum(time[column] for time in self._times) for column in (0, 1))
        factor = spent / expected if len(self._times) >= _TRUSTED and expected > 0 else 1.0
        ages = {key: now - running.began for key, running in self._running.items()}
        rests = [max(0.0, factor * cost - ages.get(key, 0.0)) for key, cost in self._costs.items()]
        return max(sum(rests) / self._slots, max(rests))
