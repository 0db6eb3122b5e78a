"""Settings provenance of a record, and the trials of `tune`."""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from bench import registry
from bench.analysis.groups import Data, RowKey, data_key, row_key
from bench.contract import BenchError
from bench.records.schema import Record
from bench.records.trials import Pruner, Sampler, Trial
from bench.registry import Layer

_WORDS: Final = {
    "given": "--embeddings NAME=FILE --similarity",
    "quick": "quick profile, shared by all methods",
    "needed": "quick profile, what this method needs",
    "tuned": "tuned: chosen by trials on validation data (methods/settings/quick.yaml)",
}


def settings_provenance(record: Record) -> tuple[str, dict[str, str]]:
    """Return the common source of the defaults, empty if none is stated, and by setting where it is from.

    The record itself states that, whatever settings files are now. For a record of layout 1 it is what is
    known today: settings of a method that is gone, or lost the variant, have no explanation.
    """
    settings, method = record.identity.settings, record.method
    description = registry.registered().methods.get(record.identity.method)
    if method is not None:
        words = {key: _words(method.origins.get(key, ""), key, method.usual, record) for key in settings}
    else:
        try:
            words = _words_of_today(record)
        except BenchError as error:
            description, words = None, dict.fromkeys(settings, str(error).partition(";")[0])
    order = [key for key in (description.defaults if description else ()) if key in settings]
    order += sorted(settings.keys() - set(order))
    return description.provenance if description else "", {key: words[key] for key in order}


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
    """Return the layers of settings that a record's cell would have today; `BenchError` if it is gone."""
    cell = record.identity
    return registry.settings_layers(
        registry.method(cell.method),
        profile=cell.profile,
        dataset=cell.dataset,
        kind=cell.data_kind,
        variant=cell.variant,
    )


def _words(origin: str, key: str, usual: Mapping[str, Any], record: Record) -> str:
    """Return in words what an origin means; ``usual`` are the settings without those of --set."""
    cell = record.identity
    if origin == "set":
        return f"set by --set; otherwise: {json.dumps(usual.get(key))}"
    if origin == "dataset":
        published = registry.dataset_settings(cell.method).get(cell.dataset, {})
        same = published.get("settings", {}).get(key) == usual.get(key)
        source = published.get("source", "its source is not stated")
        return f"published for {cell.dataset}: {source if same else 'from an earlier settings file'}"
    if origin == "default":
        description = registry.registered().methods.get(cell.method)
        meaning = description.meanings.get(key, "") if description else ""
        return f"default: {meaning}" if meaning else "default"
    return f"variant {cell.variant}" if origin == "variant" else _WORDS.get(origin, "unknown")


def _words_of_today(record: Record) -> dict[str, str]:
    """Return by setting where its value is from, as far as that is known today; errors as of `_layers`."""
    layers, words = _layers(record), {}
    try:
        command = shlex.split(record.environment.command)
    except ValueError:  # written by hand, or by another program
        command = []
    words_set = (word for option, word in pairwise(command) if option == "--set")
    typed = {word.partition("=")[0].rpartition(".")[2] for word in words_set}
    for key, value in record.identity.settings.items():
        having = [layer for layer in layers if key in layer.values]
        if not having:
            words[key] = "unknown: the method has no such setting any more"
            continue
        layer = having[-1]
        if layer.values[key] == value:
            words[key] = _words(layer.origin, key, layer.values, record)
        elif key in typed:
            words[key] = _words("set", key, layer.values, record)
        else:
            today = json.dumps(layer.values[key])
            words[key] = f"from an earlier settings file, or set by --set; today it would be {today}"
    return words


FIELDS = (
    *("dataset", "data_kind", "fingerprint", "profile", "device", "harness", "method", "code"),
    *("modalities", "threads", "seeds", "sampler", "pruner"),
    *("changes", "validation_map", "seconds", "status", "chosen"),
)


@dataclass(frozen=True)
class Attempt:
    """One setting, over all seeds and pairs of modalities that it was tried on."""

    changes: dict[str, Any]  # of the settings that the trials started from; empty for those themselves
    value: float | None  # mean validation mAP@all; None if a cell has none
    seconds: float  # of all its cells
    status: str  # ``done``, or what became of the first cell without a value


@dataclass(frozen=True)
class Tuning:
    """The trials of one method on one dataset in one kind of search."""

    data: Data  # dataset, profile, device and versions
    method: str  # its name
    key: RowKey  # what all its trials share, but for settings
    sampler: Sampler  # what chose the settings; ``pruner`` what could stop a trial
    pruner: Pruner
    seeds: tuple[int, ...]  # that every attempt was averaged over, but for those that were stopped
    attempts: tuple[Attempt, ...]  # best first; those without a value last

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
    """Gather trials; those of other code, modalities, device or kind of search are another tuning.

    Settings that were not tried on all of a method's cells are left out, for fairness. Those that a pruner
    stopped count, and cannot win.
    """
    groups: dict[tuple[Data, RowKey, Sampler, Pruner], list[Trial]] = {}
    for trial in trials:
        cell = trial.identity
        key = data_key(cell, cell.device), row_key(cell)._replace(settings=""), trial.sampler, trial.pruner
        groups.setdefault(key, []).append(trial)
    return [_tuning(*key, members) for key, members in sorted(groups.items())]


def trial_rows(tunings: Iterable[Tuning]) -> Iterator[tuple[object, ...]]:
    """Yield every attempt as a row of `FIELDS`, numbers in full precision but for seconds."""
    for tuning in tunings:
        data, key, seeds = tuning.data, tuning.key, " ".join(map(str, tuning.seeds))
        for attempt in tuning.attempts:
            yield (
                *(data.dataset, data.kind, data.fingerprint, data.profile, data.device, data.harness),
                *(key.method, key.code, "+".join(key.modalities), key.threads, seeds),
                *(tuning.sampler, tuning.pruner, _written(attempt.changes), attempt.value),
                *(f"{attempt.seconds:.1f}", attempt.status, "best" if attempt is tuning.best else ""),
            )


def _tuning(data: Data, key: RowKey, sampler: Sampler, pruner: Pruner, trials: Sequence[Trial]) -> Tuning:
    # Not by their changes: what these start from may have been edited between two trials.
    by_settings: dict[str, list[Trial]] = {}
    for trial in trials:
        by_settings.setdefault(_written(trial.identity.settings), []).append(trial)
    groups = [*by_settings.values()]
    cells = [{(trial.identity.modalities, trial.identity.seed) for trial in members} for members in groups]
    everywhere = max(cells, key=len)
    attempts = []
    for members, tried in zip(groups, cells, strict=True):
        if tried == everywhere or any(trial.status == "pruned" for trial in members):
            values = [trial.validation_map for trial in members if trial.validation_map is not None]
            value = statistics.fmean(values) if len(values) == len(members) else None
            status = next((trial.status for trial in members if trial.validation_map is None), "done")
            seconds = sum(trial.seconds for trial in members)
            attempts.append(Attempt(members[0].changes, value, seconds, status))

    def rank(attempt: Attempt) -> tuple[float, int, str]:
        value = 1.0 if attempt.value is None else -attempt.value
        return value, len(attempt.changes), _written(attempt.changes)

    attempts.sort(key=rank)
    seeds = tuple(sorted({seed for _, seed in everywhere}))
    return Tuning(data, key.method, key, sampler, pruner, seeds, tuple(attempts))


def _written(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)
