"""Catalogue of encoders: the modules of `bench.encoders.models`, entry points, and files given by path."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from bench.contract import PluginError, UsageError
from bench.encoders import models
from bench.encoders.contract import Encoder, EncoderCard, Kind
from bench.registry import entry_points, module_at, unknown

GROUP: Final = "bench.encoders"

Encoders = dict[tuple[Kind, str], type[Encoder[Any]]]


def encoders(plugins: Sequence[Path] = ()) -> Encoders:
    """Return all encoders by kind and name.

    An installed package whose encoders cannot be imported is left out; a file that is named must work.

    Raises:
        PluginError: if a file cannot be imported or has no encoder, or two encoders have the same name.
    """
    found: Encoders = {}
    for module in pkgutil.iter_modules(models.__path__):
        _add(found, _classes(importlib.import_module(f"{models.__name__}.{module.name}")))
    for point in entry_points(GROUP):
        try:
            loaded = point.load()
        except (Exception, SystemExit):  # noqa: S112 (other encoders stay available)
            continue
        _add(found, _classes(loaded) if isinstance(loaded, ModuleType) else [loaded])
    for path in plugins:
        classes = list(_classes(module_at(path)))
        if not classes:
            raise PluginError(f"{path} does not define an Encoder with a card")
        _add(found, classes)
    return found


def create_encoder(kind: Kind, text: str, plugins: Sequence[Path] = (), device: str = "cpu") -> Encoder[Any]:
    """Return an encoder by ``NAME`` or ``NAME:SETTING=VALUE,...``.

    A value alone is that of the first setting; ``plugins`` are files that may define the encoder.

    Raises:
        UsageError: if there is no such encoder or setting, or something that it needs is missing.
        PluginError: see `encoders`.
    """
    name, _, given = text.partition(":")
    known = encoders(plugins)
    if (kind, name) not in known:
        raise unknown(f"encoder of kind {kind}", name, [other for at, other in known if at == kind])
    cls = known[kind, name]
    return cls(_settings(cls, name, given), device)


def encoder_cards(plugins: Sequence[Path] = ()) -> list[EncoderCard]:
    """Return the cards of all encoders, by kind and name."""
    known = encoders(plugins)
    return [known[key].card for key in sorted(known)]


def _settings(cls: type[Encoder[Any]], encoder: str, given: str) -> Any:
    """Return the settings in ``SETTING=VALUE,...``; raises UsageError."""
    defaults = cls.Settings()
    names = [field.name for field in fields(defaults)]
    values: dict[str, Any] = {}
    for part in filter(None, given.split(",")):
        name, separator, value = part.partition("=")
        if not separator and names:
            name, value = names[0], part
        if name not in names:
            raise unknown(f"setting of {encoder}", name, names)
        values[name] = value
        if isinstance(getattr(defaults, name), int):
            if not (value.isascii() and value.isdecimal() and len(value) < 10):
                raise UsageError(f"{encoder}: {name} must be a whole number, not {value!r}")
            values[name] = int(value)
    return cls.Settings(**values)


def _classes(module: ModuleType) -> Iterator[Any]:
    """Yield the classes with a card that a module defines."""
    for value in vars(module).values():
        if inspect.isclass(value) and value.__module__ == module.__name__ and "card" in vars(value):
            yield value


def _add(found: Encoders, classes: Iterable[Any]) -> None:
    """Add encoders; raises PluginError for one that is none or whose name is taken."""
    for cls in classes:
        if not (inspect.isclass(cls) and issubclass(cls, Encoder)) or inspect.isabstract(cls):
            raise PluginError(f"{getattr(cls, '__name__', cls)} must derive from Encoder and define encode")
        if not isinstance(cls.card, EncoderCard):
            raise PluginError(f"{cls.__name__}.card must be an EncoderCard")
        first = found.setdefault((cls.card.kind, cls.card.name), cls)
        if first is not cls:
            raise PluginError(
                f"{cls.card.kind} encoder {cls.card.name!r} of {cls.__module__} is already defined by "
                f"{first.__module__}; rename one of them"
            )
