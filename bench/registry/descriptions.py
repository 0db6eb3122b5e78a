"""What is registered, as plain data: known without importing the plug-ins again, and so without torch.

Importing all methods takes seconds because they bring torch. Their cards and settings are therefore kept
in a cache file, one entry per source, valid as long as the source's content is the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench.contract import DatasetCard, DatasetLoader, Method, MethodCard, PluginError
from bench.registry.names import unknown
from bench.registry.sources import BASE, Kind, Source, is_plugin, plugins, sources

FORMAT = 1
"""Version of the cache file; raise it when a description changes its shape."""


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
    settings = getattr(cls, "Settings", None)
    if not (isinstance(settings, type) and dataclasses.is_dataclass(settings)):
        raise PluginError(f"{where}: {cls.__name__}.Settings must be a frozen dataclass")
    try:
        defaults = plain(dataclasses.asdict(settings()))
        variants = {name: plain(dict(change)) for name, change in cls.variants.items()}
    except TypeError as error:
        raise PluginError(f"{where}: every setting needs a default that JSON can hold: {error}") from error
    stray = {field for change in variants.values() for field in change if field not in defaults}
    if stray:
        raise PluginError(f"{where}: variants change unknown settings {sorted(stray)}")
    return MethodDescription(cls.card, defaults, variants, where, key)


def plain(value: Any) -> Any:
    """Return ``value`` as JSON would give it back: tuples become lists, mappings become dictionaries."""
    return json.loads(json.dumps(value, default=_as_plain))


def _as_plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _describe(source: Source) -> list[MethodDescription] | list[DatasetDescription]:
    classes = source.classes()
    if source.kind == "methods":
        return [describe_method(cls, source.where, source.key) for cls in classes]
    for cls in classes:
        if not isinstance(cls.__dict__.get("card"), DatasetCard):
            raise PluginError(f"{source.where}: {cls.__name__}.card must be a DatasetCard")
    return [DatasetDescription(cls.card, source.where, source.key) for cls in classes]  # type: ignore[attr-defined]


@lru_cache(maxsize=4)
def _registered(_plugins: tuple[str, ...]) -> Registered:
    cache = _Cache(_cache_path())
    problems: list[Problem] = []
    methods = _collect("methods", list[MethodDescription], cache, problems)
    datasets = _collect("datasets", list[DatasetDescription], cache, problems)
    cache.save()
    if not problems:
        problems = _useless_plugins()
    return Registered(methods, datasets, tuple(dict.fromkeys(problems)))


def _collect(kind: Kind, shape: type[list[D]], cache: _Cache, problems: list[Problem]) -> dict[str, D]:
    found: dict[str, D] = {}
    for source in sources(kind):
        try:
            described = cache.get(source, shape)
        except PluginError as error:
            problems.append(Problem(source.where, str(error)))
            continue
        for item in described:
            name = item.card.name
            if name in found:
                reason = f"{kind[:-1]} {name!r} is already defined by {found[name].where}; rename one of them"
                problems.append(Problem(source.where, reason))
            else:
                found[name] = item
    return found


def _useless_plugins() -> list[Problem]:
    named = [source for kind in BASE for source in sources(kind) if is_plugin(source.where)]
    useful = {source.where for source in named if source.classes()}
    idle = dict.fromkeys(source.where for source in named if source.where not in useful)
    return [Problem(where, f"{where} defines neither a Method nor a DatasetLoader") for where in idle]


def _class(kind: Kind, where: str, name: str) -> Any:
    source = next(source for source in sources(kind) if source.where == where)
    return next(cls for cls in source.classes() if cls.card.name == name)  # type: ignore[attr-defined]


def _reasons(found: Registered) -> str:
    return "".join(f"\n  left out: {problem.reason}" for problem in found.problems)


class _Cache:
    """Descriptions by source, in a file that may be missing, stale or unwritable without harm."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.changed = False
        self.entries: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.get("format") == FORMAT:
                self.entries = content["entries"]

    def get(self, source: Source, shape: type[list[D]]) -> list[D]:
        name = f"{source.kind} {source.where}"
        entry = self.entries.get(name)
        if entry is not None and entry["key"] == source.key and not is_plugin(source.where):
            with contextlib.suppress(msgspec.ValidationError):
                return msgspec.convert(entry["value"], shape)
        value = _describe(source)
        self.entries[name] = {"key": source.key, "value": msgspec.to_builtins(value)}
        self.changed = True
        return value  # type: ignore[return-value]

    def save(self) -> None:
        if not self.changed:
            return
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"format": FORMAT, "entries": self.entries}, file)
            Path(temporary).replace(self.path)


def _cache_path() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "cross-modal-bench" / "catalogue.json"
