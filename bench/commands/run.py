"""``run``: the main job."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.options import (
    data_option,
    load_plugins,
    parse_overrides,
    plugin_option,
    results_option,
    warn_of_problems,
)

if TYPE_CHECKING:
    from bench.execution.campaign import Sources
    from bench.experiment.grid import Cell

_RETRY = ("failed", "timeout", "out-of-memory", "refused", "all")


@click.command("run")
@click.option("--methods", multiple=True, default=("all",), show_default="all", help="Names, globs, groups.")
@click.option(
    "--datasets", multiple=True, default=("all",), show_default="all", help="Names, globs, groups, bundles."
)
@click.option("--seeds", default="1", show_default=True, help="How many (3), or which (0,4 or 2-5).")
@click.option("--profile", default="quick", show_default=True, help="quick or paper.")
@click.option("--variants", default="full", show_default=True, help="full and names of ablations.")
@click.option("--set", "changes", multiple=True, help="METHOD.PARAM=VALUE; * for every method.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="CPU threads per cell.")
@click.option(
    "--jobs",
    default=None,
    type=click.IntRange(0),
    help="Worker processes; 0 runs in this process. Default: processors / threads.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--timeout", default=None, type=click.FloatRange(0, min_open=True), help="Seconds per cell.")
@click.option("--retry", multiple=True, type=click.Choice(_RETRY), help="Run recorded failures again.")
@click.option("--trace-test", is_flag=True, help="Trace test mAP per epoch too (labelled oracle).")
@click.option("--dry-run", is_flag=True, help="Print what would run.")
@results_option
@data_option
@plugin_option
def command(
    methods: Sequence[str],
    datasets: Sequence[str],
    seeds: str,
    profile: str,
    variants: str,
    changes: Sequence[str],
    threads: int,
    jobs: int | None,
    device: str,
    timeout: float | None,
    retry: Sequence[str],
    trace_test: bool,
    dry_run: bool,
    results: Path,
    data_dir: Path,
    plugin_files: Sequence[Path],
) -> int:
    """Run methods on datasets; what is already recorded is not run again.

    Groups of methods: all (roster and references), roster, baselines, linear, deep, references, extras.
    Groups of datasets: all (the five benchmarks and emoji), real (files at hand), every.
    """
    from bench import registry
    from bench.commands.display import Display
    from bench.execution.campaign import count_statuses, describe_sources, open_once, remaining, run_cells
    from bench.experiment.workplace import Workplace
    from bench.experiment.grid import Request, plan
    from bench.experiment.selection import parse_seeds, select_datasets, select_methods
    from bench.records.store import Store

    load_plugins(plugin_files)
    warn_of_problems()
    given = select_datasets(datasets, lambda name: _is_real(name, data_dir, profile))
    sources = describe_sources(given, data_dir, profile, results / "fingerprints.json")
    request = Request(
        methods=select_methods(methods),
        datasets=list(sources.usable),
        seeds=parse_seeds(seeds),
        variants=[word.strip() for word in variants.split(",")],
        profile=profile,
        threads=threads,
        overrides=parse_overrides(changes),
    )
    cells = plan(request, sources.usable) if sources.usable else []
    store = Store(results)
    todo = remaining(cells, store, retry, trace_test=trace_test)
    _announce(sources)
    if dry_run:
        return _show(cells, todo)
    damaged = {**sources.damaged, **open_once(todo, data_dir, profile)}
    for name, reason in damaged.items():
        click.echo(f"error: {name} is left out: {reason}", err=True)
    todo = [cell for cell in todo if cell.source not in damaged]
    place = Workplace(data_dir.resolve(), _device(device), registry.plugins(), timeout, trace_test)
    with Display(len(cells), len(cells) - len(todo)) as display:
        ran = run_cells(todo, store, place, jobs=_jobs(jobs, threads, len(todo)), on_event=display)
    counts = count_statuses(cells, store)
    return _conclude(counts, ran, display.seconds, results, damaged=bool(damaged))


def _jobs(jobs: int | None, threads: int, cells: int) -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(1, usable // threads) if jobs is None else jobs, max(cells, 1))


def _is_real(name: str, data_dir: Path, profile: str) -> bool:
    from bench.contract import DataError
    from bench.data import fingerprint_of

    try:
        return fingerprint_of(name, data_dir, profile)[0] == "real"
    except DataError:
        return False


def _device(word: str) -> str:
    """Return the device's full name.

    Raises:
        UsageError: if there is no such device here.
    """
    from bench.contract import UsageError

    if word == "cpu":
        return word
    import torch

    count = torch.cuda.device_count()
    known = ["cpu", "cuda", *(f"cuda:{index}" for index in range(count))]
    if word not in known or (word == "cuda" and count == 0):
        raise UsageError(f"no device {word!r} here; there are: cpu" + "".join(f", {n}" for n in known[2:]))
    return "cuda:0" if word == "cuda" else word


def _announce(sources: Sources) -> None:
    stand_ins = [source.name for source in sources.usable.values() if source.kind == "look-alike"]
    if stand_ins:
        click.echo(
            f"note: LOOK-ALIKES stand in for {', '.join(stand_ins)}, whose files are absent; "
            "where to get them: python -m bench data doctor"
        )


def _show(cells: Sequence[Cell], todo: Sequence[Cell]) -> int:
    waiting = {cell.identity.digest for cell in todo}
    for cell in cells:
        state = "to run  " if cell.identity.digest in waiting else "recorded"
        click.echo(f"{state} {cell.identity.digest} {cell.identity.title}")
    click.echo(f"{len(cells)} cells, {len(todo)} to run")
    return 0


def _conclude(counts: dict[str, int], ran: int, seconds: float, results: Path, damaged: bool) -> int:
    total = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    click.echo(f"{sum(counts.values())} cells: {total or 'none'}; {ran} run now in {seconds:.1f} s")
    bad = sum(counts.values()) - counts["done"] - counts["skipped"]
    if bad:
        click.echo(f"why: python -m bench status --results {results}; to try again: add --retry all")
    else:
        click.echo(f"next: python -m bench report --results {results}")
    return 2 if damaged else int(bool(bad))
