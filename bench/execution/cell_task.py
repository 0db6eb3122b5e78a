"""Work functions: run a cell and record it or send its record to the parent, or run a trial."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench import registry
from bench.contract import BenchError
from bench.data.fingerprint import DataChanged
from bench.data.loading import source_of
from bench.data.locations import WORKER_DATA_VARIABLE
from bench.execution.tasks import ImportFailed, WrongMachine
from bench.execution.worker import importing, report
from bench.experiment.conditions import harness_of
from bench.experiment.grid import Cell
from bench.experiment.isolation import isolated
from bench.experiment.reuse import reused
from bench.experiment.run_context import RunContext
from bench.experiment.running import run_cell
from bench.experiment.stale import versions_apart
from bench.experiment.tuning import Search, Tried, run_trial
from bench.records.files import record_files
from bench.records.folders import StoreError
from bench.records.models import without_arrays
from bench.records.schema import Status
from bench.records.store import Store

_LARGEST_SENT: Final = 1 << 29  # bytes of a model that is sent to another machine
PRELOAD = ("torch", "scipy.linalg")
"""Libraries that a worker with a memory limit loads first: they do not count for a cell, and SciPy's OpenBLAS
waits without end for memory that the system refuses while it is loaded."""


@dataclass(frozen=True)
class Payload:
    """A cell and its results folder.

    A worker has the folder only if it finds the mark ``token`` among the records; see `folders.marked`.
    """

    cell: Cell
    context: RunContext
    results: Path
    token: str


@dataclass(frozen=True)
class CellAnswer:
    """The end of a cell.

    Attributes:
        reason: why it has no result; else empty.
        files: the record, if the worker does not have the results folder or cannot write to it; else None.
        data_changed: whether the data differs from that of the plan.
        model: the files of a model, as ``files``.
    """

    status: Status
    reason: str
    files: Mapping[str, bytes] | None
    data_changed: bool = False
    model: Mapping[str, bytes] | None = None


def run_cell_task(payload: Payload) -> CellAnswer:
    """Run a cell and record it, or return its record's files.

    Raises:
        WrongMachine: if this machine lacks the data or the code that the cell was planned with.
        ImportFailed: if the method's plug-in exits when it is imported.
    """
    context = _context_here(payload.cell, payload.context)

    def progress(stage: str, epoch: int, epochs: int, values: dict[str, Any]) -> None:
        report(stage=stage, epoch=epoch, epochs=epochs, validation_map=values.get("validation_map"))

    store = Store(payload.results)
    # The path may be another folder on another machine.
    recorded = (store.runs / payload.token).is_dir()
    finished = reused(payload.cell, context, store) if recorded else None
    finished = finished or run_cell(payload.cell, context, progress)
    record, failure, model = finished.record, finished.record.failure, finished.model
    files = record_files(record, finished.per_query, finished.trace, finished.log, finished.view)
    if recorded:
        try:
            if model:  # first: a cell with a record does not run again
                store.models.put(record.digest, model)
            store.put(record.digest, files)
        except StoreError:  # the run tries again: only this process may have no room, no rights or no files
            recorded = False
    if (size := sum(map(len, model.values()))) > _LARGEST_SENT and not recorded:
        reason = f"{size >> 20} MB are too much to be sent; give the workers access to the results folder"
        model = without_arrays(model, reason)
    return CellAnswer(
        record.status,
        "" if failure is None else failure.reason,
        None if recorded else files,
        failure is not None and failure.kind == DataChanged.__name__,
        None if recorded else model,
    )


def _context_here(cell: Cell, context: RunContext) -> RunContext:
    """Return the context of this machine, after the import of the method's plug-in.

    Raises:
        WrongMachine: if this machine lacks the data or the code that the cell was planned with.
        ImportFailed: if the plug-in exits when it is imported.
    """
    identity = cell.identity
    if (data_dir := os.environ.get(WORKER_DATA_VARIABLE)) is not None:
        context = replace(context, data_dir=Path(data_dir))
    if cell.file is not None:
        path = cell.file.paths[identity.seed]
        if not Path(path).is_file():
            raise WrongMachine(f"this machine lacks {path}, which {identity.title} is read from")
        return context
    if cell.condition_file and not Path(cell.condition_file).is_file():
        raise WrongMachine(f"this machine lacks {cell.condition_file}, which a condition is read from")
    try:
        for plugin in context.plugins:
            registry.add_plugin(plugin)
        registry.method(identity.method)  # raises if it is absent
        other_code = _other_code(identity.method, identity.condition, identity.harness, identity.code)
        kind = source_of(cell.source, context.data_dir).kind
    except BenchError as error:
        raise WrongMachine(f"this machine cannot run {identity.title}: {error}") from error
    if other_code:
        parts = ", ".join(other_code)
        raise WrongMachine(f"{identity.title} was planned with other code than this machine has: {parts}")
    if kind != identity.data_kind:
        raise WrongMachine(
            f"the data of {identity.dataset} is {kind} on this machine but {identity.data_kind} where the "
            "run was started; put its files into the data folder of the worker, or set BENCH_DATA there"
        )
    _import_method(cell, context)
    return context


_IMPORTED: set[str] = set()  # names of imported methods


def _import_method(cell: Cell, context: RunContext) -> None:
    """Import a method's plug-in, as its cell does; the cell records exceptions other than `ImportFailed`."""
    method = cell.identity.method
    if method in _IMPORTED:
        return
    try:
        with isolated(cell.identity, context), importing(f"the method {method}"):
            registry.method_class(method)
    except ImportFailed:
        raise
    except Exception:
        return
    _IMPORTED.add(method)


class Curve(NamedTuple):
    """Trial of a study in a journal, to which validation mAP is reported for the pruner."""

    journal: Path
    study: str
    number: int


@dataclass(frozen=True)
class TrialPayload:
    """A trial: a cell with its settings, and the changed ones; without a ``curve`` it is not pruned."""

    cell: Cell
    changes: Mapping[str, Any]
    context: RunContext
    search: Search
    curve: Curve | None = None


def run_trial_task(payload: TrialPayload) -> Tried:
    """Run a trial.

    Raises:
        ImportFailed: if the method's plug-in exits when it is imported.
    """
    _import_method(payload.cell, payload.context)
    progress = None
    if payload.curve is not None:
        from bench.execution.studies import Pruning  # Optuna

        progress = Pruning(*payload.curve, payload.search.pruner)
    return run_trial(payload.cell, payload.changes, payload.context, payload.search, progress)


@lru_cache(maxsize=1024)
def _other_code(method: str, condition: str, harness: str, code: str) -> tuple[str, ...]:
    """Return which versions of the code differ from those of a cell's plan.

    They are read once, when the process has loaded the code: later edits do not run.
    """
    versions = registry.Versions()
    return versions_apart((harness, code), (harness_of(condition, versions), versions.code(method)))
