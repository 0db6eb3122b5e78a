"""``tune``: settings chosen on validation data, with the same number of trials for every method."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import data_option, grouped, load_plugins, plugin_option, results_option
from bench.cli.places import Places, executor_for, kind_of, place_options, survey

if TYPE_CHECKING:
    from bench.analysis.settings import Tuning
    from bench.execution.tuning_runner import TrialEvent
    from bench.experiment.grid import Cell, DeviceKind
    from bench.records.trials import Trial


@dataclass(frozen=True)
class Wanted:
    """What to tune, as typed."""

    methods: Sequence[str]
    datasets: Sequence[str]
    trials: int
    profile: str
    seeds: str
    threads: int


@click.command("tune", context_settings={"help_option_names": ["-h", "--help"]})
@grouped(
    Wanted,
    "wanted",
    click.option(
        "--methods", multiple=True, default=("roster",), show_default="roster", help="Names, groups."
    ),
    click.option(
        "--datasets", multiple=True, default=("emoji",), show_default="emoji", help="Names, bundles."
    ),
    click.option("--trials", default=8, show_default=True, type=click.IntRange(1), help="Per method."),
    click.option("--profile", default="quick", show_default=True, help="quick or paper."),
    click.option("--seeds", default="1", show_default=True, help="Seeds that a trial is averaged over."),
    click.option(
        "--threads", default=1, show_default=True, type=click.IntRange(1), help="CPU threads per cell."
    ),
)
@place_options
@click.option(
    "--table", default=None, type=click.Path(dir_okay=False, path_type=Path), help="Write all trials as CSV."
)
@results_option
@data_option
@plugin_option
def command(
    wanted: Wanted,
    places: Places,
    results: Path,
    data_dir: Path,
    plugin_files: Sequence[Path],
    table: Path | None,
) -> int:
    """Try settings of each method's search space and print the best by validation mAP.

    The first trial is what trials start from: the usual settings, in the quick profile without what
    earlier trials chose. The others are drawn at random with a fixed seed. The test split stays sealed
    throughout. Trials are kept in RESULTS/trials, each with its log, and not run again; several runs on one
    folder share them. `report` shows them. The best are printed as YAML too, to be taken over into
    methods/settings/.
    """
    from bench import registry
    from bench.analysis.settings import trials_csv, tunings_of
    from bench.atomic import write_whole
    from bench.execution.tuning_runner import run_trials
    from bench.experiment.run_context import RunContext
    from bench.experiment.selection import select_datasets

    load_plugins(plugin_files)
    site = survey(places, wanted.threads)
    place = RunContext(
        data_dir.resolve(), site.device, registry.plugins(), places.timeout, max_memory=places.max_memory
    )
    failed = False
    everything: list[Trial] = []
    for dataset in select_datasets(wanted.datasets, lambda _: False):
        plans = _plans(wanted, dataset, data_dir, results, kind_of(site.device))
        items = [item for items in plans.values() for item in items]
        _name_stale(items, results)
        ended = run_trials(items, results, place, execute=executor_for(site, places), on_event=_show)
        everything += ended
        tunings = tunings_of(ended)
        for tuning in tunings:
            failed |= tuning.best is None
            click.echo(f"{tuning.method} on {dataset}: {_verdict(tuning, ended)}")
        click.echo("\n".join(["as YAML for methods/settings/:", *_yaml(tunings)]))
    if table is not None:
        write_whole(table.resolve(), trials_csv(tunings_of(everything)))
        click.echo(f"all trials: {table}")
    return int(failed)


def _plans(
    wanted: Wanted, dataset: str, data_dir: Path, results: Path, device: DeviceKind
) -> dict[str, list[tuple[Cell, dict[str, Any]]]]:
    """Return, for every method, the cells of its trials and what each trial changes."""
    from bench import registry
    from bench.data.fingerprint import CACHE_NAME
    from bench.experiment.grid import Request, describe_data, plan
    from bench.experiment.selection import parse_seeds, select_methods
    from bench.experiment.tuning import draw_changes, trial_cells

    data = {dataset: describe_data(dataset, data_dir, wanted.profile, results / CACHE_NAME)}
    seeds = parse_seeds(wanted.seeds)
    plans, versions = {}, registry.Versions()
    for name in select_methods(wanted.methods):
        request = Request(
            *([name], [dataset], seeds, ("full",), wanted.profile, wanted.threads), tuned=False, device=device
        )
        cells = plan(request, data, versions)
        usual = cells[0].identity.settings
        changes = draw_changes(registry.method_class(name), usual, wanted.trials, seed=0)
        plans[name] = [(cell, change) for change in changes for cell in trial_cells(cells, change)]
    return plans


def _name_stale(items: Sequence[tuple[Cell, dict[str, Any]]], results: Path) -> None:
    """Say how many trials are made again because other code made them."""
    from bench.experiment.stale import made_by_other_code
    from bench.records.trials import TrialStore

    known = [trial.identity for trial in TrialStore(results).read()]
    count = made_by_other_code([cell.identity for cell, _ in items], known)
    if count:
        click.echo(f"note: {count} trials were made by other code; they stay, and are made again")


def _show(event: TrialEvent) -> None:
    from bench.cli.phrases import printable
    from bench.execution.progress import Waiting
    from bench.execution.tasks import Notice
    from bench.execution.tuning_runner import TakenOver
    from bench.records.trials import Trial

    if isinstance(event, Trial):
        click.echo(_line(event))
    elif isinstance(event, TakenOver):
        click.echo(f"{_line(event.trial)}, by another run")
    elif isinstance(event, Waiting) and event.cells:
        others = f" and {len(event.cells) - 1} more" if len(event.cells) > 1 else ""
        click.echo(f"waiting for another run on this folder: {printable(event.cells[0].title)}{others}")
    elif isinstance(event, Notice):
        click.echo(f"note: {printable(event.sentence)}")


def _line(trial: Trial) -> str:
    from bench.cli.phrases import printable

    value = trial.reason if trial.validation_map is None else f"validation mAP {trial.validation_map:.4f}"
    return printable(f"{trial.identity.title}, {json.dumps(trial.changes)}: {value}, {trial.seconds:.1f} s")


def _verdict(tuning: Tuning, trials: Sequence[Trial]) -> str:
    """Say which changes are best, or why none is."""
    count = len(tuning.attempts)
    if tuning.best is None:
        mine = [trial for trial in trials if trial.identity.method == tuning.method]
        first = next(trial for trial in mine if trial.validation_map is None)
        return f"no trial of {count} succeeded: {first.status}: {first.reason}"
    what = json.dumps(tuning.best.changes) if tuning.best.changes else "the settings that trials start from"
    return f"best of {count} trials: {what}, validation mAP {tuning.best.value:.4f}"


def _yaml(tunings: Sequence[Tuning]) -> list[str]:
    """Return a line for every method whose best trial changes something."""
    best = {tuning.method: tuning.best.changes for tuning in tunings if tuning.best and tuning.best.changes}
    return [f"  {method}: {json.dumps(changes)}" for method, changes in best.items()] or ["  {}"]
