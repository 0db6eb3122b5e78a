"""What ``run --dry-run`` prints: the cells, what is recorded, and how long the others will take."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import click

from bench.cli.places import Site

if TYPE_CHECKING:
    from bench.execution.scheduler import ScheduledTask
    from bench.experiment.cost import Expectation
    from bench.experiment.grid import Cell
    from bench.records.store import Store


def show_forecast(
    cells: Sequence[Cell], todo: Sequence[Cell], store: Store, site: Site, stale: Collection[str] = ()
) -> None:
    """Print a line per cell, one per device, and what all take; the slots are played through in no time.

    Args:
        cells: that are asked for.
        todo: those of them that would run.
        store: where records are.
        site: where they would run.
        stale: digests of cells that only other code has finished.
    """
    from bench.execution.inline import HERE
    from bench.execution.scheduler import simulate
    from bench.execution.tasks import Task
    from bench.experiment.cost import expect

    expected = expect(todo, store)
    for cell in cells:
        click.echo(_line(cell, expected.get(cell.identity.digest), cell.identity.digest in stale))
    click.echo(f"{len(cells)} cells, {len(todo)} to run")
    on_gpu = site.device != "cpu"
    tasks = [
        Task(digest, "", None, item.seconds, item.memory if on_gpu else None)
        for digest, item in expected.items()
    ]
    stays = simulate(tasks, site.slots or [HERE])
    for line in (*_by_place(stays), *_in_all(stays, expected)):
        click.echo(line)


def _line(cell: Cell, expected: Expectation | None, stale: bool) -> str:
    """Return the line of a cell; None means that it is recorded."""
    if expected is None:
        return f"{'stale   ' if stale else 'recorded'} {cell.identity.digest} {cell.title}"
    rests = " (prior)" if expected.basis == "prior" else ""
    return f"to run   {cell.identity.digest} {cell.title}: about {expected.seconds:.1f} s{rests}"


def _by_place(stays: Sequence[ScheduledTask]) -> list[str]:
    lines = []
    for place in sorted({stay.slot.place for stay in stays}):
        here = [stay for stay in stays if stay.slot.place == place]
        slots = len({stay.slot.name for stay in here})
        work, end = sum(stay.task.cost for stay in here), max(stay.end for stay in here)
        times = f"{_time(work)} of work, done after about {_time(end)}"
        lines.append(f"{place}: {len(here)} cells in {slots} slots, {times}")
    return lines


def _in_all(stays: Sequence[ScheduledTask], expected: dict[str, Expectation]) -> list[str]:
    if not stays:
        return []
    work, end = sum(stay.task.cost for stay in stays), max(stay.end for stay in stays)
    lines = [f"in all: {_time(work)} of work, done after about {_time(end)}"]
    guessed = [item.seconds for item in expected.values() if item.basis == "prior"]
    if guessed:
        lines.append(
            f"{_time(sum(guessed))} of that ({len(guessed)} cells) rest on a prior only: "
            "nothing was recorded of these methods with this profile"
        )
    return lines


def _time(seconds: float) -> str:
    from bench.cli.phrases import clock

    return f"{seconds:.1f} s" if seconds < 60.0 else clock(seconds)
