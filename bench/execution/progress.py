"""Events of a run of cells, and its progress."""

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
    """Cells will run, with their expected seconds by digest; ``unclaimed`` is why claims are impossible."""

    costs: Mapping[str, float]
    unclaimed: str = ""


@dataclass(frozen=True)
class Waiting:
    """The remaining cells are claimed by other runs on the same folder."""

    cells: Sequence[Cell]


@dataclass(frozen=True)
class Held:
    """The record of a cell waits in memory, because the disk has no room for it.

    The cell ends when its record is written, or when the run ends.
    """

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Unstarted:
    """Cells that do not start, because the disk of the results is full."""

    cells: Sequence[Cell]


@dataclass(frozen=True)
class LeftOut:
    """A cell does not run, because its method's plug-in ends or hangs when it is imported."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Ended:
    """A cell has ended.

    Attributes:
        reason: why it has no result; else empty.
        seconds: its duration.
        elsewhere: whether another run on the same folder ran it.
        on_disk: whether it has a record; False if there was no room for one.
    """

    cell: Cell
    status: Status
    reason: str
    seconds: float
    elsewhere: bool = False
    on_disk: bool = True


RunEvent = Event | Planned | Waiting | Held | Unstarted | LeftOut | Ended

_TRUSTED = 3  # cells that must have ended before their times correct the estimates of the others


class RunProgress:
    """Progress of a run, from its events.

    Attributes:
        what: part of the grid, such as ``shard 1/4``; empty for all of it.
        ran: number of cells that ended in this run.
        unwritten: why cells that ended in this run have no record, by digest.
        unstarted: digests of cells that did not start because the disk was full.
        left_out: why the plug-ins of methods cannot be imported, by their names.
    """

    def __init__(
        self, total: int, recorded: int, what: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        """Start with ``total`` cells, of which ``recorded`` do not run."""
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
        """Count an event."""
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
                types = {"stage": str, "epoch": int, "epochs": int}  # other values are ignored
                values = event.values.items()
                valid = {key: value for key, value in values if isinstance(value, types.get(key, ()))}
                running = self._running[event.task.key]
                self._running[event.task.key] = msgspec.structs.replace(running, **valid)
            elif isinstance(event, Held | LeftOut | Ended):
                self._leave(event)

    def _leave(self, event: Held | LeftOut | Ended) -> None:
        """Count a cell that does not run any more."""
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
        """Set that no further cell starts; for a signal's handler, therefore without the lock."""
        self._stopping = True

    def state(self) -> RunState:
        """Return the state of the run."""
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
        """Return the expected seconds until the end; None if unknown.

        The number of slots is the largest number of cells that ran at once. Estimates are corrected by the
        factor by which ended cells missed theirs.
        """
        if not self._costs:
            return None
        expected, spent = (sum(time[column] for time in self._times) for column in (0, 1))
        factor = spent / expected if len(self._times) >= _TRUSTED and expected > 0 else 1.0
        ages = {key: now - running.began for key, running in self._running.items()}
        rests = [max(0.0, factor * cost - ages.get(key, 0.0)) for key, cost in self._costs.items()]
        return max(sum(rests) / self._slots, max(rests))
