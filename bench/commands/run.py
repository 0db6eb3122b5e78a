"""``run``: the main job."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.options import (
    data_option,
    grouped,
    load_plugins,
    plugin_option,
    results_option,
    warn_of_problems,
)
from bench.commands.request import Wanted, cells_of, wanted_options
from bench.contract.errors import UsageError

if TYPE_CHECKING:
    from bench.execution import Executor
    from bench.execution.campaign import Sources
    from bench.experiment.grid import Cell
    from bench.records.store import Store

_RETRY = ("failed", "timeout", "out-of-memory", "refused", "skipped", "stale", "all")


@dataclass(frozen=True)
class Way:
    """How to run it, as typed."""

    jobs: int | None
    device: str
    timeout: float | None
    retry: Sequence[str]
    trace_test: bool
    dry_run: bool


@click.command("run", context_settings={"help_option_names": ["-h", "--help"]})
@wanted_options
@grouped(
    Way,
    "way",
    click.option(
        "--jobs",
        default=None,
        type=click.IntRange(0),
        help="Worker processes; 0 runs in this process.  [default: processors / threads; 1 on a GPU]",
    ),
    click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N."),
    click.option(
        "--timeout", default=None, type=click.FloatRange(0, min_open=True), help="Seconds per cell."
    ),
    click.option(
        "--retry",
        multiple=True,
        type=click.Choice(_RETRY),
        help="Run recorded failures again; stale: what an earlier version of a method's file made.",
    ),
    click.option("--trace-test", is_flag=True, help="Trace test mAP per epoch too (labelled oracle)."),
    click.option("--dry-run", is_flag=True, help="Print what would run."),
)
@results_option
@data_option
@plugin_option
def command(wanted: Wanted, way: Way, results: Path, data_dir: Path, plugin_files: Sequence[Path]) -> int:
    """Run methods on datasets; what is already recorded is not run again.

    Groups of methods: all (roster and references), roster, baselines, linear, deep, references, extras.
    Groups of datasets: all (the five benchmarks and emoji), real (files at hand), every.

    Exit status 0: every cell is done, or skipped for a declared reason; 1: a cell failed; 2: wrong usage
    or a bad data file; 130: interrupted.
    """
    from bench.execution.campaign import remaining, stale
    from bench.records.store import Store

    load_plugins(plugin_files)
    warn_of_problems()
    sources, cells = cells_of(wanted, results, data_dir, keep_fingerprints=not way.dry_run)
    store = Store(results)
    todo = remaining(cells, store, way.retry, trace_test=way.trace_test)
    _announce(sources)
    _warn_of_records(store, cells)
    _warn_of_old_versions(stale(cells, store) - {cell.identity.digest for cell in todo}, cells)
    for name, reason in sources.damaged.items():
        click.echo(f"error: {name} is left out: {reason}", err=True)
    if way.dry_run:
        return _show(cells, todo, damaged=bool(sources.damaged))
    return _run(cells, todo, store, wanted, way, data_dir, damaged=bool(sources.damaged))


def _run(
    cells: list[Cell], todo: list[Cell], store: Store, wanted: Wanted, way: Way, data_dir: Path, damaged: bool
) -> int:
    from bench import registry
    from bench.commands.display import display_for
    from bench.execution.campaign import count_statuses, open_once, run_cells
    from bench.execution.tally import Tally
    from bench.experiment.workplace import Workplace
    from bench.records.folders import StoreError

    try:
        store.prepare()
    except StoreError as error:
        raise UsageError(str(error)) from error
    unusable = open_once(todo, data_dir, wanted.profile)
    for name, reason in unusable.items():
        click.echo(f"error: {name} is left out: {reason}", err=True)
    ready = [cell for cell in todo if cell.source not in unusable]
    recorded = len(cells) - len(todo)
    execute, device = _executor(way, wanted.threads, len(ready))
    place = Workplace(data_dir.resolve(), device, registry.plugins(), way.timeout, way.trace_test)
    tally, begin = Tally(recorded + len(ready), recorded), time.monotonic()
    with display_for(tally) as display:
        ran = run_cells(ready, store, place, execute=execute, on_event=display)
    counts = count_statuses(cells, store)
    seconds = time.monotonic() - begin
    return _conclude(counts, ran, seconds, store.root, damaged=damaged or bool(unusable))


def _executor(way: Way, threads: int, cells: int) -> tuple[Executor[Any], str]:
    """Return where cells run, and the device as it is called there: a worker sees its own GPU only."""
    from bench.execution import inline_executor, local_executor, local_slots
    from bench.execution.campaign import hard_limit

    device, jobs = _device(way.device), _jobs(way, threads, cells)
    if not jobs:
        return inline_executor, device
    slots = local_slots(jobs, threads, device)
    return local_executor(slots, timeout=hard_limit(way.timeout)), slots[0].device


def _jobs(way: Way, threads: int, cells: int) -> int:
    if way.jobs is not None:
        return min(way.jobs, max(cells, 1))
    if way.device != "cpu":
        return 1
    from joblib import cpu_count  # knows the limits of containers, too

    return min(max(1, int(cpu_count()) // threads), max(cells, 1))


def _device(word: str) -> str:
    """Return the device's full name.

    Raises:
        UsageError: if there is no such device here.
    """
    if word == "cpu":
        return word
    import torch

    known = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if word not in known and not (word == "cuda" and known):
        raise UsageError(f"there is no device {word!r} here; there are: {', '.join(['cpu', *known])}")
    return "cuda:0" if word == "cuda" else word


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


def _show(cells: Sequence[Cell], todo: Sequence[Cell], damaged: bool) -> int:
    waiting = {cell.identity.digest for cell in todo}
    for cell in cells:
        state = "to run  " if cell.identity.digest in waiting else "recorded"
        click.echo(f"{state} {cell.identity.digest} {cell.identity.title}")
    click.echo(f"{len(cells)} cells, {len(todo)} to run")
    return 2 if damaged else 0


def _conclude(counts: dict[str, int], ran: int, seconds: float, results: Path, damaged: bool) -> int:
    total = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    click.echo(f"{sum(counts.values())} cells: {total or 'none'}; {ran} run now in {seconds:.1f} s")
    bad = sum(counts.values()) - counts["done"] - counts["skipped"]
    if bad:
        click.echo(f"why: python -m bench status --results {results}; to try again: add --retry all")
    elif counts["done"]:
        click.echo(f"next: python -m bench report --results {results}")
    return 2 if damaged else int(bool(bad))
