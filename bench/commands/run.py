"""``run``: the main job."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.cluster import Remote, opened, remote_options, require_consistent
from bench.commands.options import (
    data_option,
    grouped,
    load_plugins,
    plugin_option,
    results_option,
    warn_of_problems,
)
from bench.commands.places import Places, place_options
from bench.commands.request import Wanted, cells_of, wanted_options
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.execution import Executor
    from bench.execution.campaign import Sources
    from bench.experiment.grid import Cell
    from bench.experiment.workplace import Workplace
    from bench.records.claims import Claims
    from bench.records.store import Store

_RETRY = ("failed", "timeout", "out-of-memory", "refused", "skipped", "stale", "all")


@dataclass(frozen=True)
class Way:
    """Which of the cells to run, and how, as typed."""

    retry: Sequence[str]
    trace_test: bool
    shard: str | None
    dry_run: bool


@click.command("run", context_settings={"help_option_names": ["-h", "--help"]})
@wanted_options
@place_options
@remote_options
@grouped(
    Way,
    "way",
    click.option(
        "--retry",
        multiple=True,
        type=click.Choice(_RETRY),
        help="Run recorded failures again; stale: what an earlier version of a method's file made.",
    ),
    click.option("--trace-test", is_flag=True, help="Trace test mAP per epoch too (labelled oracle)."),
    click.option("--shard", default=None, metavar="I/N", help="Run only part I of N of the grid."),
    click.option("--dry-run", is_flag=True, help="Print what would run, and how long it would take."),
)
@results_option
@data_option
@plugin_option
def command(
    wanted: Wanted,
    places: Places,
    remote: Remote,
    way: Way,
    results: Path,
    data_dir: Path,
    plugin_files: Sequence[Path],
) -> int:
    """Run methods on datasets; what is already recorded is not run again.

    Groups of methods: all (roster and references), roster, baselines, linear, deep, references, extras.
    Groups of datasets: all (the five benchmarks and emoji), real (files at hand), every.

    Exit status 0: every cell is done, or skipped for a declared reason; 1: a cell failed; 2: wrong usage
    or a bad data file; 130: interrupted. Ctrl-C once lets the running cells finish; twice stops at once.
    """
    from bench import registry
    from bench.commands.forecast import show_forecast
    from bench.execution.campaign import remaining, stale
    from bench.experiment.shards import cells_of_shard, parse_shard
    from bench.experiment.workplace import Workplace
    from bench.records.claims import Claims
    from bench.records.store import Store

    shard = None if way.shard is None else parse_shard(way.shard)
    require_consistent(remote, places)
    load_plugins(plugin_files)
    warn_of_problems()
    sources, cells = cells_of(wanted, results, data_dir, keep_fingerprints=not way.dry_run)
    cells = cells if shard is None else cells_of_shard(cells, shard)
    store = Store(results)
    claims = Claims(store)
    todo = remaining(cells, store, way.retry, trace_test=way.trace_test)
    _announce(sources)
    _warn_of_records(store, cells)
    _warn_of_old_versions(stale(cells, store) - {cell.identity.digest for cell in todo}, cells)
    for name, reason in sources.damaged.items():
        click.echo(f"error: {name} is left out: {reason}", err=True)
    with opened(remote, places, wanted.threads, needed=bool(todo)) as (site, execute):
        if way.dry_run:
            show_forecast(cells, todo, store, site)
            return 2 if sources.damaged else 0
        place = Workplace(
            data_dir.resolve(),
            site.device,
            registry.plugins(),
            places.timeout,
            way.trace_test,
            places.max_memory,
        )
        plan = _Plan(cells, todo, wanted.profile, way.shard, damaged=bool(sources.damaged))
        return _run(plan, claims, place, execute)


@dataclass(frozen=True)
class _Plan:
    """All cells that were asked for, those to run, and whether some data was left out already."""

    cells: list[Cell]
    todo: list[Cell]
    profile: str
    shard: str | None
    damaged: bool


def _run(plan: _Plan, claims: Claims, place: Workplace, execute: Executor[Any]) -> int:
    from bench.commands.attending import attended
    from bench.commands.summary import Ran, summarise
    from bench.execution.campaign import open_once, run_cells
    from bench.execution.tally import Tally
    from bench.records.folders import StoreError
    from bench.records.running import forget_dead_runs

    store = claims.store
    try:
        store.prepare()
    except StoreError as error:
        raise UsageError(str(error)) from error
    forget_dead_runs(store.root)
    unusable = open_once(plan.todo, place.data_dir or Path("data"), plan.profile)
    for name, reason in unusable.items():
        click.echo(f"error: {name} is left out: {reason}", err=True)
    ready = [cell for cell in plan.todo if cell.source not in unusable]
    recorded = len(plan.cells) - len(plan.todo)
    what = f"shard {plan.shard}" if plan.shard else ""
    tally, begin, stopped = Tally(recorded + len(ready), recorded, what), time.monotonic(), False
    if ready:
        with attended(tally, store.root) as (display, interrupts):
            run_cells(
                ready, store, place, execute=execute, on_event=display, claims=claims, stop=interrupts.stop
            )
        stopped = interrupts.asked
    ran = Ran(tally.ran, time.monotonic() - begin, stopped, what, unusable)
    lines, complete = summarise(plan.cells, store, ran)
    click.echo("\n".join(lines))
    if stopped:
        return 130
    return 2 if plan.damaged or unusable else int(not complete)


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
            fate = "cell left out" if problem.kept else "cell to be run again"
            click.echo(f"warning: {fate}: {problem.sentence}", err=True)


def _warn_of_old_versions(old: set[str], cells: Sequence[Cell]) -> None:
    if old:
        methods = sorted({cell.identity.method for cell in cells if cell.identity.digest in old})
        click.echo(
            f"note: {len(old)} recorded cells were made by another version of {', '.join(methods)}; "
            "--retry stale runs them again"
        )
