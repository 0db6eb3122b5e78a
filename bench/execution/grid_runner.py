"""Runs the missing cells of a grid, and records each in a results folder as it ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Literal

from bench.contract import UsageError
from bench.execution.cell_task import CellAnswer, Payload
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

_GRACE: Final = 0.5  # seconds for a method to end by itself after its time limit
_RETRIED: Final[dict[str, set[Status]]] = {
    "all": set(STATUSES) - {"done", "skipped"},
    "failed": {"failed", "exited", "killed", "lost", "disk-full"},
}
"""Values of ``--retry`` that mean several statuses; each status is a value, too."""


def hard_limit(seconds: float | None) -> float | None:
    """Return the time limit after which a worker is killed.

    It is longer than that of the method, because a method that stops by itself leaves trace and log.
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

    A damaged record counts as none; a cell with one of a later version of this program is left out.
    `Store.problems` has both. A cell that only other code has finished (``stale``) is left out, too, unless
    ``retry`` includes ``stale``.

    Of the words of ``retry``, ``failed`` includes ends other than limits and refusals, ``all`` every status
    but ``done`` and ``skipped``. A finished cell counts as missing if it lacks one of the ``protocols`` (ids
    without ``/gallery``), an oracle trace (``trace_test``), or a model card (``keep_models``).
    """
    again = {status for word in retry for status in _RETRIED.get(word, {word})}
    old = set() if "stale" in retry else set(stale_cells(cells, store) if stale is None else stale)
    statuses = store.statuses()
    kept = {problem.folder.name for problem in store.problems if problem.newer}
    models = store.models.cards() if keep_models else ()
    modelled = {digest for digest, card in models if isinstance(card, ModelCard)}

    def missing(cell: Cell) -> bool:
        digest = cell.identity.digest
        status = statuses.get(digest)
        if status == "done":
            if keep_models and not cell.identity.given and digest not in modelled:
                return True
            result = store.read(digest).result if trace_test or protocols else None
            return result is not None and not has_all(result, protocols, trace_test=trace_test)
        if digest in old:
            return False
        return status in again or (status is None and digest not in kept)

    return [cell for cell in cells if missing(cell)]


def cell_statuses(
    cells: Sequence[Cell], store: Store, unwritten: Collection[str] = ()
) -> dict[str, Status | Literal["missing", "stale"]]:
    """Return the status of each cell, by digest.

    It is ``missing`` without a record, ``stale`` if only other code has finished it, and ``disk-full`` for
    the digests ``unwritten`` of cells without room for their records.
    """
    recorded = store.statuses()
    stale = stale_cells(cells, store, {*recorded, *unwritten})
    statuses: dict[str, Status | Literal["missing", "stale"]] = {}
    for digest in (cell.identity.digest for cell in cells):
        statuses[digest] = recorded.get(digest, "stale" if digest in stale else "missing")
    return statuses | dict.fromkeys(statuses.keys() & {*unwritten}, "disk-full")


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    context: RunContext,
    *,
    execute: Executor[CellAnswer],
    on_event: Callable[[RunEvent], None],
    claims: Claims | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Run cells, the longest first, and record each as it ends; returns how many ended here.

    A cell that fails or ends its process is recorded as such and costs no other cell. ``context`` has the
    device as named in a worker; the limit of ``execute`` is `hard_limit`. An exception of ``on_event`` stops
    the run; once ``stop`` returns True, no further cell starts. Create ``claims`` before calling `remaining`.

    Raises:
        StoreError: if records cannot be written, for another reason than a full disk, or at the start.
        UsageError: if a cell is planned for another kind of device than that of ``context``.
    """
    if not cells:
        return 0
    _require_device(cells, context.device)
    store.prepare()
    by_digest = {cell.identity.digest: cell for cell in cells}
    with claims or Claims(store) as held, marked(store.runs) as token:
        run = RecordWriter(
            cells=by_digest, claims=held, on_event=on_event, stop=stop, store=store, context=context
        )
        tasks = _tasks(by_digest, store, context, token, run.admit)
        on_event(Planned({task.key: task.cost for task in tasks}, held.unavailable))
        try:
            while tasks:
                aside = run.run(tasks, execute)
                run.try_again()
                may_start = run.may_start()
                if aside and not may_start and not stop():
                    on_event(Unstarted([by_digest[task.key] for task in aside]))
                tasks = run.wait(aside) if may_start else []
        finally:
            run.settle()
    return run.ended


def _require_device(cells: Sequence[Cell], device: str) -> None:
    """Raise a UsageError for cells of another kind of device: their identity would be false."""
    for cell in cells:
        if cell.identity.device not in ("", device.partition(":")[0]):
            raise UsageError(
                f"{cell.title} is planned for {cell.identity.device}, but would run on {device}; "
                f"name devices of that kind with --devices {cell.identity.device}"
            )


def _tasks(
    cells: Mapping[str, Cell], store: Store, context: RunContext, token: str, admit: Callable[[str], bool]
) -> list[Task]:
    """Return a task per cell; one that is finished keeps its protocols, traces and models."""
    expected, statuses = expect([*cells.values()], store), store.statuses()
    modelled = {*store.models.digests()}
    tasks = []
    for digest, cell in cells.items():
        extended = context
        if statuses.get(digest) == "done":
            extended = keeping(context, store.read(digest).result)
            extended = replace(extended, keep_models=context.keep_models or digest in modelled)
        payload = Payload(cell, extended, store.root.resolve(), token)
        memory = None if context.device == "cpu" else expected[digest].memory
        seconds = expected[digest].seconds
        tasks.append(Task(digest, cell.title, payload, seconds, memory, partial(admit, digest)))
    return tasks
