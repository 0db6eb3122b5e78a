"""What is registered, known without importing the plug-ins again, and so without torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from bench.contract import DatasetLoader, Method
from bench.registry.cache import answers
from bench.registry.describing import importing
from bench.registry.descriptions import DatasetDescription, MethodDescription
from bench.registry.names import unknown
from bench.registry.sources import BASE, Kind, Source, is_plugin, plugins, source_at, sources


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
    with importing():
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


def rescan() -> None:
    """Forget what was found, so that files written since then are found too."""
    importlib.invalidate_caches()
    _registered.cache_clear()


@lru_cache(maxsize=4)
def _registered(_plugins: tuple[str, ...]) -> Registered:
    found = [source for kind in BASE for source in sources(kind)]
    known = dict(zip(found, answers(found), strict=True))
    problems = [Problem(source.where, answer.problem) for source, answer in known.items() if answer.problem]
    values = {source: answer.value for source, answer in known.items() if not answer.problem}
    problems += _idle(values)
    methods = _collect("methods", list[MethodDescription], values, problems)
    datasets = _collect("datasets", list[DatasetDescription], values, problems)
    return Registered(methods, datasets, tuple(dict.fromkeys(problems)))


def _collect(
    kind: Kind, shape: type[list[D]], values: dict[Source, list[Any]], problems: list[Problem]
) -> dict[str, D]:
    found: dict[str, D] = {}
    for source, value in values.items():
        for item in msgspec.convert(value, shape) if source.kind == kind else []:
            name = item.card.name
            if name in found:
                reason = f"{kind[:-1]} {name!r} of {source.where} is already defined by {found[name].where}"
                problems.append(Problem(source.where, f"{reason}; rename one of them"))
            else:
                found[name] = item
    return found


def _idle(values: dict[Source, list[Any]]) -> list[Problem]:
    """Return a problem for everything that somebody named and that defines nothing."""
    useful = {source.where for source, value in values.items() if value}
    idle = {
        source.where: "a Method or DatasetLoader" if is_plugin(source.where) else BASE[source.kind].__name__
        for source in values
        if source.where not in useful and (source.entry or is_plugin(source.where))
    }
    return [Problem(where, f"{where} does not define {what}") for where, what in idle.items()]


def _class(kind: Kind, where: str, name: str) -> Any:
    return next(cls for cls in source_at(kind, where).classes() if cls.card.name == name)  # type: ignore[attr-defined]


def _reasons(found: Registered) -> str:
    return "".join(f"\n  left out: {problem.reason}" for problem in found.problems)
