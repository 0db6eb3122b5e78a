"""``run``: the main job; `ablate` and `sweep` run their grids in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from bench import registry
from bench.cli.executor_options import DeviceOptions, ExecutorOptions, Site, machines
from bench.cli.formatting import say, warn
from bench.cli.grid_options import CellOptions, Wanted, plan_cells
from bench.cli.options import (
    DataOption,
    PluginOption,
    ResultsOption,
    Words,
    make_command,
)
from bench.cli.run_session import run_session
from bench.cli.summary import Ran, forecast, summarise
from bench.contract.errors import UsageError
from bench.execution.data_check import Sources
from bench.execution.grid_runner import remaining, run_cells
from bench.execution.progress import RunProgress
from bench.experiment.grid import Cell, cells_of_shard, parse_shard
from bench.experiment.run_context import RunContext
from bench.experiment.stale import Stale, sentences, stale_cells
from bench.records.folders import StoreError
from bench.records.heartbeat import remove_dead_runs
from bench.records.locks import Claims
from bench.records.store import Store

Retry = Literal[
    "failed",
    "exited",
    "killed",
    "lost",
    "disk-full",
    "timeout",
    "out-of-memory",
    "refused",
    "skipped",
    "stale",
    "all",
]


@dataclass(frozen=True)
class JobOptions:
    """How cells are run, where, and where their records go.

    Attributes:
        retry: Run again what ended so; failed: also exited, killed, lost, disk-full; all: what is not done or
            skipped; stale: what other code finished.
        trace_test: Trace test mAP per epoch too (labelled oracle).
        shard: Run only part I of N of the grid.
        dry_run: Print what would run, and how long it would take.
    """

    devices: DeviceOptions
    executor: ExecutorOptions
    records: ResultsOption
    files: DataOption
    plugins: PluginOption
    retry: tuple[Retry, ...] = ()
    trace_test: bool = False
    shard: Annotated[str | None, Words("I/N")] = None
    dry_run: bool = False


@make_command("run")
def command(
    *,
    methods: tuple[str, ...] = ("all",),
    datasets: tuple[str, ...] = ("all",),
    variants: tuple[str, ...] = ("full",),
    cells: CellOptions,
    job: JobOptions,
) -> int:
    """Run methods on datasets; what is already recorded is not run again.

    Groups of methods: all (roster and references), roster, baselines, linear, deep, references, extras.
    Groups of datasets: all (the five benchmarks and emoji), real (files at hand), every.

    Exit status 0: every cell is done, or skipped for a declared reason; 1: a cell failed; 2: wrong usage
    or a bad data file; 130: interrupted. Ctrl-C once lets the running cells finish; twice stops at once.

    Args:
        methods: Names, globs, groups.
        datasets: Names, globs, groups, paths of feature bundles.
        variants: full and names of ablations, or all; a method without such a variant is left out of it.
        cells: which of their cells.
        job: how they are run.
    """
    return run_grid(job, cells, lambda: Wanted(methods, datasets, cells, variants))


def run_grid(
    job: JobOptions,
    options: CellOptions,
    want: Callable[[], Wanted],
    notes: Callable[[Sequence[Cell]], Iterable[str]] = lambda _: (),
) -> int:
    """Run the cells that are missing, or print which these are, and return the exit status.

    Args:
        job: as given.
        options: of the cells.
        want: says what is wanted, once plug-ins are known.
        notes: what to print of the planned cells.

    Raises:
        UsageError: for wrong words, before any data is looked at.
    """
    shard = None if job.shard is None else parse_shard(job.shard)
    job.plugins.load(warn_of_others=True)
    results, data_dir = job.records.results, job.files.data
    with machines(job.executor, job.devices, options.threads) as where:
        sources, cells = plan_cells(
            want(),
            where.kind,
            results,
            data_dir,
            keep_fingerprints=not job.dry_run,
            timeout=job.devices.timeout,
            max_memory=job.devices.max_memory,
        )
        say(*notes(cells))
        cells = cells if shard is None else cells_of_shard(cells, shard)
        store = Store(results)
        claims = Claims(store)
        stale = stale_cells(cells, store)
        todo = remaining(cells, store, job.retry, trace_test=job.trace_test, stale=stale)
        _announce(sources, store, cells, [] if "stale" in job.retry else [*stale.values()])
        site = where.site(needed=bool(todo))
        if job.dry_run:
            say(*forecast(cells, todo, store, site, stale))
            return 2 if sources.damaged else 0
        return max(_run(job, cells, todo, claims, site), 2 if sources.damaged else 0)


def _run(
    job: JobOptions, cells: Sequence[Cell], todo: Sequence[Cell], claims: Claims[Store], site: Site
) -> int:
    """Run what is to do, and print how all cells stand."""
    store = claims.store
    prepare_results(store)
    recorded = len(cells) - len(todo)
    left_out = registry.import_problems(dict.fromkeys(cell.identity.method for cell in todo))
    ready = [cell for cell in todo if cell.identity.method not in left_out]
    part = f"shard {job.shard}" if job.shard else ""
    progress = RunProgress(recorded + len(ready), recorded, part)
    context = job.devices.context(site, job.files.data, trace_test=job.trace_test)
    begin = time.monotonic()
    stopped = bool(ready) and run_displayed(ready, store, context, site, progress, claims)
    seconds = time.monotonic() - begin
    left_out |= progress.left_out
    _name_left_out(left_out)
    ran = Ran(progress.ran, seconds, stopped, part, left_out, progress.unwritten, progress.unstarted)
    lines, complete = summarise(cells, store, ran)
    say(*lines)
    if stopped:
        return 130
    return 2 if left_out else int(not complete)


def run_displayed(
    cells: Sequence[Cell],
    store: Store,
    context: RunContext,
    site: Site,
    progress: RunProgress,
    claims: Claims[Store] | None = None,
) -> bool:
    """Run cells with a display of their events; returns whether Ctrl-C was pressed."""
    with run_session(progress, store.root) as (display, interrupts):
        run_cells(
            cells,
            store,
            context,
            execute=site.execute,
            on_event=display,
            claims=claims,
            stop=interrupts.stop,
        )
    return interrupts.asked


def prepare_results(store: Store) -> None:
    """Make a results folder where there is none, and remove what killed runs left in it.

    Raises:
        UsageError: if it cannot be made or written.
    """
    try:
        store.prepare()
    except StoreError as error:
        raise UsageError(str(error)) from error
    remove_dead_runs(store.root)


def _announce(sources: Sources, store: Store, cells: Sequence[Cell], stale: Sequence[Stale]) -> None:
    """Print what must be known of the data and of earlier records before anything runs."""
    look_alikes = [source.name for source in sources.usable.values() if source.kind == "look-alike"]
    if look_alikes:
        say(
            f"note: LOOK-ALIKES stand in for {', '.join(look_alikes)}, whose files are absent; "
            "where to get them: python -m bench data doctor"
        )
    asked = {cell.identity.digest for cell in cells}
    for problem in store.problems:
        if problem.folder.name in asked:
            warn(f"{'cell left out' if problem.newer else 'cell to be run again'}: {problem.sentence}")
    say(*(f"note: {sentence}" for sentence in sentences(stale)))
    if stale:
        say(f"note: {len(stale)} cells are left as they are; --retry stale makes them again")
    _name_left_out(sources.damaged)


def _name_left_out(reasons: Mapping[str, str]) -> None:
    for name, reason in reasons.items():
        warn(f"{name} is left out: {reason}", "error")
