"""Run of a cell of either kind: one that fits a method, or one that reads a file of embeddings."""

from __future__ import annotations

from dataclasses import replace

from bench.contract.context import Progress
from bench.experiment.cell import CellRun, Finished
from bench.experiment.given import GivenRun
from bench.experiment.grid import Cell
from bench.experiment.oracle import OracleRun
from bench.experiment.run_context import RunContext
from bench.records.environment import reset_peak_memory


def run_of(cell: Cell, context: RunContext, progress: Progress | None = None) -> CellRun:
    """Return the run of a cell, which fits a method, once more for an oracle trace, or reads embeddings."""
    if cell.file is not None:
        return GivenRun(cell, context, progress)
    return (OracleRun if context.trace_test else CellRun)(cell, context, progress)


def run_cell(cell: Cell, context: RunContext, progress: Progress | None = None) -> Finished:
    """Run a cell and return its record, also if it fails; only the end of the process is not caught."""
    run = run_of(cell, context, progress)
    reset_peak_memory(context.device)
    result, status, failure = run.attempt(run.result)
    record = cell.record(status, run.environment(), result, failure)
    finished = Finished(record, trace=run.trace.rows, log=run.log.getvalue())
    if result is None:  # an attempt on test data may be noticed only at the end
        return finished
    return replace(finished, per_query=run.per_query, view=run.view, model=run.model)
