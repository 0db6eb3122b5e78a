"""Settings provenance of a record, and the trials of `tune`."""

from __future__ import annotations

import csv
import io
import json
import shlex
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from bench import registry
from bench.analysis.groups import Data, RowKey, row_key
from bench.contract import BenchError
from bench.records.schema import MethodSnapshot, Record, Trial
from bench.registry import Layer, MethodDescription

_WORDS: Final = {
    "quick": "quick profile, shared by all methods",
    "needed": "quick profile, what this method needs",
    "tuned": "tuned: chosen by trials on validation data (methods/settings/quick.yaml)",
}


@dataclass(frozen=True)
class SettingOrigin:
    """One setting of a record.

    Attributes:
        setting: its name.
        value: as it was used.
        words: where the value is from.
    """

    setting: str
    value: Any
    words: str


@dataclass(frozen=True)
class SettingsProvenance:
    """All settings of a record.

    Attributes:
        defaults: what the method's file says of its defaults as a whole; empty where it says nothing.
        settings: in the order of the method's own settings.
    """

    defaults: str
    settings: tuple[SettingOrigin, ...]


def settings_provenance(record: Record) -> SettingsProvenance:
    """Return where the settings of a record have their values from.

    The record itself says so, whatever has become of settings files since. For a record of layout 1, the
    answer is what is known today: a method that is gone, or has lost the variant, explains no settings.
    """
    cell = record.identity
    description = registry.registered().methods.get(cell.method)
    if record.method is None:
        try:
            words = _words_of_today(record)
        except BenchError as error:
            unknown = str(error).partition(";")[0]
            settings = tuple(SettingOrigin(key, cell.settings[key], unknown) for key in sorted(cell.settings))
            return SettingsProvenance("", settings)
    else:
        words = {key: _words_of_record(key, record, record.method, description) for key in cell.settings}
    order = [key for key in (description.defaults if description else ()) if key in cell.settings]
    order += sorted(cell.settings.keys() - set(order))
    settings = tuple(SettingOrigin(key, cell.settings[key], words[key]) for key in order)
    return SettingsProvenance(description.provenance if description else "", settings)


def changed_since(record: Record) -> dict[str, Any]:
    """Return the settings that a record's command would not give today, because settings files changed.

    Those that the request overrode are in the command. Nothing is known of records of layout 1, nor where the
    method or its variant is gone.
    """
    if record.method is None:
        return {}
    settings = record.identity.settings
    try:
        today = registry.covered(_layers(record))
    except BenchError:
        return {}
    return {
        key: value
        for key, value in record.method.usual.items()
        if settings.get(key) == value and key in today and today[key] != value
    }


def _layers(record: Record) -> list[Layer]:
    """Return the layers of settings that a record's cell would have today.

    Raises:
        BenchError: if the method or its variant is gone.
    """
    cell = record.identity
    return registry.settings_layers(
        registry.method(cell.method),
        profile=cell.profile,
        dataset=cell.dataset,
        kind=cell.data_kind,
        variant=cell.variant,
    )


def _words_of_record(
    key: str, record: Record, method: MethodSnapshot, description: MethodDescription | None
) -> str:
    origin = method.origins.get(key, "")
    if origin == "set":
        return f"typed (--set); without it: {json.dumps(method.usual.get(key))}"
    if origin == "dataset":
        published = registry.dataset_settings(record.identity.method).get(record.identity.dataset, {})
        same = published.get("settings", {}).get(key) == method.usual.get(key)
        source = _source(record) if same else "in the settings file of then"
        return f"published for {record.identity.dataset}: {source}"
    return _words_of_origin(origin, key, record, description)


def _words_of_origin(origin: str, key: str, record: Record, description: MethodDescription | None) -> str:
    if origin == "default":
        meaning = description.meanings.get(key, "") if description else ""
        return f"default: {meaning}" if meaning else "default"
    if origin == "dataset":
        return f"published for {record.identity.dataset}: {_source(record)}"
    if origin == "variant":
        return f"variant {record.identity.variant}"
    return _WORDS.get(origin, "unknown")


def _words_of_today(record: Record) -> dict[str, str]:
    """Return by setting where its value is from, as far as that can be told today.

    Raises:
        BenchError: if the method or its variant is gone.
    """
    description, layers = registry.method(record.identity.method), _layers(record)
    typed, words = _typed(record.environment.command), {}
    for key, value in record.identity.settings.items():
        having = [layer for layer in layers if key in layer.values]
        if not having:
            words[key] = "unknown: the method has no such setting any more"
        elif having[-1].values[key] == value:
            words[key] = _words_of_origin(having[-1].origin, key, record, description)
        else:
            usual = json.dumps(having[-1].values[key])
            words[key] = (
                f"typed (--set); without it: {usual}"
                if key in typed
                else f"of an earlier settings file, or typed; today it would be {usual}"
            )
    return words


def _source(record: Record) -> str:
    entry = registry.dataset_settings(record.identity.method).get(record.identity.dataset, {})
    return str(entry.get("source", "its source is not stated"))


def _typed(command: str) -> set[str]:
    """Return the settings that a command line names after ``--set``."""
    try:
        words = shlex.split(command)
    except ValueError:  # written by hand, or by another program
        return set()
    named = {word.partition("=")[0] for option, word in pairwise(words) if option == "--set"}
    return {name.rpartition(".")[2] for name in named}


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
        key: what all its trials share, but for settings.
        seeds: seed indices that every attempt was averaged over.
        attempts: best first; those without a value last.
    """

    data: Data
    method: str
    key: RowKey
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
    groups: dict[tuple[Data, RowKey], list[Trial]] = {}
    for trial in trials:
        cell = trial.identity
        data = Data(cell.data_kind, cell.profile, cell.dataset, cell.fingerprint, cell.device, cell.harness)
        groups.setdefault((data, row_key(cell)._replace(settings="")), []).append(trial)
    return [_tuning(data, key, members) for (data, key), members in sorted(groups.items())]


def trials_csv(tunings: Sequence[Tuning]) -> str:
    """Return every attempt as a line, numbers in full precision but for seconds."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for tuning in tunings:
        for attempt in tuning.attempts:
            data, key = tuning.data, tuning.key
            writer.writerow(
                [
                    *(data.dataset, data.kind, data.fingerprint, data.profile, data.device, data.harness),
                    *(key.method, key.code, "+".join(key.modalities), key.threads),
                    *(" ".join(map(str, tuning.seeds)), json.dumps(attempt.changes, sort_keys=True)),
                    *("" if attempt.value is None else repr(attempt.value), f"{attempt.seconds:.1f}"),
                    *(attempt.status, "best" if attempt is tuning.best else ""),
                ]
            )
    return out.getvalue()


def _tuning(data: Data, key: RowKey, trials: Sequence[Trial]) -> Tuning:
    # Not by their changes: what these start from may have been edited between two trials.
    by_settings: dict[str, list[Trial]] = {}
    for trial in trials:
        by_settings.setdefault(json.dumps(trial.identity.settings, sort_keys=True), []).append(trial)
    cells = {settings: {_cell(trial) for trial in members} for settings, members in by_settings.items()}
    everywhere = max(cells.values(), key=len)
    attempts = [
        _attempt(members) for settings, members in by_settings.items() if cells[settings] == everywhere
    ]
    attempts.sort(key=_rank)
    return Tuning(data, key.method, key, tuple(sorted({seed for _, seed in everywhere})), tuple(attempts))


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
