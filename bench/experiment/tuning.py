"""Choosing settings on validation data: the same number of trials for every method, never a look at test."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from bench import registry
from bench.data.fingerprint import DataChanged
from bench.evaluation import validation_map
from bench.experiment.cell import CellRun
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext
from bench.records.schema import Trial


def draw_changes(
    method: registry.MethodDescription, defaults: Mapping[str, Any], trials: int, seed: int
) -> list[dict[str, Any]]:
    """Return the changes of settings to try: none at first, then a random choice of the search space.

    The space is `Method.search`; fields that the method does not have, and values that are there already,
    are left out. A small space may give fewer trials than asked for.
    """
    from sklearn.model_selection import ParameterSampler

    space = {key: values for key, values in sorted(method.search.items()) if key in defaults}
    drawn: list[dict[str, Any]] = [{}]
    with warnings.catch_warnings():  # the sampler warns where the whole space is smaller than asked
        warnings.simplefilter("ignore", UserWarning)
        points = list(ParameterSampler(space, n_iter=2 * trials, random_state=seed)) if space else []
    for point in points:
        change = {key: value for key, value in sorted(point.items()) if defaults[key] != value}
        if change not in drawn:
            drawn.append(change)
    return drawn[:trials]


def trial_cells(cells: Sequence[Cell], changes: Mapping[str, Any]) -> list[Cell]:
    """Return the cells with changed settings."""
    identities = [
        msgspec.structs.replace(cell.identity, settings={**cell.identity.settings, **changes})
        for cell in cells
    ]
    return [replace(cell, identity=identity) for cell, identity in zip(cells, identities, strict=True)]


class Tried(NamedTuple):
    """A trial and what it left.

    Attributes:
        trial: of any status.
        log: what the method printed, its warnings, and the traceback of a failure.
        data_changed: whether the data was not what the trial was planned with.
    """

    trial: Trial
    log: str
    data_changed: bool = False


def run_trial(cell: Cell, changes: Mapping[str, Any], context: RunContext) -> Tried:
    """Fit with changed settings and judge the selected state on validation data; test stays sealed."""
    run = CellRun(cell, replace(context, trace_test=False))

    def work() -> float:
        method, dataset, _ = run.fitted()
        maps = validation_map(method, dataset.validation, threads=cell.identity.threads)
        return statistics.fmean(maps.values())

    value, status, failure = run.attempt(work)
    trial = Trial(
        identity=cell.identity,
        changes=dict(changes),
        status=status,
        reason="" if failure is None else failure.reason,
        validation_map=value,
        seconds=run.seconds()["total"],
    )
    return Tried(trial, run.log.getvalue(), failure is not None and failure.kind == DataChanged.__name__)
