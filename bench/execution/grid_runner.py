"""Runs the cells of a grid that are missing in a results folder, and records each as it ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Literal

from bench.contract import UsageError
from bench.execution.cell_task import CellAnswer, Payload, run_cell_task
from bench.execution.claimed_tasks import ClaimedTasks, never
from bench.execution.progress import Planned, RunEvent, Unstarted
from bench.execution.record_writer import RecordWriter
from bench.execution.tasks import Executor, Task
from bench.experiment.cost import expect
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext, has_all, keeping
from bench.experiment.stale import Stale, stale_cells
from bench.records.folders import marked
from bench.records.locks import Claims
from bench.records.models import ModelCard
from bench.records.schema import STATUSES, Status
from bench.records.store import Store

_GRACE: Final = 0.5
"""Seconds that a method which has noticed its time limit gets to end by itself."""

_RETRIED: Final[dict[str, set[Status]]] = {
    "all": set(STATUSES) - {"done", "skipped"},
    "failed": {"failed", "exited", "killed", "lost", "disk-full"},
}
"""Values of ``--retry`` that mean several statuses; each status is a value, too."""


def hard_limit(seconds: float | None) -> float | None:
    """Return when a worker is killed: a moment after the time in which a method can stop by itself.

    A method that watches its deadline leaves its trace and its log; a killed one leaves nothing.
    """
    return None if seconds is None else seconds + _GRACE


def remaining(
    cells: Sequence[Cell],
    store: Store,
    retry: Sequence[str] = (),
    *,
    trace_test: bool = False,
    keep_models: bool = False,
    protocols: Collection[str] = (),
    stale: Mapping[str, Stale] | None = None,
) -> list[Cell]:
    """Return the cells that have no record yet, or one that is to be made again.

    A damaged record counts as none; one of a later version of this program is not ours to replace, so
    its cell is left out. `Store.problems` names both. A cell that only other code has finished is left alone,
    too: it may have taken weeks.

    Args:
        cells: all that are wanted.
        store: where records are.
        retry: statuses to run again; ``failed`` also for the other ends that are no limit's and no refusal's
            (exited, killed, lost, disk-full), ``all`` for every one but ``done`` and ``skipped``, ``stale``
            for the cells that only other code has finished.
        trace_test: a finished cell without an oracle trace counts as missing.
        keep_models: so does one without a model, unless it is known why it has none.
        protocols: ids without ``/gallery``; a finished cell that lacks one counts as missing.
        stale: what `stale_cells` gives; None to look it up.
    """
    again = {status for word in retry for status in _RETRIED.get(word, {word})}
    left_alone = set() if "stale" in retry else set(stale_cells(cells, store) if stale is None else stale)
    statuses = store.statuses()
    kept = {problem.folder.name for problem in store.problems if problem.newer}
    without_model = _without_model(cells, store) if keep_models else set()

    def missing(digest: str) -> bool:
        status = statuses.get(digest)
        if status == "done" and digest in without_model:
            return True
        if status == "done":
            result = store.read(digest).result if trace_test or protocols else None
            if result is None:
                return False
            return not has_all(result, protocols, trace_test=trace_test)
        if digest in left_alone:
            return False
        return status in again or (status is None and digest not in kept)

    return [cell for cell in cells if missing(cell.identity.digest)]


def _without_model(cells: Sequence[Cell], store: Store) -> set[str]:
    """Return the digests of cells that were to keep a model and of which nothing is known."""
    known = {digest for digest, card in store.models.cards() if isinstance(card, ModelCard)}
    return {cell.identity.digest for cell in cells if not cell.identity.given} - known


def standings(
    cells: Sequence[Cell], store: Store, unwritten: Collection[str] = ()
) -> dict[str, Status | Literal["missing", "stale"]]:
    """Return the status of each of the cells, by digest.

    It is ``missing`` where there is no record, and ``stale`` where only other code has a finished one.

    Args:
        cells: that are asked for.
        store: where records are.
        unwritten: digests of cells that ended without room for their records: these are ``disk-full``.
    """
    recorded = store.statuses()
    stale = stale_cells(cells, store, {*recorded, *unwritten})
    digests = [cell.identity.digest for cell in cells]
    return {
        digest: "disk-full"
        if digest in unwritten
        else recorded.get(digest, "stale" if digest in stale else "missing")
        for digest in digests
    }


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    context: RunContext,
    *,
    execute: Executor[CellAnswer],
    on_event: Callable[[RunEvent], None],
    claims: Claims[Store] | None = None,
    stop: Callable[[], bool] = never,
) -> int:
    """Run cells and record each as it ends; returns how many ended here.

    A cell that fails or takes its process with it is recorded as such and costs no other cell.

    Args:
        cells: to run; the longest start first.
        store: where to record.
        context: data folder, time limit, and the device as the process sees it that runs a cell.
        execute: runs the cells; `hard_limit` says when it must stop one.
        on_event: receives starts, progress and ends; what it raises stops the run.
        claims: made before it was looked up what is missing; None to make them now.
        stop: asked often; once it returns True no cell starts any more.

    Raises:
        StoreError: if records cannot be written, for another reason than a full disk, or from the start.
        UsageError: if a cell is planned for another kind of device than that of ``context``.
    """
    if not cells:
        return 0
    _require_device(cells, context)
    store.prepare()
    by_digest = {cell.identity.digest: cell for cell in cells}
    with claims or Claims(store) as held, marked(store.runs) as token:
        writer = RecordWriter(by_digest, store, context, held, on_event)
        run = ClaimedTasks(by_digest, run_cell_task, held, on_event, writer.take, writer.take_over)
        run.stop, run.may_start = stop, writer.may_start
        tasks = _tasks(by_digest, store, context, token, run.admit)
        on_event(Planned({task.key: task.cost for task in tasks}, held.unavailable))
        try:
            while tasks:
                aside = run.run(tasks, execute)
                writer.try_again()
                may_start = writer.may_start()
                if aside and not may_start and not stop():
                    on_event(Unstarted([by_digest[task.key] for task in aside]))
                tasks = run.wait(aside) if may_start else []
        finally:
            writer.settle()
    return writer.ended


def _tasks(
    cells: Mapping[str, Cell], store: Store, context: RunContext, token: str, admit: Callable[[str], bool]
) -> list[Task]:
    """Return a task per cell, which keeps the numbers of a finished one; ``token`` marks the records."""
    expected, statuses = expect([*cells.values()], store), store.statuses()
    done = {digest for digest in cells if statuses.get(digest) == "done"}
    modelled = {*store.models.digests()}  # a record that is made again is that of its model
    contexts = {
        digest: replace(
            keeping(context, store.read(digest).result),
            keep_models=context.keep_models or digest in modelled,
        )
        for digest in done
    }
    return [
        Task(
            digest,
            cell.title,
            Payload(cell, contexts.get(digest, context), store.root.resolve(), token),
            expected[digest].seconds,
            None if context.device == "cpu" else expected[digest].memory,
            partial(admit, digest),
        )
        for digest, cell in cells.items()
    ]


def _require_device(cells: Sequence[Cell], context: RunContext) -> None:
    """Refuse cells of another kind of device: their identity would be false.

    Raises:
        UsageError: for the first such cell.
    """
    kind = context.device.partition(":")[0]
    for cell in cells:
        if cell.identity.device not in ("", kind):
            raise UsageError(
                f"{cell.title} is planned for {cell.identity.device}, but would run on {context.device}; "
                f"name devices of that kind with --devices {cell.identity.device}"
            )
