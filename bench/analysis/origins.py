"""Where every setting of a record has its value from: published, needed, tuned, an ablation, or typed."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from bench import registry
from bench.contract import BenchError
from bench.records.schema import MethodSnapshot, Record
from bench.registry import Layer, MethodDescription

_WORDS: Final = {
    "quick": "quick profile, shared by all methods",
    "needed": "quick profile, what this method needs",
    "tuned": "tuned: chosen by trials on validation data (methods/settings/quick.yaml)",
}


@dataclass(frozen=True)
class Origin:
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
class Origins:
    """All settings of a record.

    Attributes:
        defaults: what the method's file says of its defaults as a whole; empty where it says nothing.
        settings: in the order of the method's own settings.
    """

    defaults: str
    settings: tuple[Origin, ...]


def origins_of(record: Record) -> Origins:
    """Return where the settings of a record have their values from.

    The record itself says so, whatever has become of settings files since. For a record of layout 1, the
    answer is what is known today: a method that is gone, or has lost the variant, explains no settings.
    """
    return _known_today(record) if record.method is None else _recorded(record, record.method)


def changed_since(record: Record) -> dict[str, Any]:
    """Return the settings that a record's command would not give today, because settings files changed.

    Those that the request overrode are in the command. Nothing is known of records of layout 1, nor where the
    method or its variant is gone.
    """
    who = record.identity
    if record.method is None:
        return {}
    try:
        today = registry.resolve_settings(
            registry.method(who.method),
            profile=who.profile,
            dataset=who.dataset,
            kind=who.data_kind,
            variant=who.variant,
        )
    except BenchError:
        return {}
    return {
        key: value
        for key, value in record.method.usual.items()
        if who.settings.get(key) == value and key in today and today[key] != value
    }


def _recorded(record: Record, method: MethodSnapshot) -> Origins:
    who = record.identity
    description = registry.registered().methods.get(who.method)
    order = [key for key in (description.defaults if description else ()) if key in who.settings]
    order += sorted(who.settings.keys() - set(order))
    words = {key: _words_of_origin(key, record, method, description) for key in order}
    settings = tuple(Origin(key, who.settings[key], words[key]) for key in order)
    return Origins(description.provenance if description else "", settings)


def _words_of_origin(
    key: str, record: Record, method: MethodSnapshot, description: MethodDescription | None
) -> str:
    origin = method.origins.get(key, "")
    if origin == "set":
        return f"typed (--set); without it: {json.dumps(method.usual.get(key))}"
    if origin == "default":
        meaning = description.meanings.get(key, "") if description else ""
        return f"default: {meaning}" if meaning else "default"
    if origin == "dataset":
        published = registry.dataset_settings(record.identity.method).get(record.identity.dataset, {})
        same = published.get("settings", {}).get(key) == method.usual.get(key)
        source = _source(record) if same else "in the settings file of then"
        return f"published for {record.identity.dataset}: {source}"
    if origin == "variant":
        return f"variant {record.identity.variant}"
    return _WORDS.get(origin, "unknown")


def _known_today(record: Record) -> Origins:
    who = record.identity
    typed = _typed(record.environment.command)
    try:
        description = registry.method(who.method)
        layers = registry.settings_layers(
            description,
            profile=who.profile,
            dataset=who.dataset,
            kind=who.data_kind,
            variant=who.variant,
        )
    except BenchError as error:
        unknown = str(error).partition(";")[0]
        return Origins("", tuple(Origin(key, value, unknown) for key, value in sorted(who.settings.items())))
    order = [key for key in description.defaults if key in who.settings]
    order += sorted(who.settings.keys() - set(order))
    settings = tuple(
        Origin(key, who.settings[key], _words(key, who.settings[key], layers, description, record, typed))
        for key in order
    )
    return Origins(description.provenance, settings)


def _words(
    key: str,
    value: Any,
    layers: list[Layer],
    description: MethodDescription,
    record: Record,
    typed: set[str],
) -> str:
    having = [layer for layer in layers if key in layer.values]
    if not having:
        return "unknown: the method has no such setting any more"
    layer = having[-1]
    if layer.values[key] != value:
        usual = json.dumps(layer.values[key])
        if key in typed:
            return f"typed (--set); without it: {usual}"
        return f"of an earlier settings file, or typed; today it would be {usual}"
    if layer.origin == "default":
        meaning = description.meanings.get(key, "")
        return f"default: {meaning}" if meaning else "default"
    if layer.origin == "dataset":
        return f"published for {record.identity.dataset}: {_source(record)}"
    return f"variant {record.identity.variant}" if layer.origin == "variant" else _WORDS[layer.origin]


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
