"""What a run of cells tells whoever listens, besides the starts and the progress of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.execution.tasks import Event
from bench.experiment.grid import Cell
from bench.records.schema import Status


@dataclass(frozen=True)
class Planned:
    """Cells are about to be run.

    Attributes:
        costs: expected seconds of each, by digest.
        unclaimed: why cells cannot be claimed here; empty where they can.
    """

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
class Ended:
    """A cell has come to its end.

    Attributes:
        cell: the cell.
        status: how it ended.
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


CampaignEvent = Event | Planned | Waiting | Held | Unstarted | Ended
