"""Choice of settings on validation data: the same number of trials for every method, test data sealed."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec

from bench import registry
from bench.contract.context import Progress
from bench.data.fingerprint import DataChanged
from bench.evaluation import validation_map
from bench.experiment.cell import CellRun
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext
from bench.records.schema import Identity
from bench.records.trials import Pruner, Sampler, Trial, trial_digest


@dataclass(frozen=True)
class Search:
    """A search for settings, the same for every method.

    Attributes:
        trials: number of trials of each method; one that the pruner stops counts.
        sampler: rule that chooses the settings of a trial.
        pruner: rule that stops trials early.
    """

    trials: int = 8
    sampler: Sampler = "random"
    pruner: Pruner = "none"

    def digest(self, identity: Identity) -> str:
        """Return the digest of the trial of a cell in this search."""
        return trial_digest(identity, self.sampler, self.pruner)


class Pruned(Exception):
    """Raised within a fit, after an epoch, to stop a trial."""


def draw_changes(
    method: registry.MethodDescription, defaults: Mapping[str, Any], trials: int, seed: int
) -> list[dict[str, Any]]:
    """Return the changes of settings to try: none at first, then a random choice of the search space.

    The space is `Method.search` without unknown settings and default values. A small space may give fewer
    trials.
    """
    import numpy as np
    from sklearn.model_selection import ParameterSampler

    space = {key: values for key, values in sorted(method.search.items()) if key in defaults}
    drawn: list[dict[str, Any]] = [{}]
    with warnings.catch_warnings():  # the sampler warns where the whole space is smaller than asked
        warnings.simplefilter("ignore", UserWarning)
        points = list(ParameterSampler(space, n_iter=2 * trials, random_state=seed)) if space else []
    # Where few points are left out, the sampler leaves them in the order of the space.
    for index in np.random.default_rng(seed).permutation(len(points)):
        point = points[index]
        change = {key: value for key, value in sorted(point.items()) if defaults[key] != value}
        if change not in drawn:
            drawn.append(change)
    return drawn[:trials]


def trial_cells(cells: Sequence[Cell], changes: Mapping[str, Any]) -> list[Cell]:
    """Return the cells with changed settings."""

    def changed(identity: Identity) -> Identity:
        return msgspec.structs.replace(identity, settings={**identity.settings, **changes})

    return [replace(cell, identity=changed(cell.identity)) for cell in cells]


class Tried(NamedTuple):
    """A trial and its log.

    Attributes:
        trial: of any status.
        log: what the method printed, its warnings, and the traceback of a failure.
        data_changed: whether the data was not what the trial was planned with.
    """

    trial: Trial
    log: str
    data_changed: bool = False


def run_trial(
    cell: Cell,
    changes: Mapping[str, Any],
    context: RunContext,
    search: Search | None = None,
    progress: Progress | None = None,
) -> Tried:
    """Fit with changed settings and judge the selected state on validation data; test stays sealed.

    ``progress``, called after every epoch, may raise `Pruned`. Without a ``search`` the trial is of a random
    one.
    """
    search = search or Search()
    run = CellRun(cell, context, progress)

    def work() -> tuple[float | None, str]:
        try:
            method, dataset, _ = run.fitted()
        except Pruned as stop:
            return None, str(stop)
        maps = validation_map(method, dataset.validation, threads=cell.identity.threads)
        return statistics.fmean(maps.values()), ""

    outcome, status, failure = run.attempt(work)
    value, reason = outcome or (None, "" if failure is None else failure.reason)
    trial = Trial(
        identity=cell.identity,
        changes=dict(changes),
        status="pruned" if status == "done" and value is None else status,
        reason=reason,
        validation_map=value,
        seconds=run.seconds()["total"],
        sampler=search.sampler,
        pruner=search.pruner,
    )
    return Tried(trial, run.log.getvalue(), failure is not None and failure.kind == DataChanged.__name__)
