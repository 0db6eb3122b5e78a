"""``tune``: settings chosen on validation data, with the same number of trials for every method."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from bench import registry
from bench.analysis.settings import FIELDS, trial_rows, tunings_of
from bench.atomic import write_output
from bench.cli.executor_options import DeviceOptions, LocalMachine, kind_of
from bench.cli.formatting import and_more, print_lines
from bench.cli.options import Count, DataOption, FilePath, ResultsOption, Threads, make_command
from bench.cli.run import name_left_out
from bench.contract.errors import UsageError
from bench.execution.data_check import Sources, describe_sources
from bench.execution.progress import LeftOut, Waiting
from bench.execution.tasks import Notice
from bench.execution.tuning_runner import TakenOver, TrialEvent, run_trials
from bench.experiment.grid import Cell, DataSource, DeviceKind, Request, plan
from bench.experiment.run_context import RunContext
from bench.experiment.selection import parse_seeds, select_datasets, select_methods
from bench.experiment.stale import made_by_other_code
from bench.experiment.tuning import Search
from bench.plural import counted
from bench.records import StoreError, Trial, TrialStore
from bench.records.trials import Pruner, Sampler
from bench.report.writers import csv


@dataclass(frozen=True)
class TuneOptions:
    """What to tune.

    Attributes:
        methods: Names, globs, groups.
        datasets: Names, globs, groups, or paths of files.
        trials: Number of trials of each method.
        sampler: random draws settings at random; tpe (Optuna) draws settings similar to the best so far.
        pruner: Rule that stops trials early by their validation mAP per epoch; none trains all to the end.
        profile: quick (small networks, minutes) or paper (published sizes and settings).
        seeds: Seeds of each trial, which are averaged: a number (3), or seed indices (0,4 or 2-5).
        threads: CPU threads per cell.
    """

    methods: tuple[str, ...] = ("roster",)
    datasets: tuple[str, ...] = ("emoji",)
    trials: Count = 8
    sampler: Sampler = "random"
    pruner: Pruner = "none"
    profile: str = "quick"
    seeds: str = "1"
    threads: Threads = 1


@make_command("tune")
def command(
    wanted: TuneOptions,
    devices: DeviceOptions,
    records: ResultsOption,
    files: DataOption,
    table: Annotated[Path | None, FilePath()] = None,
) -> int:
    """Tune the settings of methods on validation data, and print the best of each.

    The first trial has the usual settings (in the quick profile, without those that earlier tuning chose);
    the sampler chooses the others. All methods get the same number of trials; trials that a pruner stops
    count. The test split stays sealed. Trials are stored in RESULTS/trials with their logs and are not run
    again; several runs on one results folder share them. `report` tabulates them.

    Exit status 0; 1: no trial of a method succeeded; 2: wrong usage, or a plug-in that cannot be imported.

    Args:
        table: CSV file to write all trials to.
    """
    results = records.results
    site, methods = LocalMachine(devices, wanted.threads).site(), select_methods(wanted.methods)
    context = devices.context(site, files.data)
    every_trial: list[Trial] = []
    search, slots = Search(wanted.trials, wanted.sampler, wanted.pruner), len(site.slots)
    show = partial(_show, left_out := registry.import_problems(methods))
    name_left_out(left_out)
    sources = _sources(wanted, context, results)
    for dataset, source in sources.usable.items():
        ready = [name for name in methods if name not in left_out]
        subjects = _subjects(wanted, ready, source, kind_of(site.device))
        known = [trial.identity for trial in TrialStore(results).read()]
        if stale := made_by_other_code([cell.identity for cells in subjects for cell in cells], known):
            print_lines(
                f"note: the trials of {counted(stale, 'cell')} were made by other code; they stay, and are "
                "made again"
            )
        trials = run_trials(
            subjects, search, results, context, execute=site.execute, on_event=show, slots=slots
        )
        name_left_out({name: left_out[name] for name in ready if name in left_out})
        every_trial += trials
        _print_best(dataset, trials)
    if table is not None:
        write_output(table, csv.text(FIELDS, trial_rows(tunings_of(every_trial))))
        print_lines(f"all trials: {table}")
    return (
        2
        if left_out or sources.damaged
        else int(any(tuning.best is None for tuning in tunings_of(every_trial)))
    )


def _sources(wanted: TuneOptions, context: RunContext, results: Path) -> Sources:
    """Return the datasets, and name those that are left out; make the folder of the trials.

    Raises:
        UsageError: if there is no such dataset, or the folder cannot be made.
    """
    given = select_datasets(wanted.datasets, lambda _: False)
    limits = {"timeout": context.seconds, "max_memory": context.max_memory}
    sources = describe_sources(given, context.data_dir, wanted.profile, results, **limits)
    name_left_out(sources.damaged)
    try:
        TrialStore(results).prepare()
    except StoreError as error:
        raise UsageError(str(error)) from error
    return sources


def _subjects(
    wanted: TuneOptions, methods: Sequence[str], source: DataSource, device: DeviceKind
) -> list[list[Cell]]:
    """Return the cells of every method, with the settings of its first trial."""
    request = Request(
        methods=[],
        datasets=[source.given],
        seeds=parse_seeds(wanted.seeds),
        profile=wanted.profile,
        threads=wanted.threads,
        tuned=False,
        device=device,
    )
    versions = registry.Versions()
    sources = {source.given: source}
    return [plan(replace(request, methods=[name]), sources, versions) for name in methods]


def _show(left_out: dict[str, str], event: TrialEvent) -> None:
    if isinstance(event, LeftOut):
        left_out[event.cell.identity.method] = event.reason
    elif isinstance(event, Trial):
        print_lines(_line(event))
    elif isinstance(event, TakenOver):
        print_lines(f"{_line(event.trial)}, by another run")
    elif isinstance(event, Waiting) and event.cells:
        print_lines(
            f"waiting for another run on this folder: {and_more([cell.title for cell in event.cells])}"
        )
    elif isinstance(event, Notice):
        print_lines(f"note: {event.sentence}")


def _print_best(dataset: str, trials: Sequence[Trial]) -> None:
    """Print the best of each method on a dataset, or why there is none, and as YAML."""
    best: dict[str, Any] = {}
    for tuning in tunings_of(trials):
        count = len(tuning.attempts)
        if tuning.best is None:
            first = next(
                trial
                for trial in trials
                if trial.validation_map is None and trial.identity.method == tuning.method
            )
            verdict = f"no trial of {count} succeeded: {first.status}: {first.reason}"
        else:
            changes = tuning.best.changes
            words = json.dumps(changes) if changes else "the settings that trials start from"
            best |= {tuning.method: changes} if changes else {}
            verdict = f"best of {counted(count, 'trial')}: {words}, validation mAP {tuning.best.value:.4f}"
        print_lines(f"{tuning.method} on {dataset}: {verdict}")
    lines = [f"  {method}: {json.dumps(changes)}" for method, changes in best.items()] or ["  {}"]
    print_lines("as YAML for methods/settings/:", *lines)


def _line(trial: Trial) -> str:
    value = trial.reason if trial.validation_map is None else f"validation mAP {trial.validation_map:.4f}"
    return f"{trial.identity.title}, {json.dumps(trial.changes)}: {value}, {trial.seconds:.1f} s"
