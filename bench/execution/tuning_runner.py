"""Runs the trials of `tune` that are missing in a results folder, and keeps each as it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.execution.cell_task import PRELOAD as PRELOAD  # of the workers of this task, too
from bench.execution.cell_task import import_method
from bench.execution.data_check import forget_data
from bench.execution.grid_runner import wait_for_others
from bench.execution.progress import Waiting
from bench.execution.record_writer import reason_of, status_of
from bench.execution.tasks import Event, Executor, Notice, Outcome, Task
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext
from bench.experiment.tuning import Tried, run_trial
from bench.records import Trial, TrialStore
from bench.records.locks import Claims


@dataclass(frozen=True)
class TakenOver:
    """A trial that another run on the same folder has made meanwhile."""

    trial: Trial


TrialEvent = Event | Waiting | Trial | TakenOver


@dataclass(frozen=True)
class _Payload:
    cell: Cell
    changes: Mapping[str, Any]
    context: RunContext


def run_trial_task(payload: _Payload) -> Tried:
    """Run a trial in a worker."""
    import_method(payload.cell, payload.context)
    return run_trial(payload.cell, payload.changes, payload.context)


def run_trials(
    wanted: Sequence[tuple[Cell, Mapping[str, Any]]],
    results: Path,
    context: RunContext,
    *,
    execute: Executor[Tried],
    on_event: Callable[[TrialEvent], None],
) -> list[Trial]:
    """Return the trials of all cells with their changes; run and keep those that are missing.

    One that another run on the same folder is making is put aside and taken over from there; it is run here
    only if it has become free without a result.

    Args:
        wanted: cells with the trial's settings, and what was changed.
        results: folder that keeps the trials.
        context: data folder, time limit, and the device as the process sees it that runs a trial.
        execute: runs the trials.
        on_event: receives starts, progress and ended trials.

    Raises:
        StoreError: if trials cannot be written; those before it are kept.
    """
    store = TrialStore(results)
    claims = Claims(store)  # before the trials are read: what comes later is taken over
    known = {trial.identity.digest: trial for trial in store.read()}
    missing = {cell.identity.digest: _Payload(cell, changes, context) for cell, changes in wanted}
    missing = {digest: payload for digest, payload in missing.items() if digest not in known}
    if missing:
        store.prepare()
        with claims:
            run = _TuningRun(missing, store, claims, on_event)
            run.carry_out(execute)
            known |= run.known
    return [known[cell.identity.digest] for cell, _ in wanted]


class _TuningRun:
    """The state of one `run_trials`.

    Attributes:
        known: trials that have ended, here or in another run, by digest.
    """

    def __init__(
        self,
        missing: Mapping[str, _Payload],
        store: TrialStore,
        claims: Claims[TrialStore],
        on_event: Callable[[TrialEvent], None],
    ) -> None:
        self.known: dict[str, Trial] = {}
        self._missing, self._store, self._claims, self._on_event = missing, store, claims, on_event

    def carry_out(self, execute: Executor[Tried]) -> None:
        """Run trials until none is left."""
        if self._claims.unavailable:
            sentence = (
                f"trials cannot be claimed here: {self._claims.unavailable}; two runs may make one twice"
            )
            self._on_event(Notice(sentence))
        tasks = [
            Task(digest, trial.cell.identity.title, trial, admit=partial(self._admit, digest))
            for digest, trial in self._missing.items()
        ]
        while tasks:
            tasks = wait_for_others(
                self._execute(tasks, execute),
                self._claims,
                stop=lambda: False,
                recorded=self._take_over,
                waiting=lambda left: self._on_event(Waiting([self._missing[key].cell for key in left])),
            )

    def _admit(self, digest: str) -> bool:
        return self._claims.take(digest) == "mine"

    def _execute(self, tasks: Sequence[Task], execute: Executor[Tried]) -> list[Task]:
        """Run tasks, keep what ends, and return what another run has."""
        aside = []
        with closing(execute(tasks, run_trial_task, self._on_event)) as outcomes:
            for outcome in outcomes:
                if not outcome.skipped:
                    self._keep(outcome)
                elif self._claims.recorded(outcome.task.key):
                    self._take_over(outcome.task.key)
                else:
                    aside.append(outcome.task)
        return aside

    def _keep(self, outcome: Outcome[Tried]) -> None:
        digest = outcome.task.key
        payload = self._missing[digest]
        tried = outcome.value or _lost(outcome, payload)
        if tried.data_changed:
            cell, data_dir = payload.cell, payload.context.data_dir
            forget_data(cell.source, self._store.folder.parent, data_dir, cell.identity.profile)
        self._store.write(tried.trial, tried.log)
        self._claims.release(digest)
        self.known[digest] = tried.trial
        self._on_event(tried.trial)

    def _take_over(self, digest: str) -> None:
        trial = self._store.get(digest)
        if trial is not None:
            self.known[digest] = trial
            self._on_event(TakenOver(trial))


def _lost(outcome: Outcome[Tried], payload: _Payload) -> Tried:
    """Return the trial whose worker was lost, with what it had printed."""
    assert outcome.lost is not None
    status, reason = status_of(outcome.lost), reason_of(outcome.lost, payload.context.seconds)
    trial = Trial(
        identity=payload.cell.identity,
        changes=dict(payload.changes),
        status=status,
        reason=reason,
        validation_map=None,
        seconds=outcome.seconds,
    )
    return Tried(trial, f"{outcome.output}\n{status}: {reason}\n{outcome.lost.traceback}\n")
