"""Studies of Optuna: the choice of settings for trials, and pruning.

A results folder has one journal of Optuna for all processes, with Optuna's choices and the curves that its
pruners compare. Results are in the trials (`bench.records.trials`), from which a lost journal is rebuilt.
This module imports Optuna.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from bench import registry
from bench.contract.context import Value
from bench.contract.errors import DataError
from bench.experiment.grid import Cell
from bench.experiment.tuning import Pruned, Search, draw_changes, trial_cells
from bench.records.folders import explain
from bench.records.locks import exclusive
from bench.records.trials import Pruner
from bench.records.trials import Trial as TrialRecord

FIRST_EPOCHS: Final = 3
"""Epochs of every trial that are not pruned."""

FIRST_TRIALS: Final = 4
"""Trials of a study that are drawn at random and not pruned."""

_REPEATS: Final = "repeats"
"""User attribute of a trial with the settings of an earlier one: the number of that."""

_ASKED: Final = 3  # attempts of a sampler at new settings before they are drawn at random
_GRACE: Final = 30  # seconds without a change after which the lock of a journal is ignored


class _Lock(JournalFileOpenLock):
    """Lock of a journal: a file, without locks of the kernel.

    An unfinished line at the journal's end, of a killed process or a full disk, is cut off: Optuna could not
    read the lines after it.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal), _GRACE)
        self._journal = journal

    def acquire(self) -> bool:
        acquired = super().acquire()
        with self._journal.open("r+b") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 1))
            if file.read(1) not in (b"\n", b""):
                file.truncate(self._journal.read_bytes().rfind(b"\n") + 1)
        return acquired


def open_journal(journal: Path) -> JournalStorage:
    """Open a journal, which is created if it is absent.

    Raises:
        DataError: if it is damaged.
        OSError: if it cannot be read or written.
    """
    if journal.exists() and not journal.is_file():  # a pipe would never be read to its end
        raise DataError(f"{journal} is no file; remove it: finished trials are kept beside it")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    backend = JournalFileBackend(str(journal), _Lock(journal))
    try:
        return JournalStorage(backend)
    except OSError:
        raise
    except Exception as error:  # Optuna does not check the content
        raise DataError(
            f"{journal} is not a journal of Optuna any more; remove it: finished trials are kept beside it"
        ) from error


@dataclass(frozen=True)
class Point:
    """Settings to try: a trial of Optuna.

    Attributes:
        number: in its study, from 0.
        changes: of the settings that trials start from.
        cells: with these settings, of every seed and set of modalities.
        open: whether it has no result yet.
    """

    number: int
    changes: Mapping[str, Any]
    cells: Sequence[Cell]
    open: bool


class Study:
    """The trials of a method on a dataset, shared by processes on the same folder.

    The first trial has the usual settings. Those of random search are drawn with a fixed seed in advance;
    other samplers are asked one trial after another, and never repeat settings.
    """

    def __init__(self, cells: Sequence[Cell], search: Search, storage: BaseStorage) -> None:
        """Open or create the study of a search in a journal.

        The ``cells``, of every seed and set of modalities, have the settings that trials start from.
        """
        self.method = cells[0].identity.method
        self._cells, self._search = cells, search
        self._usual = cells[0].identity.settings
        description = registry.method(self.method)
        space = {key: values for key, values in sorted(description.search.items()) if key in self._usual}
        self._values = {
            key: {_label(value): value for value in [*values, self._usual[key]]}
            for key, values in space.items()
        }
        self._space = {key: CategoricalDistribution([*values]) for key, values in self._values.items()}
        self._drawn: list[Mapping[str, Any]] = [{}]
        if search.sampler == "random":
            self._drawn = [*draw_changes(description, self._usual, search.trials, seed=0)]
        about = [search.sampler, search.pruner, space, [cell.identity.digest for cell in cells]]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:8]
        self.name = (
            f"{self.method} on {cells[0].identity.dataset} ({search.sampler}, {search.pruner}) {digest}"
        )
        self._study = optuna.create_study(
            storage=storage,
            sampler=RandomSampler(),
            study_name=self.name,
            direction="maximize",
            load_if_exists=True,
        )

    def points(self) -> list[Point]:
        """Return the settings of the search in order; a longer study begins with them."""
        points = [self._point(trial) for trial in self._trials()]
        if self._search.sampler == "random":
            by_changes = {_text(point.changes): point for point in points}
            points = [by_changes[text] for text in map(_text, self._drawn) if text in by_changes]
        return points[: self._search.trials]

    def ask(self, width: int) -> int:
        """Choose further settings, at most ``width`` if they depend on results; return their number."""
        known = {_text(self._point(trial).changes) for trial in self._trials()}
        drawn = [changes for changes in self._drawn if _text(changes) not in known]
        if self._search.pruner != "none":
            drawn = drawn[:width]
        for changes in drawn:
            params = {key: _label({**self._usual, **changes}[key]) for key in self._space}
            running = optuna.trial.create_trial(
                state=TrialState.RUNNING, params=params, distributions={**self._space}
            )
            self._study.add_trial(running)
        if self._search.sampler == "random":
            return len(drawn)
        size = math.prod(len(values) for values in self._values.values())
        further = range(len(known) + len(drawn), min(len(known) + width, self._search.trials, size))
        for _ in further:
            self._ask_new()
        return len(drawn) + len(further)

    def tell(self, known: Mapping[str, TrialRecord]) -> None:
        """Report the results of trials to Optuna if all their cells are ``known``, by digest."""
        for point in self.points():
            digests = [self._search.digest(cell.identity) for cell in point.cells]
            ended = [known[digest] for digest in digests if digest in known]
            if not point.open:
                continue
            if any(trial.status == "pruned" for trial in ended):
                self._study.tell(point.number, state=TrialState.PRUNED)
            elif len(ended) == len(digests):
                values = [trial.validation_map for trial in ended if trial.validation_map is not None]
                if len(values) < len(ended):
                    self._study.tell(point.number, state=TrialState.FAIL)
                else:
                    self._study.tell(point.number, statistics.fmean(values))

    def _ask_new(self) -> None:
        """Ask Optuna for settings without a trial."""
        for attempt in range(1_000_000):
            trials = self._study.get_trials(deepcopy=False)
            earlier = {
                _text(trial.params): trial.number for trial in trials if _REPEATS not in trial.user_attrs
            }
            # The seed depends on the number of trials: after a kill, the same settings are chosen.
            seed = len(trials)
            self._study.sampler = (
                TPESampler(seed=seed, n_startup_trials=FIRST_TRIALS, constant_liar=True)
                if attempt < _ASKED
                else RandomSampler(seed=seed)
            )
            trial = self._study.ask(dict(self._space))
            number = earlier.get(_text(trial.params))
            if number is None:
                return
            trial.set_user_attr(_REPEATS, number)
            self._study.tell(trial, state=TrialState.FAIL)

    def _trials(self) -> list[FrozenTrial]:
        return [trial for trial in self._study.get_trials(deepcopy=False) if _REPEATS not in trial.user_attrs]

    def _point(self, trial: FrozenTrial) -> Point:
        values = {key: self._values[key][label] for key, label in trial.params.items()}
        changes = {key: value for key, value in sorted(values.items()) if value != self._usual[key]}
        return Point(trial.number, changes, trial_cells(self._cells, changes), not trial.state.is_finished())


@contextmanager
def choosing(lock: Path, journal: Path) -> Iterator[None]:
    """Let only one process at a time run the body, which changes studies.

    Raises:
        StoreError: if the journal cannot be written.
    """
    try:
        with exclusive(lock), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    except OSError as error:
        raise explain(error, journal.parent) from error


class Pruning:
    """Callable for the end of every epoch: reports validation mAP to the pruner, which may stop the trial."""

    def __init__(self, journal: Path, study: str, number: int, pruner: Pruner) -> None:
        """Load the trial of this number in a study of a journal."""
        rule: optuna.pruners.BasePruner = optuna.pruners.MedianPruner(n_startup_trials=FIRST_TRIALS)
        if pruner == "hyperband":
            rule = optuna.pruners.HyperbandPruner()
        loaded = optuna.load_study(
            study_name=study, storage=open_journal(journal), sampler=RandomSampler(), pruner=rule
        )
        self._trial = Trial(loaded, loaded.get_trials(deepcopy=False)[number]._trial_id)
        self._pruner = pruner
        self._epochs = 0

    def __call__(self, stage: str, epoch: int, epochs: int, values: dict[str, Value]) -> None:
        """Report the values of an epoch, unless its stage has no validation.

        Raises:
            Pruned: if the trial is to stop.
        """
        if "validation_map" not in values:
            return
        self._epochs += 1
        value = values["validation_map"]
        if value is None:  # embeddings that cannot be ranked; later ones may be
            return
        with warnings.catch_warnings():  # a killed process may have reported this epoch
            warnings.simplefilter("ignore")
            self._trial.report(float(value), self._epochs - 1)
        first = self._trial.number < FIRST_TRIALS or self._epochs < FIRST_EPOCHS
        if not first and self._trial.should_prune():
            raise Pruned(f"stopped after {self._epochs} epochs by the pruner: {self._pruner}")


def _label(value: Any) -> bool | int | float | str | None:
    """Return the representation of a value in Optuna, which has no lists and mappings."""
    return value if value is None or isinstance(value, bool | int | float | str) else _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
