"""Runs the missing trials of `tune`, and records each in a results folder as it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.execution.cell_task import Curve, TrialPayload, run_trial_task
from bench.execution.claimed_tasks import ClaimedTasks
from bench.execution.data_check import forget_data
from bench.execution.progress import LeftOut, Waiting
from bench.execution.record_writer import STATUS_OF, reason_of
from bench.execution.tasks import Event, Executor, Notice, Outcome, Task
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext
from bench.experiment.tuning import Search, Tried
from bench.records import Trial, TrialStore
from bench.records.locks import Claims

if TYPE_CHECKING:
    from bench.execution.studies import Study


@dataclass(frozen=True)
class TakenOver:
    """A trial that another run on the same folder has recorded."""

    trial: Trial


TrialEvent = Event | Waiting | LeftOut | Trial | TakenOver


def run_trials(
    subjects: Sequence[Sequence[Cell]],
    search: Search,
    results: Path,
    context: RunContext,
    *,
    execute: Executor[Tried],
    on_event: Callable[[TrialEvent], None],
    slots: int = 1,
) -> list[Trial]:
    """Return the trials of a search, the same for all methods, after running those that are missing.

    The ``subjects`` are, of each method, its cells with the settings that trials start from. As many trials
    run at once as there are ``slots``, on the device of ``context``.

    Raises:
        StoreError: if trials cannot be written; earlier ones are kept.
        DataError: if the journal of Optuna is damaged.
    """
    from bench.execution import studies  # imports Optuna, which takes long

    store = TrialStore(results)
    claims = Claims(store)  # before the trials are read: later ones count as recorded by another run
    known = {trial.digest: trial for trial in store.read()}
    store.prepare()
    with claims:
        if claims.unavailable:
            reason = f"trials cannot be claimed here: {claims.unavailable}; two runs may make one twice"
            on_event(Notice(reason))
        choosing = partial(studies.choosing, store.claims / "studies", store.journal)
        with choosing():
            storage = studies.open_journal(store.journal)
            opened = [studies.Study(cells, search, storage) for cells in subjects]
        run = _Run(opened, search, store, context, known, cells={}, claims=claims, on_event=on_event)
        run.complete(execute, choosing, width=max(1, slots // max(1, len(opened))))
    cells = (cell for study in opened for point in study.points() for cell in point.cells)
    digests = (search.digest(cell.identity) for cell in cells)
    return [known[digest] for digest in digests if digest in known]


@dataclass
class _Run(ClaimedTasks):
    """The trials of a search; those that have ended, here or in another run, are ``known``."""

    work = staticmethod(run_trial_task)
    studies: Sequence[Study]
    search: Search
    store: TrialStore
    context: RunContext
    known: dict[str, Trial]

    def complete(
        self, execute: Executor[Tried], choosing: Callable[[], AbstractContextManager[None]], width: int
    ) -> None:
        """Run open trials and choose further ones, until none is missing."""
        while True:
            tasks = [*self.tasks()]
            aside = self.run(tasks, execute) if tasks else []
            with choosing():
                for study in self.studies:
                    study.tell(self.known)
                if len(aside) < len(tasks):
                    continue  # further trials depend on the results of these
                asked = [study.ask(width) for study in self.studies if study.method not in self.left_out]
            if aside and not any(asked):
                self.wait(aside)  # the next tasks include those that are free then
            elif not any(asked) and next(self.tasks(), None) is None:
                return  # another run may have asked for a trial meanwhile

    def tasks(self) -> Iterator[Task]:
        """Yield the tasks of missing trials.

        With a pruner, the other cells of a trial follow only if the first was not stopped.
        """
        pruner = self.search.pruner != "none"
        for study in self.studies:
            for point in study.points() if study.method not in self.left_out else ():
                first = self.known.get(self.search.digest(point.cells[0].identity))
                if first is not None and first.status == "pruned":
                    continue
                for cell in point.cells[:1] if pruner and first is None else point.cells:
                    digest = self.search.digest(cell.identity)
                    if digest in self.known:
                        continue
                    curve = None
                    if pruner and cell is point.cells[0]:
                        curve = Curve(self.store.journal.resolve(), study.name, point.number)
                    payload = TrialPayload(cell, point.changes, self.context, self.search, curve)
                    self.cells[digest] = cell
                    yield Task(digest, cell.identity.title, payload, admit=partial(self.admit, digest))

    def keep(self, outcome: Outcome[Tried]) -> None:
        """Write the trial of an ended task."""
        digest, payload = outcome.task.key, outcome.task.payload
        tried = outcome.value or _lost(outcome, payload)
        if tried.data_changed:
            cell, data_dir = payload.cell, payload.context.data_dir
            forget_data(cell.source, self.store.folder.parent, data_dir, cell.identity.profile)
        self.store.write(tried.trial, tried.log)
        self.claims.release(digest)
        self.known[digest] = tried.trial
        self.on_event(tried.trial)

    def take_over(self, digest: str) -> None:
        """Use the trial of another run."""
        trial = self.store.get(digest)
        if trial is not None:
            self.known[digest] = trial
            self.on_event(TakenOver(trial))


def _lost(outcome: Outcome[Tried], payload: TrialPayload) -> Tried:
    """Return the trial of a lost task, with its output."""
    assert outcome.lost is not None
    status = STATUS_OF[outcome.lost.kind]
    reason = reason_of(outcome.lost, payload.context.seconds)
    trial = Trial(
        identity=payload.cell.identity,
        changes=dict(payload.changes),
        status=status,
        reason=reason,
        validation_map=None,
        seconds=outcome.seconds,
        sampler=payload.search.sampler,
        pruner=payload.search.pruner,
    )
    return Tried(trial, f"{outcome.output}\n{status}: {reason}\n{outcome.lost.traceback}\n")
