"""Catalogue of plug-ins by name: read from source text, imported only if needed."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, cast

from bench.contract import DatasetLoader, Method, PluginError, UsageError, sealed_test
from bench.registry import imports
from bench.registry.code import read_lock
from bench.registry.descriptions import DatasetDescription, Description, MethodDescription, describe
from bench.registry.sources import (
    BASE,
    OTHER_KINDS,
    Kind,
    Source,
    folder_of,
    forget_entry_points,
    fresh_modules_of,
    plugins,
    source_at,
    sources,
)
from bench.registry.static import NotLiteral, Packages


class Problem(NamedTuple):
    """A plug-in that was left out, and why."""

    where: str
    reason: str


class Registered:
    """All plug-ins; those whose declarations are computed are added by `complete`, which imports them.

    Attributes:
        methods: by name.
        datasets: by name.
        problems: plug-ins that were left out, and why.
        computed: sources that are not imported yet.
    """

    def __init__(self) -> None:
        self.methods: dict[str, MethodDescription] = {}
        self.datasets: dict[str, DatasetDescription] = {}
        self.problems: list[Problem] = []
        self.computed: list[Source] = []
        listed = [*sources()]
        folders, known = _installed(tuple(source for source in listed if not source.is_given))
        packages = Packages(folders)
        for source in listed:
            found = known[source] if source in known else _read(source, packages)
            if found is None or (not found and (source.is_entry or source.is_given)):
                self.computed.append(source)
            else:
                self._add(found)

    def of(self, kind: Kind) -> dict[str, Any]:
        """Return the descriptions of a kind."""
        return self.methods if kind == "methods" else self.datasets

    def complete(self) -> Registered:
        """Import in a child process what could not be read, and return all."""
        computed, self.computed = self.computed, []
        for source, imported in zip(computed, imports.import_apart(computed), strict=True):
            found: list[Description] = [*imported.methods, *imported.datasets]
            problem = imported.problem
            of_other_kind = any(map(source.names, OTHER_KINDS))
            expected_here = source.is_entry or (source.is_given and not of_other_kind)
            if not (problem or found) and expected_here:
                expected = " or ".join(BASE[kind].__name__ for kind in source.kinds)
                problem = f"{source.where} does not define a {expected}"
            self._leave_out(source.where, problem)
            self._add(found)
        return self

    def _add(self, found: Sequence[Description]) -> None:
        """Add descriptions; one whose name is taken is left out."""
        for new in found:
            kind: Kind = "methods" if isinstance(new, MethodDescription) else "datasets"
            first = self.of(kind).setdefault(new.card.name, new)
            if first is not new:
                reason = f"{kind[:-1]} {new.card.name!r} of {new.where} is already defined by {first.where}"
                self._leave_out(new.where, f"{reason}; rename one of them")

    def _leave_out(self, where: str, reason: str) -> None:
        """Note a problem once, if there is a reason."""
        if reason and Problem(where, reason) not in self.problems:
            self.problems.append(Problem(where, reason))


def _read(source: Source, packages: Packages) -> list[Description] | None:
    """Return the plug-ins of a source, read from its text; None if it must be imported."""
    try:
        return [describe(cls, source.where, source.key) for cls in source.static_classes(packages)]
    except (NotLiteral, PluginError):  # the import says what is wrong, if anything is
        return None


@lru_cache(maxsize=1)
def _installed(
    listed: tuple[Source, ...],
) -> tuple[dict[str, Path], dict[Source, list[Description] | None]]:
    """Return the folders of packages, and the plug-ins, of all sources but the files given by path.

    Most of the time of `Registered` is spent here. The syntax trees are not kept.
    """
    packages = Packages()
    known = {source: _read(source, packages) for source in listed}
    return packages.folders, known


@lru_cache(maxsize=4)
def _catalogue(_plugins: tuple[str, ...]) -> Registered:
    """Return what is registered, once for the same files given by path."""
    return Registered()


def registered() -> Registered:
    """Return all plug-ins; a broken one is listed under ``problems`` and does not affect the others."""
    return _catalogue(plugins()).complete()


def _description(kind: Kind, name: str) -> Any:
    """Return a plug-in's description; raises UsageError if there is none of that name."""
    catalogue = _catalogue(plugins())
    if name not in catalogue.of(kind):
        catalogue.complete()
    if name not in catalogue.of(kind):
        raise unknown(kind[:-1], name, catalogue.of(kind), left_out())
    return catalogue.of(kind)[name]


def method(name: str) -> MethodDescription:
    """Return the description of a method.

    Raises:
        UsageError: if there is none of that name; suggests near misses.
    """
    return cast("MethodDescription", _description("methods", name))


def dataset(name: str) -> DatasetDescription:
    """Return the description of a dataset; raises as `method` does."""
    return cast("DatasetDescription", _description("datasets", name))


def method_class(name: str) -> type[Method]:
    """Import and return the class of a method.

    Raises:
        UsageError: if there is none of that name.
        PluginError: if its file cannot be imported.
    """
    return cast("type[Method]", _imported("methods", name))


def dataset_loader(name: str) -> type[DatasetLoader]:
    """Import and return the loader of a dataset; raises as `method_class` does."""
    return cast("type[DatasetLoader]", _imported("datasets", name))


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
    forget_entry_points()
    _catalogue.cache_clear()
    _installed.cache_clear()


def import_problems(names: Iterable[str]) -> dict[str, str]:
    """Return, by name, why methods cannot be imported; those of the project are known to be importable."""
    tried = [name for name in names if not _is_ours("methods", name)]
    answers = imports.import_apart([source_at("methods", method(name).where) for name in tried])
    return {name: answer.problem for name, answer in zip(tried, answers, strict=True) if answer.problem}


def fresh_modules(name: str) -> AbstractContextManager[None]:
    """Execute the modules of a method again if they are imported in the body.

    Raises:
        UsageError: if there is no method of that name.
    """
    return fresh_modules_of(source_at("methods", method(name).where))


_confirmed = lru_cache(maxsize=1)(read_lock)


def _is_ours(kind: Kind, name: str) -> bool:
    """Whether a plug-in is one of the project with a confirmed version."""
    return name in _confirmed()[kind] and Path(_description(kind, name).where).parent == folder_of(kind)


def _imported(kind: Kind, name: str) -> Any:
    """Return a plug-in's class; one that is not of the project is first imported in a child process."""
    where = _description(kind, name).where
    source = source_at(kind, where)
    if not _is_ours(kind, name):
        (answer,) = imports.import_apart([source])
        if answer.problem:
            raise PluginError(answer.problem)
    with sealed_test():
        for cls in source.classes():
            if cls.card.name == name:  # type: ignore[attr-defined]
                return cls
    raise PluginError(f"{where} does not define {name} when it is imported; its card has another name then")


def concerns(changes: Mapping[str, Any], modalities: Collection[str]) -> bool:
    """Return whether a variant is for data of these modalities: it sets nothing to another modality's name.

    The registered datasets define which modalities there are.
    """
    known = {part.name for data in registered().datasets.values() for part in data.card.modalities}
    named = {value for value in changes.values() if isinstance(value, str)}
    return named & known <= set(modalities)


def left_out() -> str:
    """Return a line for each plug-in that was left out, for the end of a message."""
    return "".join(f"\n  left out: {problem.reason}" for problem in registered().problems)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest known names in any case, or an empty string."""
    by_lower = {item.lower(): item for item in known}
    near = [by_lower[word] for word in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)]
    return f" (did you mean {' or '.join(repr(item) for item in near)}?)" if near else ""


def unknown(what: str, name: str, known: Iterable[str], more: str = "") -> UsageError:
    """Return the error for a name that is not registered.

    ``what`` is a noun, and optionally what follows the name: ``setting of drcl``; ``more`` ends the message.
    """
    names, (noun, *qualifier) = sorted(known), what.split(" ", 1)
    words = " ".join(["unknown", noun, repr(name), *qualifier])
    return UsageError(f"{words}{suggestion(name, names)}; there are: {', '.join(names) or 'none'}{more}")
