"""From a request to cells: methods x variants x datasets x modality pairs x seeds."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from bench import registry
from bench.contract import DataKind, UsageError
from bench.records.schema import Identity, MethodSnapshot

DeviceKind = Literal["cpu", "cuda"]

OVERRIDDEN: Final = "set"
"""Origin of a setting that the request overrode."""


@dataclass(frozen=True)
class Request:
    """What somebody wants to know.

    Attributes:
        methods: names, expanded.
        datasets: names or bundle paths, expanded.
        seeds: seed indices.
        variants: ``full`` and names of ablations; a method without a variant is left out of it. ``all``
            means every variant that the data's modalities admit.
        profile: ``quick`` or ``paper``.
        threads: CPU threads per cell.
        overrides: settings by method; ``*`` for every method that has the setting.
        tuned: false for the quick profile without what trials have chosen.
        modalities: to which the datasets are confined; none for all that they have.
        device: kind of device that the cells are planned for.
    """

    methods: Sequence[str]
    datasets: Sequence[str]
    seeds: Sequence[int] = (0,)
    variants: Sequence[str] = ("full",)
    profile: str = "quick"
    threads: int = 1
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tuned: bool = True
    modalities: Sequence[str] = ()
    device: DeviceKind = "cpu"


@dataclass(frozen=True)
class DataSource:
    """A dataset as planning needs it, known without loading it."""

    given: str
    name: str
    kind: DataKind
    fingerprint: str
    modalities: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """One fit and its evaluation.

    Attributes:
        identity: what its numbers depend on.
        source: dataset name or bundle path to load.
        changes: settings that the request changed, by which people tell the cells of a sweep apart.
        method: what is known of the method; goes into the record.
    """

    identity: Identity
    source: str
    changes: Mapping[str, Any] = field(default_factory=dict, compare=False)
    method: MethodSnapshot | None = field(default=None, compare=False)

    @property
    def title(self) -> str:
        """Return the cell in one line, for people."""
        words = ", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(self.changes.items()))
        return f"{self.identity.title} [{words}]" if words else self.identity.title


EVERY_VARIANT: Final = "all"
"""Stands for ``full`` and all variants that make sense for the data."""


def plan(
    request: Request, data: Mapping[str, DataSource], versions: registry.Versions | None = None
) -> list[Cell]:
    """Return all cells of a request, each once, datasets outermost.

    Args:
        request: what is wanted.
        data: describes every dataset in it.
        versions: of the code at hand; None to look them up.

    Raises:
        UsageError: for variants, settings or modalities that are unknown, do not fit or concern no method of
            the request, for settings that would undo a variant, or when nothing is asked for.
    """
    _check_modalities(request, data)
    _check_variants(request)
    _check_overrides(request)
    versions = registry.Versions() if versions is None else versions
    cells = [
        Cell(
            _identity(request, variant, data[given], pair, seed, versions),
            given,
            variant.changes,
            variant.method,
        )
        for given in request.datasets
        for method in request.methods
        for variant in _variants(request, method, data[given])
        for pair in _modalities(method, _admitted(request, data[given]))
        if variant.name in request.variants
        or registry.concerns(registry.method(method).variants.get(variant.name, {}), pair)
        for seed in request.seeds
    ]
    if not cells:
        raise UsageError("nothing to run: no method has such a variant; see `python -m bench list methods`")
    return list({cell.identity.digest: cell for cell in cells}.values())


@dataclass(frozen=True)
class _Variant:
    """A method's variant on a dataset.

    Attributes:
        of: the method's registry name.
        name: of the variant.
        settings: all of them, spelled as the method does.
        changes: what of these the request changed.
        method: for the records.
    """

    of: str
    name: str
    settings: dict[str, Any]
    changes: dict[str, Any]
    method: MethodSnapshot


def _identity(
    request: Request,
    variant: _Variant,
    data: DataSource,
    pair: tuple[str, ...],
    seed: int,
    versions: registry.Versions,
) -> Identity:
    return Identity(
        method=variant.of,
        variant=variant.name,
        dataset=data.name,
        data_kind=data.kind,
        fingerprint=data.fingerprint,
        modalities=pair,
        seed=seed,
        profile=request.profile,
        threads=request.threads,
        settings=variant.settings,
        device=request.device,
        harness=versions.harness,
        code=versions.code(variant.of),
    )


def _admitted(request: Request, data: DataSource) -> tuple[str, ...]:
    """Return the modalities of a dataset that the request admits, in the dataset's order."""
    admitted = tuple(name for name in data.modalities if name in (request.modalities or data.modalities))
    if len(admitted) < 2:
        raise UsageError(
            f"{data.name} has {', '.join(data.modalities)}, of {', '.join(request.modalities)} fewer than "
            "the two that retrieval needs; name other modalities, or leave this dataset out"
        )
    return admitted


def _modalities(method: str, modalities: tuple[str, ...]) -> list[tuple[str, ...]]:
    if registry.method(method).card.any_modalities or len(modalities) == 2:
        return [modalities]
    return list(combinations(modalities, 2))


def _variants(request: Request, method: str, data: DataSource) -> list[_Variant]:
    """Return the variants of a method that are asked for, each once."""
    offered = registry.method(method).variants
    asked = [
        name
        for word in request.variants
        for name in (["full", *offered] if word == EVERY_VARIANT else [word])
        if name == "full" or name in offered
    ]
    return [_variant(request, method, name, data) for name in dict.fromkeys(asked)]


def _variant(request: Request, method: str, name: str, data: DataSource) -> _Variant:
    """Return a variant with its settings, and those of them that were overridden, spelled as the method does.

    Checking needs the method's class, which may take seconds to import: usual settings are left alone.
    """
    overrides = _overrides(request, method)
    description = registry.method(method)
    layers = registry.settings_layers(
        description,
        profile=request.profile,
        dataset=data.name,
        kind=data.kind,
        variant=name,
        tuned=request.tuned,
    )
    usual = registry.covered(layers)
    changed: dict[str, Any] = {}
    if overrides:
        checked = registry.checked_settings(method, {**usual, **overrides})
        changed = {key: checked[key] for key in overrides if checked[key] != usual[key]}
    for key in sorted(changed.keys() & description.variants.get(name, {}).keys()):
        raise UsageError(
            f"{method}.{key}={json.dumps(changed[key])} would undo the variant {name}, which sets {key} "
            "itself; leave one of them out"
        )
    origins: dict[str, str] = {key: layer.origin for layer in layers for key in layer.values}
    snapshot = MethodSnapshot(
        card=registry.plain(asdict(description.card)),
        usual=usual,
        origins={**origins, **dict.fromkeys(changed, OVERRIDDEN)},
    )
    return _Variant(method, name, {**usual, **changed}, changed, snapshot)


def _overrides(request: Request, method: str) -> dict[str, Any]:
    known = registry.method(method).defaults
    everywhere = {key: value for key, value in request.overrides.get("*", {}).items() if key in known}
    return {**everywhere, **request.overrides.get(method, {})}


def _check_overrides(request: Request) -> None:
    """Refuse settings that would change nothing, and names that no method knows."""
    for method in sorted(request.overrides.keys() - {"*", *request.methods}):
        raise UsageError(
            f"settings are given for {method}, which is not among the methods asked for: "
            f"{', '.join(request.methods)}"
        )
    everybodys = {key for method in request.methods for key in registry.method(method).defaults}
    for method, changes in request.overrides.items():
        known = everybodys if method == "*" else set(registry.method(method).defaults)
        for key in sorted(changes.keys() - known):
            owner = "any of the methods" if method == "*" else method
            raise registry.unknown(f"setting of {owner}", key, known)


def _check_modalities(request: Request, data: Mapping[str, DataSource]) -> None:
    offered = {name for given in request.datasets for name in data[given].modalities}
    for name in request.modalities:
        if name not in offered:
            raise registry.unknown("modality of these datasets", name, offered)


def _check_variants(request: Request) -> None:
    offered = {name for method in request.methods for name in registry.method(method).variants}
    for variant in request.variants:
        if variant not in ("full", EVERY_VARIANT, *offered):
            raise registry.unknown("variant", variant, ["full", EVERY_VARIANT, *offered])


class Shard(NamedTuple):
    """One of several parts of a grid, counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        """Return it as it is typed."""
        return f"shard {self.number}/{self.of}"


def parse_shard(text: str) -> Shard:
    """Return the shard that ``i/n`` names.

    Raises:
        UsageError: for anything else, or an i that is not between 1 and n.
    """
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
    shard = Shard(int(match[1]), int(match[2])) if match else None
    if shard is None or not 1 <= shard.number <= shard.of:
        raise UsageError(
            f"--shard {text!r} is not one of n parts of the grid; "
            "write i/n with i from 1 to n, such as 1/3, 2/3 and 3/3 on three machines"
        )
    return shard


def cells_of_shard(cells: Sequence[Cell], shard: Shard) -> list[Cell]:
    """Return the cells of one shard, in their order; every cell is in exactly one shard.

    The cells of each method are dealt out in turn, beginning one shard further for each method: so every
    shard gets its part of every method and of every dataset, and none gets all that is slow. What is recorded
    plays no role: the same request gives the same shards on every machine and at any time.
    """
    methods: dict[str, int] = {}
    dealt: Counter[str] = Counter()
    chosen = []
    for cell in cells:
        method = cell.identity.method
        first = methods.setdefault(method, len(methods))
        if (first + dealt[method]) % shard.of == shard.number - 1:
            chosen.append(cell)
        dealt[method] += 1
    return chosen


def describe_data(given: str, data_dir: Path | None, profile: str, cache: Path | None) -> DataSource:
    """Return what planning must know of a dataset.

    Raises:
        UsageError: if there is no such dataset.
        DataError: if its files are absent and nothing stands in, or if a bundle cannot be read.
    """
    from bench.data import card_of, fingerprint_of

    kind, fingerprint = fingerprint_of(given, data_dir, profile, cache=cache)
    card = card_of(given)
    return DataSource(given, card.name, kind, fingerprint, tuple(m.name for m in card.modalities))
