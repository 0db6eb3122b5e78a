"""What `tune` tried: trials gathered per method, and which one is best on validation data."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.groups import Data
from bench.analysis.lines import Kin, kin_of
from bench.records.trials import Trial

FIELDS = (
    *("dataset", "data_kind", "fingerprint", "profile", "device", "harness", "method", "code"),
    *("modalities", "threads", "seeds"),
    *("changes", "validation_map", "seconds", "status", "chosen"),
)


@dataclass(frozen=True)
class Attempt:
    """One setting, over all seeds and pairs of modalities that it was tried on.

    Attributes:
        changes: of the settings that the trials started from; empty for those themselves.
        value: mean validation mAP@all; None if a cell has none.
        seconds: of all its cells.
        status: ``done``, or what became of the first cell without a value.
    """

    changes: dict[str, Any]
    value: float | None
    seconds: float
    status: str


@dataclass(frozen=True)
class Tuning:
    """The trials of one method on one dataset.

    Attributes:
        data: dataset, profile, device and versions.
        method: its name.
        kin: what all its trials share, but for settings.
        seeds: seed indices that every attempt was averaged over.
        attempts: best first; those without a value last.
    """

    data: Data
    method: str
    kin: Kin
    seeds: tuple[int, ...]
    attempts: tuple[Attempt, ...]

    @property
    def best(self) -> Attempt | None:
        """The attempt with the highest value; of equals the one that changes least; None without a value."""
        first = self.attempts[0]
        return None if first.value is None else first

    @property
    def start(self) -> Attempt | None:
        """The attempt without changes."""
        return next((attempt for attempt in self.attempts if not attempt.changes), None)


def tunings_of(trials: Iterable[Trial]) -> list[Tuning]:
    """Gather trials; those of other code, modalities or another kind of device are a tuning of their own.

    Settings that were not tried on all of a method's cells are left out, for fairness.
    """
    groups: dict[tuple[Data, Kin], list[Trial]] = {}
    for trial in trials:
        who = trial.identity
        data = Data(who.data_kind, who.profile, who.dataset, who.fingerprint, who.device, who.harness)
        groups.setdefault((data, kin_of(who)._replace(settings="")), []).append(trial)
    return [_tuning(data, kin, members) for (data, kin), members in sorted(groups.items())]


def trials_csv(tunings: Sequence[Tuning]) -> str:
    """Return every attempt as a line, numbers in full precision but for seconds."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for tuning in tunings:
        for attempt in tuning.attempts:
            writer.writerow(
                [
                    tuning.data.dataset,
                    tuning.data.kind,
                    tuning.data.fingerprint,
                    tuning.data.profile,
                    tuning.data.device,
                    tuning.data.harness,
                    tuning.method,
                    tuning.kin.code,
                    "+".join(tuning.kin.modalities),
                    tuning.kin.threads,
                    " ".join(map(str, tuning.seeds)),
                    json.dumps(attempt.changes, sort_keys=True),
                    "" if attempt.value is None else repr(attempt.value),
                    f"{attempt.seconds:.1f}",
                    attempt.status,
                    "best" if attempt is tuning.best else "",
                ]
            )
    return out.getvalue()


def _tuning(data: Data, kin: Kin, trials: Sequence[Trial]) -> Tuning:
    # Not by their changes: what these start from may have been edited between two trials.
    by_settings: dict[str, list[Trial]] = {}
    for trial in trials:
        by_settings.setdefault(json.dumps(trial.identity.settings, sort_keys=True), []).append(trial)
    cells = {settings: {_cell(trial) for trial in members} for settings, members in by_settings.items()}
    everywhere = max(cells.values(), key=len)
    attempts = [_attempt(members) for key, members in by_settings.items() if cells[key] == everywhere]
    attempts.sort(key=_rank)
    return Tuning(data, kin.method, kin, tuple(sorted({seed for _, seed in everywhere})), tuple(attempts))


def _cell(trial: Trial) -> tuple[tuple[str, ...], int]:
    return trial.identity.modalities, trial.identity.seed


def _attempt(members: Sequence[Trial]) -> Attempt:
    values = [trial.validation_map for trial in members if trial.validation_map is not None]
    return Attempt(
        members[0].changes,
        statistics.fmean(values) if len(values) == len(members) else None,
        sum(trial.seconds for trial in members),
        next((trial.status for trial in members if trial.validation_map is None), "done"),
    )


def _rank(attempt: Attempt) -> tuple[float, int, str]:
    worth = 1.0 if attempt.value is None else -attempt.value
    return worth, len(attempt.changes), json.dumps(attempt.changes, sort_keys=True)
