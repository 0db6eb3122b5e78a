"""From a request to cells: methods x variants x datasets x modality pairs x seeds; and its shards."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations, count, product
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from msgspec import structs

from bench import registry
from bench.conditions.late import named_late
from bench.contract import DataKind, Similarity, UsageError
from bench.experiment.conditions import harness_of
from bench.records.schema import Environment, Failure, Identity, MethodSnapshot, Record, Result, Status

DeviceKind = Literal["cpu", "cuda"]

LOOK_ALIKE_MODALITIES: Final = 3
"""Number of modalities of a look-alike in the quick profile, unless the request names some."""

OVERRIDDEN: Final = "set"
"""Origin of a setting that the request overrode."""

EVERY_VARIANT: Final = "all"
"""Stands for ``full`` and all variants that make sense for the data."""


@dataclass(frozen=True)
class Request:
    """A requested grid of cells.

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
        modalities: to which the datasets are confined; none for all that they have, but for look-alikes in
            the quick profile (`LOOK_ALIKE_MODALITIES`).
        device: kind of device that the cells are planned for.
        conditions: of the data; empty names for clean data.
        condition_files: paths of the files that conditions are read from, by condition.
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
    conditions: Sequence[str] = ("",)
    condition_files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSource:
    """A dataset as planning needs it, known without loading it."""

    given: str
    name: str
    kind: DataKind
    fingerprint: str
    modalities: tuple[str, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class GivenFile:
    """Files by seed of embeddings or similarities that another program computed; how these are compared."""

    paths: tuple[str, ...]
    similarity: Similarity


@dataclass(frozen=True)
class Cell:
    """One fit and its evaluation.

    Attributes:
        identity: what its numbers depend on.
        source: dataset name or bundle path to load.
        changes: settings that the request changed; titles of a sweep's cells name them.
        method: card and provenance of settings, for the record.
        file: evaluated instead of a fit; if ``source`` is empty, the file is its dataset, too.
        condition_file: path of the file that the condition is read from; empty where it is drawn.
        shares_name: whether the request has other data of the same name: titles name the data.
    """

    identity: Identity
    source: str
    changes: Mapping[str, Any] = field(default_factory=dict, compare=False)
    method: MethodSnapshot | None = field(default=None, compare=False)
    file: GivenFile | None = field(default=None, compare=False)
    condition_file: str = field(default="", compare=False)
    shares_name: bool = field(default=False, compare=False)

    @property
    def title(self) -> str:
        """Return the cell in one line, for people."""
        words = [f"data {self.identity.fingerprint[:8]}"] if self.shares_name else []
        words += [f"{key}={json.dumps(value)}" for key, value in sorted(self.changes.items())]
        return f"{self.identity.title} [{', '.join(words)}]" if words else self.identity.title

    def record(
        self,
        status: Status,
        environment: Environment,
        result: Result | None = None,
        failure: Failure | None = None,
    ) -> Record:
        """Return the record of how the cell ended."""
        return Record(
            identity=self.identity,
            status=status,
            result=result,
            failure=failure,
            environment=environment,
            method=self.method,
        )


def plan(
    request: Request, data: Mapping[str, DataSource], versions: registry.Versions | None = None
) -> list[Cell]:
    """Return all cells of a request, each once, datasets outermost; ``data`` describes these.

    Raises:
        UsageError: for variants, settings or modalities that are unknown, do not fit or concern no method of
            the request, for settings that would undo a variant, or when nothing is requested.
    """
    _check(request, data)
    versions = registry.Versions() if versions is None else versions
    harness = {name: harness_of(name, versions) for name in request.conditions}
    names = Counter(name for name, _ in {(each.name, each.fingerprint) for each in data.values()})
    cells: dict[str, Cell] = {}
    for given, method in product(request.datasets, request.methods):
        variants = registry.method(method).variants
        offered = ["full", *variants]
        named = [name for word in request.variants for name in (offered if word == EVERY_VARIANT else [word])]
        for name in [name for name in dict.fromkeys(named) if name in offered]:
            cell = _variant(request, method, name, data[given], versions)
            cell = replace(cell, shares_name=names[data[given].name] > 1)
            for modalities in _modalities(request, method, data[given]):
                if name not in request.variants and not registry.concerns(variants.get(name, {}), modalities):
                    continue
                for condition, seed in product(request.conditions, request.seeds):
                    changes = {"modalities": modalities, "seed": seed, "condition": condition}
                    identity = structs.replace(cell.identity, harness=harness[condition], **changes)
                    file = request.condition_files.get(condition, "")
                    cells[identity.digest] = replace(cell, identity=identity, condition_file=file)
    if not cells:
        raise UsageError(
            "nothing to run: no method has the requested variant; see `python -m bench list methods`"
        )
    return list(cells.values())


def _modalities(request: Request, method: str, data: DataSource) -> list[tuple[str, ...]]:
    """Return the sets of modalities that a method gets, of those that the request admits, in their order."""
    few = data.kind == "look-alike" and request.profile == "quick"
    usual = data.modalities[: LOOK_ALIKE_MODALITIES if few else None]
    admitted = tuple(name for name in data.modalities if name in (request.modalities or usual))
    if len(admitted) < 2:
        raise UsageError(
            f"{data.name} has {', '.join(data.modalities)}, of {', '.join(request.modalities)} fewer than "
            "the two that retrieval needs; name other modalities, or leave this dataset out"
        )
    if registry.method(method).card.any_modalities:
        return [admitted]
    return list(combinations(admitted, 2))


def _variant(request: Request, method: str, name: str, data: DataSource, versions: registry.Versions) -> Cell:
    """Return a variant with its settings, and those of them that were overridden, spelled as the method does.

    Checking needs the method's class, which may take seconds to import: usual settings are left alone.
    """
    description = registry.method(method)
    everywhere = {k: v for k, v in request.overrides.get("*", {}).items() if k in description.defaults}
    overrides = {**everywhere, **request.overrides.get(method, {})}
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
    identity = Identity(
        method=method,
        variant=name,
        dataset=data.name,
        data_kind=data.kind,
        fingerprint=data.fingerprint,
        modalities=(),
        seed=0,
        profile=request.profile,
        threads=request.threads,
        settings={**usual, **changed},
        device=request.device,
        harness=versions.harness,
        code=versions.code(method),
    )
    return Cell(identity, data.given, changed, snapshot)


def _check(request: Request, data: Mapping[str, DataSource]) -> None:
    """Refuse unknown modalities and variants, and settings that would change nothing."""
    descriptions = {method: registry.method(method) for method in request.methods}
    variants = {name for method in descriptions.values() for name in method.variants}
    modalities = {name for given in request.datasets for name in data[given].modalities}
    for what, words, known in (
        ("modality of these datasets", [*request.modalities, *named_late(request.conditions)], modalities),
        ("variant", request.variants, {"full", EVERY_VARIANT, *variants}),
    ):
        for word in words:
            if word not in known:
                raise registry.unknown(what, word, known)
    for method in sorted(request.overrides.keys() - {"*", *request.methods}):
        raise UsageError(
            f"settings are given for {method}, which is not among the requested methods: "
            f"{', '.join(request.methods)}"
        )
    settings = {name: set(method.defaults) for name, method in descriptions.items()}
    settings["*"] = set().union(*settings.values())
    for method, changes in request.overrides.items():
        for key in sorted(changes.keys() - settings[method]):
            scope = "any of the methods" if method == "*" else method
            raise registry.unknown(f"setting of {scope}", key, settings[method])


class Shard(NamedTuple):
    """A part of a grid, counted from 1, for machines that share nothing."""

    number: int
    of: int

    def __str__(self) -> str:
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

    The cells of each method go to the shards in turn, beginning one shard further for each method: so every
    shard gets its part of every method and of every dataset. Shards depend on the request alone, not on what
    is recorded.
    """
    methods = list(dict.fromkeys(cell.identity.method for cell in cells))
    turns = {method: count(first) for first, method in enumerate(methods)}
    return [cell for cell in cells if next(turns[cell.identity.method]) % shard.of == shard.number - 1]


def describe_data(given: str, data_dir: Path | None, profile: str, cache: Path | None) -> DataSource:
    """Return the facts about a dataset that planning needs.

    Raises:
        UsageError: if there is no such dataset.
        DataError: if its files are absent and it has no look-alike, or if a bundle cannot be read.
    """
    from bench.data import card_of, fingerprint_of

    kind, fingerprint = fingerprint_of(given, data_dir, profile, cache=cache)
    card = card_of(given)
    return DataSource(given, card.name, kind, fingerprint, tuple(m.name for m in card.modalities))
