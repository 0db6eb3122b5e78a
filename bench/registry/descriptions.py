"""Plug-ins as plain data: what the harness needs to know of a class before it needs the class."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.contract import DatasetCard, Method, MethodCard, PluginError
from bench.registry.docstrings import about, meanings, provenance
from bench.registry.sources import Kind, Source


@dataclass(frozen=True)
class MethodDescription:
    """A registered method without its code.

    Attributes:
        card: the method's card.
        defaults: its settings' default values, as JSON values.
        variants: named changes of settings.
        where: file or entry point that defines it.
        key: digest of the source.
        about: what its file says of it in its first words.
        meanings: what each setting is, as far as the docstring of its settings says.
        provenance: where its defaults come from: the first words of that docstring.
    """

    card: MethodCard
    defaults: dict[str, Any]
    variants: dict[str, dict[str, Any]]
    where: str
    key: str
    about: str = ""
    meanings: dict[str, str] = field(default_factory=dict)
    provenance: str = ""


@dataclass(frozen=True)
class DatasetDescription:
    """A registered dataset without its code: its card, and where it is defined."""

    card: DatasetCard
    where: str
    key: str


SHAPES: dict[Kind, Any] = {"methods": list[MethodDescription], "datasets": list[DatasetDescription]}
"""What a source of each kind is described by."""


def describe(source: Source) -> list[MethodDescription] | list[DatasetDescription]:
    """Import a source and describe what it defines.

    Raises:
        PluginError: if something about it is not as the contract asks; says where.
    """
    try:
        if source.kind == "methods":
            return [describe_method(cls, source.where, source.key) for cls in source.classes()]
        return [_describe_dataset(cls, source) for cls in source.classes()]
    except PluginError:
        raise
    except Exception as error:  # whatever a plug-in's class does wrong must not hinder the others
        name = type(error).__name__
        raise PluginError(f"{source.where} cannot be described: {name}: {error}") from error


def describe_method(cls: type[Method], where: str, key: str) -> MethodDescription:
    """Describe a method's class.

    Raises:
        PluginError: if its card or its settings are not what the contract asks for.
    """
    if not isinstance(cls.card, MethodCard):
        raise PluginError(f"{where}: {cls.__name__}.card must be a MethodCard")
    _check_name(cls.card.name, where)
    settings = getattr(cls, "Settings", None)
    parameters = getattr(settings, "__dataclass_params__", None)
    if not (isinstance(settings, type) and parameters is not None and parameters.frozen):
        raise PluginError(f"{where}: {cls.__name__}.Settings must be a frozen dataclass")
    try:
        defaults = plain(dataclasses.asdict(settings()))
        variants = {name: plain(dict(change)) for name, change in cls.variants.items()}
    except (TypeError, ValueError) as error:
        raise PluginError(f"{where}: every setting needs a default that JSON can hold: {error}") from error
    stray = {name for change in variants.values() for name in change if name not in defaults}
    if stray:
        raise PluginError(f"{where}: variants change unknown settings {sorted(stray)}")
    for name in sorted({"full", "all"} & variants.keys()):
        meaning = "is the method itself" if name == "full" else "stands for every variant"
        raise PluginError(f"{where}: variant {name!r} {meaning}; give the change another name")
    told = {name: text for name, text in meanings(settings).items() if name in defaults}
    return MethodDescription(cls.card, defaults, variants, where, key, about(cls), told, provenance(settings))


def plain(value: Any) -> Any:
    """Return ``value`` as JSON would give it back: tuples become lists, mappings become dictionaries."""
    return json.loads(json.dumps(value, default=_as_plain))


def _describe_dataset(cls: type, source: Source) -> DatasetDescription:
    card = cls.__dict__.get("card")
    if not isinstance(card, DatasetCard):
        raise PluginError(f"{source.where}: {cls.__name__}.card must be a DatasetCard")
    _check_name(card.name, source.where)
    return DatasetDescription(card, source.where, source.key)


def _as_plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _check_name(name: object, where: str) -> None:
    # Names become folders, columns and words of the command line, where globs and commas have a meaning.
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name)):
        raise PluginError(f"{where}: {name!r} cannot be a name; use letters, digits, '_', '-' and '.'")
