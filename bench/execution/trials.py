"""Trials of `tune` against a results folder: what is missing is run, and every trial is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.execution.ends import reason_of, status_of
from bench.execution.tasks import Event, Executor, Outcome, Task
from bench.experiment.grid import Cell
from bench.experiment.tuning import run_trial
from bench.experiment.workplace import Workplace
from bench.records.trials import Trial, TrialStore


@dataclass(frozen=True)
class _Payload:
    cell: Cell
    changes: Mapping[str, Any]
    place: Workplace


def run_trials(
    wanted: Sequence[tuple[Cell, Mapping[str, Any]]],
    results: Path,
    place: Workplace,
    *,
    execute: Executor[Trial],
    on_event: Callable[[Event | Trial], None],
) -> list[Trial]:
    """Return the trials of all cells with their changes; run and keep those that are missing.

    Args:
        wanted: cells with the trial's settings, and what was changed.
        results: folder that keeps the trials.
        place: data folder, time limit, and the device as the process sees it that runs a trial.
        execute: where the trials run.
        on_event: told of starts, progress and ended trials.

    Raises:
        StoreError: if trials cannot be written; those before it are kept.
    """
    store = TrialStore(results)
    known = {trial.identity.digest: trial for trial in store.read()}
    missing = [item for item in wanted if item[0].identity.digest not in known]
    tasks = [
        Task(cell.identity.digest, cell.identity.title, _Payload(cell, changes, place))
        for cell, changes in missing
    ]
    payloads = {cell.identity.digest: (cell, changes) for cell, changes in missing}
    with closing(execute(tasks, work, on_event)) as outcomes:
        for outcome in outcomes:
            trial = outcome.value or _lost(outcome, place.seconds, *payloads[outcome.task.key])
            store.write(trial)
            known[outcome.task.key] = trial
            on_event(trial)
    return [known[cell.identity.digest] for cell, _ in wanted]


def _lost(outcome: Outcome[Trial], seconds: float | None, cell: Cell, changes: Mapping[str, Any]) -> Trial:
    """Return the trial whose worker was lost; ``seconds`` is the time limit."""
    assert outcome.lost is not None
    return Trial(
        identity=cell.identity,
        changes=dict(changes),
        status=status_of(outcome.lost),
        reason=reason_of(outcome.lost, seconds),
        validation_map=None,
        seconds=outcome.seconds,
    )


def work(payload: _Payload) -> Trial:
    """Run a trial in a worker."""
    return run_trial(payload.cell, payload.changes, payload.place)
