"""The work on a cell, as a worker does it: run it and record it, or hand the record back where it cannot."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench import registry
from bench.contract import BenchError
from bench.data.fingerprint import DataChanged
from bench.data.source import WORKER_DATA_VARIABLE, source_of
from bench.execution.tasks import Misplaced
from bench.execution.worker import report
from bench.experiment.cell import run_cell
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext
from bench.experiment.stale import versions_apart
from bench.records.folders import DiskFull
from bench.records.schema import Status
from bench.records.store import Store, record_files


@dataclass(frozen=True)
class Payload:
    """What a worker needs to run a cell and to record it.

    Attributes:
        cell: to run.
        place: device, data folder, limits.
        results: the results folder, where this path leads to it.
        token: name of what marks that folder among the records; see `folders.marked`.
    """

    cell: Cell
    place: RunContext
    results: Path
    token: str


@dataclass(frozen=True)
class CellAnswer:
    """How a cell ended.

    Attributes:
        status: of its record.
        reason: why it has no result; empty where it has one.
        files: the record, where the worker does not see the results folder or found no room in it; None
            where it is recorded.
        data_changed: whether the data was not what the cell was planned with.
    """

    status: Status
    reason: str
    files: Mapping[str, bytes] | None
    data_changed: bool = False


def work(payload: Payload) -> CellAnswer:
    """Run a cell and record it, or return its record's files.

    Raises:
        Misplaced: if this machine lacks the data or the code that the cell was planned with.
        StoreError: if the results folder is here but cannot be written, for another reason than a full disk.
    """
    place = _place_here(payload)

    def progress(stage: str, epoch: int, epochs: int, values: dict[str, Any]) -> None:
        report(stage=stage, epoch=epoch, epochs=epochs, validation_map=values.get("validation_map"))

    finished = run_cell(payload.cell, place, progress)
    record = finished.record
    files = record_files(record, finished.per_query, finished.trace, finished.log, finished.view)
    store = Store(payload.results)
    # The path may exist on another machine and be another folder there: only the token tells.
    recorded = (store.runs / payload.token).is_dir() and _put(record.digest, files, store)
    failure = record.failure
    return CellAnswer(
        record.status,
        "" if failure is None else failure.reason,
        None if recorded else files,
        failure is not None and failure.kind == DataChanged.__name__,
    )


def _put(digest: str, files: Mapping[str, bytes], store: Store) -> bool:
    """Write a record; False if the disk has no room for it, which is for the run to deal with."""
    try:
        store.put(digest, files)
    except DiskFull:
        return False
    return True


@lru_cache(maxsize=1024)
def _other_code(method: str, harness: str, code: str) -> tuple[str, ...]:
    """Return which versions of the code are others here than those that a cell was planned with.

    They are looked up once per process, which has just loaded the code: what is edited later does not run.
    """
    versions = registry.Versions()
    planned = (harness, code)
    return versions_apart(planned, (versions.harness, versions.code(method)))


def _place_here(payload: Payload) -> RunContext:
    """Return the run context as it is on this machine.

    Raises:
        Misplaced: see `work`.
    """
    identity, place = payload.cell.identity, payload.place
    elsewhere = os.environ.get(WORKER_DATA_VARIABLE)
    if elsewhere is not None:
        place = replace(place, data_dir=Path(elsewhere))
    try:
        for plugin in place.plugins:
            registry.add_plugin(plugin)
        registry.method(identity.method)  # whether it is here
        other_code = _other_code(identity.method, identity.harness, identity.code)
        kind = source_of(payload.cell.source, place.data_dir).kind
    except BenchError as error:
        raise Misplaced(f"this machine cannot run {identity.title}: {error}") from error
    if other_code:
        raise Misplaced(f"{identity.title} was planned with other code than is here: {', '.join(other_code)}")
    if kind != identity.data_kind:
        raise Misplaced(
            f"the data of {identity.dataset} is {kind} on this machine but {identity.data_kind} where the "
            "run was started; put its files where the worker finds them, or tell it where by BENCH_DATA"
        )
    return place
