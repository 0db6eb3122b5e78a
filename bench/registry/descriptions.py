"""Descriptions of plug-ins, made without importing them: card, settings, variants, search space."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from bench.contract import DatasetCard, DatasetLoader, Method, MethodCard, PluginError

_LONGEST = 200  # characters of a name in a record
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{_LONGEST - 1}}}")


@dataclass(frozen=True)
class MethodDescription:
    """A registered method without its code.

    Attributes:
        defaults: of every setting, as JSON values.
        variants: named changes of settings.
        where: file or entry point that defines it.
        key: digest of the source.
        about: docstring of its module, else of its class.
        meanings: what each setting is, as far as `bench.contract.setting` states it.
        provenance: where the defaults come from: first paragraph of the docstring of the settings.
        search: values that tuning may try, by setting.
    """

    card: MethodCard
    defaults: dict[str, Any]
    variants: dict[str, dict[str, Any]]
    where: str
    key: str
    about: str = ""
    meanings: dict[str, str] = field(default_factory=dict)
    provenance: str = ""
    search: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetDescription:
    """A registered dataset without its code: its card, its embedded files, and where it is defined."""

    card: DatasetCard
    where: str
    key: str
    embedded: dict[str, str] = field(default_factory=dict)


Description = MethodDescription | DatasetDescription


def derives(cls: type, *bases: type) -> bool:
    """Return whether a class derives from one of some bases.

    It is `issubclass` without classes that were registered as if they derived: for those, the abstract bases
    would visit each of their subclasses, and a long process has executed many plug-ins.
    """
    return not set(bases).isdisjoint(cls.__mro__)


def is_plugin_class(cls: type, where: str) -> bool:
    """Return whether a class is a plug-in: public, finished, and with a card in its body.

    Raises:
        PluginError: if only its card or some of its methods are missing.
    """
    if not derives(cls, Method, DatasetLoader) or cls.__name__.startswith("_"):
        return False
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if "card" not in cls.__dict__:
        if missing or hasattr(cls, "card"):
            return False  # a base for others, or a relative of one that has a card
        raise PluginError(f"{where}: {cls.__name__} has no card")
    if missing:
        raise PluginError(f"{where}: {cls.__name__} does not define {', '.join(missing)}")
    return True


def describe(cls: type, where: str, key: str) -> Description:
    """Describe a plug-in's class, imported or rebuilt from its source, at a file or entry point.

    Raises:
        PluginError: if a declaration is not as the contract requires.
    """
    try:
        kind: Any = MethodCard if derives(cls, Method) else DatasetCard
        card: Any = getattr(cls, "card", None)
        if not isinstance(card, kind):
            raise PluginError(f"{where}: {cls.__name__}.card must be a {kind.__name__}")
        # Names become folders, columns and words of the command line, where globs and commas have a meaning.
        if not (isinstance(card.name, str) and _NAME.fullmatch(card.name)):
            letters = f"use up to {_LONGEST} letters, digits, '_', '-' and '.'"
            raise PluginError(f"{where}: {card.name!r} cannot be a name; {letters}")
        embedded = {name: str(path) for name, path in getattr(cls, "embedded", {}).items()}
        made: Description = (
            _describe_method(cls, where, key)
            if derives(cls, Method)
            else DatasetDescription(card, where, key, embedded)
        )
        # what has a wrong type, or could not be written into a record, is refused here, not where it is used
        msgspec.json.encode({**vars(made), "where": "", "embedded": {}})
        return msgspec.convert(msgspec.to_builtins(made), type(made))
    except PluginError:
        raise
    except Exception as error:  # a fault of a class must not affect other plug-ins
        reason = str(error).replace("`", "") or type(error).__name__
        raise PluginError(f"{where}: {cls.__name__} cannot be described: {reason}") from error


def _describe_method(cls: type[Method], where: str, key: str) -> MethodDescription:
    """Describe a method's class; raises PluginError if settings or variants are wrong."""
    settings: Any = getattr(cls, "Settings", None)
    parameters = getattr(settings, "__dataclass_params__", None)
    if not (isinstance(settings, type) and parameters is not None and parameters.frozen):
        raise PluginError(f"{where}: {cls.__name__}.Settings must be a frozen dataclass")
    try:
        defaults = plain(dataclasses.asdict(settings()))
        variants = {name: plain(dict(change)) for name, change in cls.variants.items()}
        search = {name: plain(list(values)) for name, values in cls.search.items()}
    except (TypeError, ValueError) as error:
        raise PluginError(f"{where}: every setting needs a default that JSON can hold: {error}") from error
    unknown = {name for change in variants.values() for name in change if name not in defaults}
    if unknown:
        raise PluginError(f"{where}: variants change unknown settings {sorted(unknown)}")
    for name, meaning in (("full", "is the method itself"), ("all", "stands for every variant")):
        if name in variants:
            raise PluginError(f"{where}: variant {name!r} {meaning}; give the change another name")
    if any(not 0 < len(name) <= _LONGEST for name in variants):
        raise PluginError(f"{where}: the name of a variant needs 1 to {_LONGEST} characters")
    module = sys.modules.get(cls.__module__)
    # not `getattr(module, "__doc__", None)`: None itself has a docstring since Python 3.14
    module_doc = vars(cls).get("_module_doc", module.__doc__ if module else None)
    document = inspect.cleandoc(vars(settings).get("__doc__") or "")
    if document.startswith(f"{settings.__name__}("):  # the one that a dataclass gives itself
        document = ""
    stated = {item.name: item.metadata for item in dataclasses.fields(settings)}
    return MethodDescription(
        cls.card,
        defaults,
        variants,
        where,
        key,
        about=inspect.cleandoc(module_doc or vars(cls).get("__doc__") or "").strip(),
        meanings={
            name: words["meaning"] + (f" ({words['source']})" if words.get("source") else "")
            for name, words in stated.items()
            if words.get("meaning") and name in defaults
        },
        provenance=" ".join(document.partition("\n\n")[0].split()),
        search=search,
    )


def plain(value: Any) -> Any:
    """Return ``value`` as JSON would give it back: tuples become lists, mappings become dictionaries."""

    def convert(part: object) -> object:
        if isinstance(part, Mapping):
            return dict(part)
        if isinstance(part, (np.generic, np.ndarray)):
            return part.tolist()
        raise TypeError(f"{type(part).__name__} is not a JSON value")

    return json.loads(json.dumps(value, default=convert))
