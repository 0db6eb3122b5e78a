"""From cells that are wanted to cells that are recorded: what the commands that run cells have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.cluster import Machines, Remote, remote_options, require_consistent
from bench.cli.options import (
    data_option,
    grouped,
    load_plugins,
    plugin_option,
    results_option,
    warn_of_problems,
)
from bench.cli.places import Places, place_options
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.execution import Executor
    from bench.execution.grid_runner import Sources
    from bench.experiment.grid import Cell, DeviceKind, Shard
    from bench.experiment.run_context import RunContext
    from bench.experiment.stale import Stale
    from bench.records.claims import Claims
    from bench.records.store import Store

_RETRY = (
    *("failed", "exited", "killed", "lost", "disk-full", "timeout", "out-of-memory", "refused", "skipped"),
    *("stale", "all"),
)


@dataclass(frozen=True)
class Way:
    """Which of the cells to run, and how, as typed."""

    retry: Sequence[str]
    trace_test: bool
    shard: str | None
    dry_run: bool


@dataclass(frozen=True)
class Job:
    """How cells are run, where, and where their records go, as typed."""

    places: Places
    remote: Remote
    way: Way
    results: Path
    data_dir: Path
    plugin_files: Sequence[Path]


job_options = grouped(
    Job,
    "job",
    place_options,
    remote_options,
    grouped(
        Way,
        "way",
        click.option(
            "--retry",
            multiple=True,
            type=click.Choice(_RETRY),
            help="Run again what ended so; failed: also exited, killed, lost, disk-full; all: what is not "
            "done or skipped; stale: what other code finished.",
        ),
        click.option("--trace-test", is_flag=True, help="Trace test mAP per epoch too (labelled oracle)."),
        click.option("--shard", default=None, metavar="I/N", help="Run only part I of N of the grid."),
        click.option("--dry-run", is_flag=True, help="Print what would run, and how long it would take."),
    ),
    results_option,
    data_option,
    plugin_option,
)
"""Adds the options of `Job`; the command gets them as ``job``."""


def carry_out(
    job: Job, profile: str, threads: int, cells_wanted: Callable[[DeviceKind], tuple[Sources, list[Cell]]]
) -> int:
    """Run the cells that are missing, or say which these are, and return the exit status.

    Args:
        job: as typed.
        profile: of the cells.
        threads: CPU threads of a cell.
        cells_wanted: turns words into data and cells for a kind of device, once plug-ins are known.

    Raises:
        UsageError: for wrong words, before any data is looked at.
    """
    from bench.experiment.grid import parse_shard

    shard = None if job.way.shard is None else parse_shard(job.way.shard)
    require_consistent(job.remote, job.places)
    load_plugins(job.plugin_files)
    warn_of_problems()
    with Machines(job.remote, job.places, threads) as machines:
        return _carry_out(job, profile, shard, machines, *cells_wanted(machines.kind))


def _carry_out(
    job: Job,
    profile: str,
    shard: Shard | None,
    machines: Machines,
    sources: Sources,
    cells: Sequence[Cell],
) -> int:
    from bench import registry
    from bench.cli.forecast import show_forecast
    from bench.execution.grid_runner import remaining
    from bench.experiment.grid import cells_of_shard
    from bench.experiment.run_context import RunContext
    from bench.experiment.stale import stale_cells
    from bench.records.claims import Claims
    from bench.records.store import Store

    places, way = job.places, job.way
    cells = list(cells) if shard is None else cells_of_shard(cells, shard)
    store = Store(job.results)
    claims = Claims(store)
    stale = stale_cells(cells, store)
    todo = remaining(cells, store, way.retry, trace_test=way.trace_test, stale=stale)
    _mention(sources, store, cells, {} if "stale" in way.retry else stale)
    site, execute = machines.ready(needed=bool(todo))
    if way.dry_run:
        show_forecast(cells, todo, store, site, stale)
        return 2 if sources.damaged else 0
    place = RunContext(
        job.data_dir.resolve(),
        site.device,
        registry.plugins(),
        places.timeout,
        way.trace_test,
        places.max_memory,
    )
    plan = _Plan(cells, todo, profile, way.shard, damaged=bool(sources.damaged))
    return _run(plan, claims, place, execute)


@dataclass(frozen=True)
class _Plan:
    """All cells that were asked for, those to run, and whether some data was left out already."""

    cells: list[Cell]
    todo: list[Cell]
    profile: str
    shard: str | None
    damaged: bool


def _run(plan: _Plan, claims: Claims, place: RunContext, execute: Executor[Any]) -> int:
    from bench.cli.attending import attended
    from bench.cli.summary import Ran, summarise
    from bench.execution.grid_runner import open_once, run_cells
    from bench.execution.progress import RunProgress
    from bench.records.folders import StoreError
    from bench.records.heartbeat import remove_dead_runs

    store = claims.store
    try:
        store.prepare()
    except StoreError as error:
        raise UsageError(str(error)) from error
    remove_dead_runs(store.root)
    unusable = open_once(plan.todo, place.data_dir or Path("data"), plan.profile)
    _name_left_out(unusable)
    ready = [cell for cell in plan.todo if cell.source not in unusable]
    recorded = len(plan.cells) - len(plan.todo)
    what = f"shard {plan.shard}" if plan.shard else ""
    tally, begin, stopped = RunProgress(recorded + len(ready), recorded, what), time.monotonic(), False
    if ready:
        with attended(tally, store.root) as (display, interrupts):
            run_cells(
                ready, store, place, execute=execute, on_event=display, claims=claims, stop=interrupts.stop
            )
        stopped = interrupts.asked
    ran = Ran(
        tally.ran,
        time.monotonic() - begin,
        stopped,
        what,
        left_out=unusable,
        unwritten=tally.unwritten,
        unstarted=tally.unstarted,
    )
    lines, complete = summarise(plan.cells, store, ran)
    click.echo("\n".join(lines))
    if stopped:
        return 130
    return 2 if plan.damaged or unusable else int(not complete)


def _mention(sources: Sources, store: Store, cells: Sequence[Cell], stale: Mapping[str, Stale]) -> None:
    """Say what must be known of the data and of earlier records before anything runs."""
    _announce(sources)
    _warn_of_records(store, cells)
    _name_stale([*stale.values()])
    _name_left_out(sources.damaged)


def _name_left_out(damaged: Mapping[str, str]) -> None:
    for name, reason in damaged.items():
        click.echo(f"error: {name} is left out: {reason}", err=True)


def _announce(sources: Sources) -> None:
    stand_ins = [source.name for source in sources.usable.values() if source.kind == "look-alike"]
    if stand_ins:
        click.echo(
            f"note: LOOK-ALIKES stand in for {', '.join(stand_ins)}, whose files are absent; "
            "where to get them: python -m bench data doctor"
        )


def _warn_of_records(store: Store, cells: Sequence[Cell]) -> None:
    """Name the records that cannot be read: they are made again, or left to the version that made them."""
    asked = {cell.identity.digest for cell in cells}
    for problem in store.problems:
        if problem.folder.name in asked:
            fate = "cell left out" if problem.newer else "cell to be run again"
            click.echo(f"warning: {fate}: {problem.sentence}", err=True)


def _name_stale(stale: Sequence[Stale]) -> None:
    """Name the cells that are left alone because other code has finished them."""
    from bench.experiment.stale import sentences

    for sentence in sentences(stale):
        click.echo(f"note: {sentence}")
    if stale:
        click.echo(f"note: {len(stale)} cells are left as they are; --retry stale makes them again")
