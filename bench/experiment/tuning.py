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
from bench.experiment.cell import CellRun, captured
from bench.experiment.failures import failure_of
from bench.experiment.grid import Cell
from bench.experiment.isolation import isolated
from bench.experiment.run_context import RunContext
from bench.records.schema import Status
from bench.records.trials import Trial


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
    if space:
        with warnings.catch_warnings():  # the sampler warns where the whole space is smaller than asked
            warnings.simplefilter("ignore", UserWarning)
            sampler = ParameterSampler(space, n_iter=2 * trials, random_state=seed)
            points = list(sampler)
        for point in points:
            change = {key: value for key, value in sorted(point.items()) if defaults[key] != value}
            if change not in drawn:
                drawn.append(change)
    return drawn[:trials]


def trial_cells(cells: Sequence[Cell], changes: Mapping[str, Any]) -> list[Cell]:
    """Return the cells with changed settings."""
    return [
        replace(
            cell,
            identity=msgspec.structs.replace(cell.identity, settings={**cell.identity.settings, **changes}),
        )
        for cell in cells
    ]


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


def run_trial(cell: Cell, changes: Mapping[str, Any], place: RunContext) -> Tried:
    """Fit with changed settings and judge the selected state on validation data; test stays sealed."""
    run = CellRun(cell, replace(place, trace_test=False), None)
    status: Status = "done"
    reason, value, kind = "", None, ""
    with captured(run.log):
        try:
            with isolated(cell.identity, place):
                method, dataset, _ = run.fitted()
                maps = validation_map(method, dataset.validation, threads=cell.identity.threads)
            value = statistics.fmean(maps.values())
        except Exception as error:
            status, failure = failure_of(error, place.max_memory)
            reason, kind = failure.reason, failure.kind
            print(f"{status}: {reason}", failure.traceback, sep="\n", file=run.log)
    trial = Trial(
        identity=cell.identity,
        changes=dict(changes),
        status=status,
        reason=reason,
        validation_map=value,
        seconds=run.clock.total()["total"],
    )
    return Tried(trial, run.log.getvalue(), kind == DataChanged.__name__)
