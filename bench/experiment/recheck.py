"""Checks a kept model against its record: loads it, and evaluates it on the test split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.contract import Dataset, Method, sealed_test
from bench.evaluation import Evaluation
from bench.experiment.cell import CellRun, Fitted, Selection
from bench.experiment.grid import Cell
from bench.experiment.models import load_method
from bench.experiment.refit import RefitFailed
from bench.experiment.run_context import RunContext, keeping
from bench.records.schema import Record, Series


class Rechecked(NamedTuple):
    """The part of a record that its model can give again, and what it gives.

    Attributes:
        old: the record with the numbers of its selected state alone.
        new: the same with the numbers that come out now.
        per_query: average precisions now, by series.
    """

    old: Record
    new: Record
    per_query: Mapping[Series, NDArray[np.float64]]


class _StoredRun(CellRun):
    """The run of a cell whose method is loaded."""

    folder: Path

    def selection(self) -> Selection:
        """Load data and model; what was selected is in the record."""
        with sealed_test():
            dataset = self._load()
            with self._stage("load_model", limited=False):
                method = load_method(self.folder, device=self._context.device).method
        return Selection(Fitted(method, dataset, dataset.train), {}, [], {}, "a kept model was loaded")

    def _draw(self, method: Method, dataset: Dataset, shown: Evaluation, *, restore: bool) -> None:
        """Take no snapshot."""


def recheck(record: Record, cell: Cell, folder: Path, data_dir: Path, device: str = "cpu") -> Rechecked:
    """Evaluate the model of a finished record as a run does.

    Args:
        record: finished.
        cell: of the record, see `cell_of`.
        folder: of the model.
        data_dir: folder of the data files.
        device: torch name of the device.

    Raises:
        RefitFailed: if that fails; one sentence.
    """
    assert record.result is not None
    known, rule = record.result, record.result.selection
    context = keeping(RunContext(data_dir=data_dir.resolve(), device=device), known)
    run = _StoredRun(cell, replace(context, trace_test=False))
    run.folder = folder
    found, status, failure = run.attempt(run.result)
    if found is None or failure is not None:
        raise RefitFailed(f"its model: {status}: {'' if failure is None else failure.reason}")
    metrics = [msgspec.structs.replace(metric, selection=rule) for metric in found.metrics]
    before = msgspec.structs.replace(
        known,
        metrics=[metric for metric in known.metrics if metric.selection == rule],
        zero_rows={name: counts for name, counts in known.zero_rows.items() if name == rule},
        refused={},
    )
    zero_rows = {rule: next(iter(found.zero_rows.values()))} if found.zero_rows else {}
    after = msgspec.structs.replace(before, metrics=metrics, zero_rows=zero_rows)
    return Rechecked(
        msgspec.structs.replace(record, result=before),
        msgspec.structs.replace(record, result=after, environment=run.environment()),
        {Series(rule, *rest): np.asarray(values) for (_, *rest), values in run.per_query.items()},
    )
