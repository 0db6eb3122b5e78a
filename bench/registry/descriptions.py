"""What is registered, as plain data: known without importing the plug-ins again, and so without torch."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from bench.contract import DatasetCard, DatasetLoader, Method, MethodCard, PluginError
from bench.registry.cache import DescriptionCache
from bench.registry.names import unknown
from bench.registry.sources import BASE, Kind, Source, is_plugin, plugins, sources


@dataclass(frozen=True)
class MethodDescription:
    """A registered method without its code.

    Attributes:
        card: the method's card.
        defaults: its settings' default values, as JSON values.
        variants: named changes of settings.
        where: file or entry point that defines it.
        key: digest of the source.
    """

    card: MethodCard
    defaults: dict[str, Any]
    variants: dict[str, dict[str, Any]]
    where: str
    key: str


@dataclass(frozen=True)
class DatasetDescription:
    """A registered dataset without its code: its card, and where it is defined."""

    card: DatasetCard
    where: str
    key: str


@dataclass(frozen=True)
class Problem:
    """A plug-in that was left out, and why."""

    where: str
    reason: str


@dataclass(frozen=True)
class Registered:
    """Everything found, and everything that could not be used."""

    methods: dict[str, MethodDescription]
    datasets: dict[str, DatasetDescription]
    problems: tuple[Problem, ...]


D = TypeVar("D", MethodDescription, DatasetDescription)


def registered() -> Registered:
    """Return all plug-ins; a broken one is listed under ``problems`` and does not hinder the others."""
    return _registered(plugins())


def method(name: str) -> MethodDescription:
    """Return the description of a method.

    Raises:
        UsageError: if there is none of that name; suggests near misses.
    """
    found = registered()
    if name not in found.methods:
        raise unknown("method", name, found.methods, _reasons(found))
    return found.methods[name]


def dataset(name: str) -> DatasetDescription:
    """Return the description of a dataset.

    Raises:
        UsageError: if there is none of that name; suggests near misses.
    """
    found = registered()
    if name not in found.datasets:
        raise unknown("dataset", name, found.datasets, _reasons(found))
    return found.datasets[name]


def method_class(name: str) -> type[Method]:
    """Import and return the class of a method.

    Raises:
        UsageError: if there is none of that name.
    """
    cls: type[Method] = _class("methods", method(name).where, name)
    return cls


def dataset_loader(name: str) -> type[DatasetLoader]:
    """Import and return the loader of a dataset.

    Raises:
        UsageError: if there is none of that name.
    """
    cls: type[DatasetLoader] = _class("datasets", dataset(name).where, name)
    return cls


def dataset_names() -> list[str]:
    """Return the names of all registered datasets, in alphabetical order."""
    return sorted(registered().datasets)


def method_names() -> list[str]:
    """Return the names of all registered methods, roster first."""
    found = registered().methods
    return sorted(found, key=lambda name: (found[name].card.position, name))


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
    stray = {field for change in variants.values() for field in change if field not in defaults}
    if stray:
        raise PluginError(f"{where}: variants change unknown settings {sorted(stray)}")
    if "full" in variants:
        raise PluginError(f"{where}: variant 'full' is the method itself; give the change another name")
    return MethodDescription(cls.card, defaults, variants, where, key)


def plain(value: Any) -> Any:
    """Return ``value`` as JSON would give it back: tuples become lists, mappings become dictionaries."""
    return json.loads(json.dumps(value, default=_as_plain))


def rescan() -> None:
    """Forget what was found, so that files written since then are found too."""
    importlib.invalidate_caches()
    _registered.cache_clear()


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


def _describe(source: Source) -> list[MethodDescription] | list[DatasetDescription]:
    try:
        if source.kind == "methods":
            return [describe_method(cls, source.where, source.key) for cls in source.classes()]
        return [_describe_dataset(cls, source) for cls in source.classes()]
    except PluginError:
        raise
    except Exception as error:  # whatever a plug-in's class does wrong must not hinder the others
        name = type(error).__name__
        raise PluginError(f"{source.where} cannot be described: {name}: {error}") from error


def _describe_dataset(cls: type, source: Source) -> DatasetDescription:
    card = cls.__dict__.get("card")
    if not isinstance(card, DatasetCard):
        raise PluginError(f"{source.where}: {cls.__name__}.card must be a DatasetCard")
    _check_name(card.name, source.where)
    return DatasetDescription(card, source.where, source.key)


@lru_cache(maxsize=4)
def _registered(_plugins: tuple[str, ...]) -> Registered:
    cache = DescriptionCache()
    problems: list[Problem] = []
    methods = _collect("methods", list[MethodDescription], cache, problems)
    datasets = _collect("datasets", list[DatasetDescription], cache, problems)
    cache.save()
    problems += _useless_plugins({problem.where for problem in problems})
    return Registered(methods, datasets, tuple(dict.fromkeys(problems)))


def _collect(
    kind: Kind, shape: type[list[D]], cache: DescriptionCache, problems: list[Problem]
) -> dict[str, D]:
    found: dict[str, D] = {}
    for source in sources(kind):
        try:
            described = cache.get(source, shape, _describe)
        except PluginError as error:
            problems.append(Problem(source.where, str(error)))
            continue
        if not described and source.promised:
            problems.append(Problem(source.where, f"{source.where} leads to no {BASE[kind].__name__}"))
        for item in described:
            name = item.card.name
            if name in found:
                reason = f"{kind[:-1]} {name!r} of {source.where} is already defined by {found[name].where}"
                problems.append(Problem(source.where, f"{reason}; rename one of them"))
            else:
                found[name] = item
    return found


def _useless_plugins(broken: set[str]) -> list[Problem]:
    named = [
        source
        for kind in BASE
        for source in sources(kind)
        if is_plugin(source.where) and source.where not in broken
    ]
    useful = {source.where for source in named if source.classes()}
    idle = dict.fromkeys(source.where for source in named if source.where not in useful)
    return [Problem(where, f"{where} defines neither a Method nor a DatasetLoader") for where in idle]


def _class(kind: Kind, where: str, name: str) -> Any:
    source = next(source for source in sources(kind) if source.where == where)
    return next(cls for cls in source.classes() if cls.card.name == name)  # type: ignore[attr-defined]


def _reasons(found: Registered) -> str:
    return "".join(f"\n  left out: {problem.reason}" for problem in found.problems)
