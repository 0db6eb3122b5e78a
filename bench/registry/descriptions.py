"""Descriptions: what the harness knows of a plug-in without its code: card, settings, variants, search."""

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

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_ENTRY = re.compile(r"^(?P<indent> *)(?P<name>\w+): +(?P<text>\S.*)$")


@dataclass(frozen=True)
class MethodDescription:
    """A registered method without its code.

    Attributes:
        card: the method's card.
        defaults: default value of every setting, as JSON values.
        variants: named changes of settings.
        where: file or entry point that defines it.
        key: digest of the source.
        about: docstring of its module, else of its class.
        meanings: what each setting is, as far as it is documented.
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


def is_plugin_class(cls: type, where: str) -> bool:
    """Return whether a class is a plug-in: public, finished, and with a card in its body.

    Raises:
        PluginError: if only its card or some of its methods are missing.
    """
    if not issubclass(cls, (Method, DatasetLoader)) or cls.__name__.startswith("_"):
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
    """Describe a plug-in's class, imported or rebuilt from its source.

    Args:
        cls: a `Method` or a `DatasetLoader`.
        where: file or entry point that defines it.
        key: digest of the source.

    Raises:
        PluginError: if a declaration is not what the contract asks for.
    """
    try:
        made: Description
        if issubclass(cls, Method):
            made = describe_method(cls, where, key)
        else:
            loader: Any = cls
            _check_card(cls, loader.card, DatasetCard, where)
            embedded = {name: str(path) for name, path in loader.embedded.items()}
            made = DatasetDescription(loader.card, where, key, embedded)
        # a card or a docstring of a wrong type is refused here, and not where it is used
        return msgspec.convert(msgspec.to_builtins(made), type(made))
    except PluginError:
        raise
    except Exception as error:  # whatever is wrong with a class must not hinder the other plug-ins
        reason = str(error).replace("`", "") or type(error).__name__
        raise PluginError(f"{where}: {cls.__name__} cannot be described: {reason}") from error


def describe_method(cls: type[Method], where: str, key: str) -> MethodDescription:
    """Describe a method's class; arguments as for `describe`.

    Raises:
        PluginError: if its card, settings, variants or search are not what the contract asks for.
    """
    _check_card(cls, cls.card, MethodCard, where)
    settings = getattr(cls, "Settings", None)
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
    for name in sorted({"full", "all"} & variants.keys()):
        meaning = "is the method itself" if name == "full" else "stands for every variant"
        raise PluginError(f"{where}: variant {name!r} {meaning}; give the change another name")
    module = sys.modules.get(cls.__module__)
    # not `getattr(module, "__doc__", None)`: None itself has a docstring since Python 3.14
    module_doc = vars(cls).get("_module_doc", module.__doc__ if module else None)
    about = inspect.cleandoc(module_doc or vars(cls).get("__doc__") or "").strip()
    documented = {name: text for name, text in meanings(settings).items() if name in defaults}
    return MethodDescription(
        cls.card, defaults, variants, where, key, about, documented, provenance(settings), search
    )


def meanings(settings: type) -> dict[str, str]:
    """Return what each setting means, by name.

    It is what `bench.contract.setting` states, else the entry of the section ``Attributes`` in the docstring
    of the class or of a base.
    """
    found: dict[str, str] = {}
    for owner in reversed(settings.__mro__):
        found.update(_attributes(inspect.cleandoc(vars(owner).get("__doc__") or "")))
    for item in dataclasses.fields(settings) if dataclasses.is_dataclass(settings) else ():
        if meaning := item.metadata.get("meaning"):
            source = item.metadata.get("source")
            found[item.name] = f"{meaning} ({source})" if source else meaning
    return found


def provenance(settings: type) -> str:
    """Return the first paragraph of a class's docstring in one line; empty if it has none.

    The docstring that a dataclass gives itself counts as none.
    """
    text = inspect.cleandoc(vars(settings).get("__doc__") or "")
    return "" if text.startswith(f"{settings.__name__}(") else " ".join(text.partition("\n\n")[0].split())


def plain(value: Any) -> Any:
    """Return ``value`` as JSON would give it back: tuples become lists, mappings become dictionaries."""
    return json.loads(json.dumps(value, default=_as_plain))


def _as_plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _check_card(cls: type, card: object, kind: type, where: str) -> None:
    if not isinstance(card, kind):
        raise PluginError(f"{where}: {cls.__name__}.card must be a {kind.__name__}")
    name: object = card.name  # type: ignore[attr-defined]
    # Names become folders, columns and words of the command line, where globs and commas have a meaning.
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise PluginError(f"{where}: {name!r} cannot be a name; use letters, digits, '_', '-' and '.'")


def _attributes(text: str) -> dict[str, str]:
    """Return the entries of a docstring's section ``Attributes``, each in one line."""
    _, _, section = text.partition("\nAttributes:\n")
    entries: dict[str, list[str]] = {}
    name, depth = "", None
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break  # the next section
        entry = _ENTRY.match(line)
        if entry and depth in (None, len(entry["indent"])):
            name, depth = entry["name"], len(entry["indent"])
            entries[name] = [entry["text"]]
        elif name and line.strip():
            entries[name].append(line.strip())
    return {name: " ".join(lines) for name, lines in entries.items()}
