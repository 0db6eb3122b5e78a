"""Where every setting of a record has its value from: published, needed, tuned, an ablation, or typed."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from bench import registry
from bench.contract import BenchError
from bench.records.schema import Record
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
    """Return where the settings of a record have their values from, as far as is known today.

    A method that is gone, or that has lost the variant, leaves its settings unexplained.
    """
    who = record.identity
    typed = _typed(record.circumstances.command)
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
