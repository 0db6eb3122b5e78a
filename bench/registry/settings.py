"""Settings of a run: published defaults, values per dataset, profile, variant, overrides."""

from __future__ import annotations

import dataclasses
import re
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
import yaml

from bench.contract import DataKind, Method, PluginError, UsageError
from bench.contract.declarations import load_yaml
from bench.registry.catalogue import method, method_class, suggestion, unknown
from bench.registry.descriptions import MethodDescription, plain
from bench.registry.sources import folder_of

Profile = Literal["quick", "paper"]
PROFILES: tuple[Profile, ...] = ("quick", "paper")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML in which ``1e-5`` is a number, as in YAML 1.2; for YAML 1.1 it is a text, since it has no dot."""


_FLOAT: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text; nothing is executed.

    Raises:
        yaml.YAMLError: if it is not YAML.
    """
    return load_yaml(text, _Loader)


class Layer(NamedTuple):
    """Settings of one origin; a later layer wins.

    Attributes:
        origin: ``default`` (of the method's class), ``dataset`` (published for one dataset), ``quick``
            (shared by the methods of the quick profile), ``needed`` (by this method in it), ``tuned`` (by
            trials), ``variant``, or ``set`` (by the request).
        where: which file or variant, for people.
        values: by setting.
    """

    origin: Literal["default", "dataset", "quick", "needed", "tuned", "variant", "set"]
    where: str
    values: dict[str, Any]


def resolve_settings(
    description: MethodDescription, *, overrides: Mapping[str, Any] | None = None, **options: Any
) -> dict[str, Any]:
    """Return the complete settings of a run as JSON values.

    ``overrides`` win over all layers; ``options`` are those of `settings_layers`.

    Raises:
        UsageError: if profile, variant or a setting's name is unknown.
    """
    given = Layer("set", description.card.name, dict(overrides or {}))
    return covered([*settings_layers(description, **options), given])


def covered(layers: Sequence[Layer]) -> dict[str, Any]:
    """Return complete settings from layers, of which the first is complete and a later one wins.

    Raises:
        UsageError: if a later layer names a setting that the first does not have.
    """
    settings = dict(layers[0].values)
    for layer in layers[1:]:
        for key, value in layer.values.items():
            if key not in settings:
                known = f"{suggestion(str(key), settings)}; there are: {', '.join(sorted(settings))}"
                raise UsageError(f"{layer.where}: no setting {key!r}{known}")
            settings[key] = value
    return settings


def settings_layers(
    description: MethodDescription,
    *,
    profile: str = "quick",
    dataset: str | None = None,
    kind: DataKind = "real",
    variant: str = "full",
    tuned: bool = True,
) -> list[Layer]:
    """Return the layers of a method's settings, the first to be covered by the others.

    These are the class's defaults (published values); in the paper profile the values for this dataset from
    ``methods/settings/<method>.yaml``; in the quick profile those of ``methods/settings/quick.yaml`` for this
    kind of data, of which trials start without what they have chosen (``tuned``); the variant.

    Raises:
        UsageError: if profile or variant is unknown.
    """
    name = description.card.name
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    layers = [Layer("default", f"the defaults of {name}", dict(description.defaults))]
    where, folder = f"the settings file of {name}", folder_of("methods") / "settings"
    if profile == "paper":
        layers.append(Layer("dataset", where, _part(folder / f"{name}.yaml", dataset or "", "settings")))
    else:
        layers += _quick(description, folder / "quick.yaml", kind, tuned)
    if variant != "full":
        if variant not in description.variants:
            raise unknown(f"variant of {name}", variant, ["full", *description.variants])
        layers.append(Layer("variant", f"variant {variant} of {name}", dict(description.variants[variant])))
    return layers


def _quick(description: MethodDescription, path: Path, kind: DataKind, tuned: bool) -> list[Layer]:
    """Return what all methods share, and all deep ones, what this one needs, and what its trials chose.

    Look-alikes have other trials, and further shared and needed values over those of real data.
    """
    name, where = description.card.name, f"the settings file of {description.card.name}"
    sections: list[tuple[str, ...]] = [(), ("look_alikes",)] if kind == "look-alike" else [()]
    shared: dict[str, Any] = {}
    for part in ("common", "defaults") if description.card.deep else ("common",):
        for section in sections:
            shared |= _part(path, *section, part)
    shared = {key: value for key, value in shared.items() if key in description.defaults}
    needed = [_part(path, *section, "needed", name) for section in sections]
    chosen = _part(path, *sections[-1], "tuned", name) if tuned else {}
    return [
        Layer("quick", where, shared),
        Layer("needed", where, dict(ChainMap(*needed[::-1]))),
        Layer("tuned", where, chosen),
    ]


def instantiate(name: str, settings: Mapping[str, Any]) -> Method:
    """Create a method with complete settings, checking every value's type.

    Raises:
        UsageError: if a value does not fit its setting.
    """
    cls = method_class(name)
    return cls(_converted(name, cls, settings))


def checked_settings(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return complete settings as the method itself spells them, so that 1 for a float reads 1.0.

    Raises:
        UsageError: if a value does not fit its setting.
    """
    values: dict[str, Any] = plain(dataclasses.asdict(_converted(name, method_class(name), settings)))
    return values


def _converted(name: str, cls: type[Method], settings: Mapping[str, Any]) -> Any:
    """Return settings of the type that a class declares; raises UsageError."""
    try:
        converted: Any = msgspec.convert(dict(settings), cls.Settings)
        for key, value in settings.items():
            if any(abs(one) >= 1 << 63 for one in _integers(value)):
                raise ValueError(f"{key}: a whole number has at most 64 bits")
        return converted
    except (msgspec.ValidationError, TypeError, ValueError, RecursionError) as error:
        reason, _, path = str(error).partition(" - at `$")
        where = f"{path.strip('`.')}: " if path else ""
        raise UsageError(f"settings of {name}: {where}{reason.replace('`', '')}") from error


def _integers(value: Any) -> Iterator[int]:
    """Yield the whole numbers in a setting, also those in lists and mappings."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _integers(part)


def create_method(
    name: str, *, profile: str = "paper", dataset: str | None = None, variant: str = "full", **settings: Any
) -> Method:
    """Create a method by name, with its published settings: ``create_method("drcl", dataset="wikipedia")``.

    Args:
        name: registry name.
        profile: ``paper`` for the published settings, ``quick`` for small networks and few epochs (the
            default of the commands).
        dataset: name of a dataset; in the ``paper`` profile, its published values, if any, replace the
            method's defaults.
        variant: a named change of settings.
        settings: single values; they override all others.

    Raises:
        UsageError: if the name, a setting or a value is unknown or does not fit.
    """
    try:
        overrides = plain(settings)
    except TypeError as error:
        raise UsageError(f"settings of {name}: {error}") from error
    values = resolve_settings(
        method(name), profile=profile, dataset=dataset, variant=variant, overrides=overrides
    )
    return instantiate(name, values)


def dataset_settings(name: str) -> dict[str, dict[str, Any]]:
    """Return a method's published values per dataset, each with ``settings`` and ``source``."""
    path = folder_of("methods") / "settings" / f"{name}.yaml"
    return {dataset: _part(path, dataset) for dataset in _yaml(path)}


def _part(path: Path, *keys: str) -> dict[str, Any]:
    """Return the mapping under ``keys`` in a settings file; empty where there is none."""
    content: Any = _yaml(path)
    for key in keys:
        content = content.get(key)
        if content is None:
            return {}
        if not isinstance(content, dict):
            raise PluginError(f"{path}: {' > '.join(keys)} must be a mapping")
    return dict(content)


@lru_cache(maxsize=64)
def _yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, none if it is absent; raises PluginError."""
    if not path.is_file():
        return {}
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or no such date
        raise PluginError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise PluginError(f"{path} must be a YAML mapping")
    return content
