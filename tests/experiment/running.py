"""Cells of one method, run in this process for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import registry
from bench.experiment.cell import Finished
from bench.experiment.run_context import RunContext
from bench.experiment.running import run_cell
from bench.records import Record, Result
from bench.records.snapshot import Snapshot
from tests.grid import cells_of


def context(**options: Any) -> RunContext:
    """Return a context with the plug-ins that are registered."""
    return RunContext(plugins=registry.plugins(), **options)


def run(
    method: str, bundle: Path, where: RunContext | None = None, /, seed: int = 0, **overrides: Any
) -> Finished:
    """Run a cell of a bundle; ``overrides`` are settings."""
    (cell,) = cells_of([method], bundle, seeds=[seed], **overrides)
    return run_cell(cell, where or context())


def done(finished: Finished | Record) -> Result:
    """Return the result of a cell that is done."""
    record = finished if isinstance(finished, Record) else finished.record
    assert record.result is not None, record.failure
    return record.result


def seen(finished: Finished) -> Snapshot:
    """Return the snapshot of a cell that is done."""
    assert finished.view is not None, finished.log
    return finished.view
