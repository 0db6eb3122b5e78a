"""``tune``: settings chosen on validation data, with the same number of trials for every method."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from bench import registry
from bench.analysis.settings import Tuning, trials_csv, tunings_of
from bench.atomic import write_whole
from bench.cli.executor_options import DeviceOptions, LocalMachine, kind_of
from bench.cli.formatting import and_more, say
from bench.cli.options import (
    Count,
    DataOption,
    FilePath,
    PluginOption,
    ResultsOption,
    Threads,
    make_command,
)
from bench.contract.errors import DataError
from bench.execution.data_check import describe_sources
from bench.execution.progress import Waiting
from bench.execution.tasks import Notice
from bench.execution.tuning_runner import TakenOver, TrialEvent, run_trials
from bench.experiment.grid import Cell, DeviceKind, Request, plan
from bench.experiment.run_context import RunContext
from bench.experiment.selection import parse_seeds, select_datasets, select_methods
from bench.experiment.stale import made_by_other_code
from bench.experiment.tuning import draw_changes, trial_cells
from bench.records import Trial, TrialStore


@dataclass(frozen=True)
class TuneOptions:
    """What to tune.

    Attributes:
        methods: Names, groups.
        datasets: Names, bundles.
        trials: Per method.
        profile: quick or paper.
        seeds: Seeds that a trial is averaged over: how many (3), or which (0,4 or 2-5).
        threads: CPU threads per cell.
    """

    methods: tuple[str, ...] = ("roster",)
    datasets: tuple[str, ...] = ("emoji",)
    trials: Count = 8
    profile: str = "quick"
    seeds: str = "1"
    threads: Threads = 1


@make_command("tune")
def command(
    wanted: TuneOptions,
    devices: DeviceOptions,
    records: ResultsOption,
    files: DataOption,
    plugins: PluginOption,
    table: Annotated[Path | None, FilePath()] = None,
) -> int:
    """Try settings of each method's search space and print the best by validation mAP.

    The first trial is what trials start from: the usual settings, in the quick profile without what
    earlier trials chose. The others are drawn at random with a fixed seed; each is averaged over the seeds.
    The test split stays sealed throughout. Trials are kept in RESULTS/trials, each with its log, and not run
    again; several runs on one folder share them. `report` shows them. The best are printed as YAML too, to be
    taken over into methods/settings/.

    Args:
        wanted: what to tune.
        devices: where.
        table: Write all trials as CSV.
        records: folder of the records, which keeps the trials.
        files: folder of the datasets' files.
        plugins: files with plug-ins.
    """
    plugins.load()
    results, data_dir = records.results, files.data
    site = LocalMachine(devices, wanted.threads).site()
    context = devices.context(site, data_dir)
    every_trial: list[Trial] = []
    failed = False
    for dataset in select_datasets(wanted.datasets, lambda _: False):
        items = _trials(wanted, dataset, context, results, kind_of(site.device))
        _name_stale([cell for cell, _ in items], results)
        trials = run_trials(items, results, context, execute=site.execute, on_event=_show)
        every_trial += trials
        tunings = tunings_of(trials)
        failed = failed or any(tuning.best is None for tuning in tunings)
        say(*(f"{tuning.method} on {dataset}: {_verdict(tuning, trials)}" for tuning in tunings))
        say("as YAML for methods/settings/:", *(list(_yaml(tunings)) or ["  {}"]))
    if table is not None:
        write_whole(table.resolve(), trials_csv(tunings_of(every_trial)))
        say(f"all trials: {table}")
    return int(failed)


def _trials(
    wanted: TuneOptions, dataset: str, context: RunContext, results: Path, device: DeviceKind
) -> list[tuple[Cell, Mapping[str, Any]]]:
    """Return the cells of every method's trials, and what each trial changes."""
    sources = describe_sources(
        [dataset],
        context.data_dir,
        wanted.profile,
        results,
        timeout=context.seconds,
        max_memory=context.max_memory,
    )
    for name, reason in sources.damaged.items():
        raise DataError(f"{name}: {reason}")
    seeds, versions = parse_seeds(wanted.seeds), registry.Versions()
    items: list[tuple[Cell, Mapping[str, Any]]] = []
    for name in select_methods(wanted.methods):
        request = Request(
            methods=[name],
            datasets=[dataset],
            seeds=seeds,
            profile=wanted.profile,
            threads=wanted.threads,
            tuned=False,
            device=device,
        )
        cells = plan(request, sources.usable, versions)
        usual = cells[0].identity.settings
        for changes in draw_changes(registry.method(name), usual, wanted.trials, seed=0):
            items += [(cell, changes) for cell in trial_cells(cells, changes)]
    return items


def _name_stale(cells: Sequence[Cell], results: Path) -> None:
    """Say how many trials are made again because other code made them."""
    known = [trial.identity for trial in TrialStore(results).read()]
    count = made_by_other_code([cell.identity for cell in cells], known)
    if count:
        say(f"note: {count} trials were made by other code; they stay, and are made again")


def _show(event: TrialEvent) -> None:
    if isinstance(event, Trial):
        say(_line(event))
    elif isinstance(event, TakenOver):
        say(f"{_line(event.trial)}, by another run")
    elif isinstance(event, Waiting) and event.cells:
        titles = and_more([cell.title for cell in event.cells])
        say(f"waiting for another run on this folder: {titles}")
    elif isinstance(event, Notice):
        say(f"note: {event.sentence}")


def _line(trial: Trial) -> str:
    value = trial.reason if trial.validation_map is None else f"validation mAP {trial.validation_map:.4f}"
    return f"{trial.identity.title}, {json.dumps(trial.changes)}: {value}, {trial.seconds:.1f} s"


def _verdict(tuning: Tuning, trials: Sequence[Trial]) -> str:
    """Return which changes are best, or why none is."""
    count = len(tuning.attempts)
    if tuning.best is None:
        failures = (trial for trial in trials if trial.validation_map is None)
        first = next(trial for trial in failures if trial.identity.method == tuning.method)
        return f"no trial of {count} succeeded: {first.status}: {first.reason}"
    changes = (
        json.dumps(tuning.best.changes) if tuning.best.changes else "the settings that trials start from"
    )
    return f"best of {count} trials: {changes}, validation mAP {tuning.best.value:.4f}"


def _yaml(tunings: Sequence[Tuning]) -> Iterator[str]:
    """Yield a line for every method whose best trial changes something."""
    for tuning in tunings:
        if tuning.best is not None and tuning.best.changes:
            yield f"  {tuning.method}: {json.dumps(tuning.best.changes)}"
