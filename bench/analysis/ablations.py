"""Ablations: each variant of a method against the method itself, paired by seed and by query."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench import registry
from bench.analysis.comparisons import Comparison, average_of, compare, pair_of, reasons_among
from bench.analysis.groups import Data, RowGroup
from bench.analysis.labels import Labels, changed_settings
from bench.analysis.per_query import PerQueryTable
from bench.analysis.results import Results
from bench.analysis.tables import (
    AVERAGE,
    Direction,
    Row,
    Spread,
    directions_of,
    rows_of,
    seed_values,
    spread_of,
)


@dataclass(frozen=True)
class Difference:
    """A variant minus the method itself in one direction or on average."""

    spread: Spread  # of the differences by seed, from the seeds that both have
    comparison: Comparison | None = None  # the test over queries; None where none was made


@dataclass(frozen=True)
class Component:
    """One variant of a method."""

    variant: str
    label: str  # of its row in the tables
    changes: dict[str, Any]  # settings that differ from the method itself; may be empty
    modality: str  # the modality that its only change names; empty where there is none
    row: Row
    differences: dict[Direction, Difference]  # by column; without those for which no seed is shared


@dataclass(frozen=True)
class Ablation:
    """A method and its variants on one data, with otherwise the same settings."""

    data: Data
    protocol: str
    selection: str
    method: str
    label: str  # of the row of the method itself
    columns: tuple[Direction, ...]
    full: Row  # numbers of the method itself
    components: tuple[Component, ...]  # variants in the order in which the method's file names them
    choice: tuple[str, Any] = ("", None)  # setting that fixes a choice among modalities, its usual value
    chosen: dict[str, int] = field(default_factory=dict)  # how many fits of the method chose which modality
    quality: dict[str, Spread] = field(default_factory=dict)  # S_k of its fits by modality, by which it chose
    missing: tuple[str, ...] = ()  # variants that this data admits and that are not recorded
    omitted: tuple[str, ...] = ()  # what could not be compared, and why
    usual: bool = True  # whether that row has the usual settings, and is the last such row

    @property
    def itself(self) -> Component:
        """Return the method itself as a variant without changes."""
        return Component("full", self.label, {}, "", self.full, {})

    @property
    def choices(self) -> tuple[Component, ...]:
        """Return the variants that fix the choice among modalities."""
        return tuple(part for part in self.components if part.modality and self.choice[0] in part.changes)


def ablations_of(results: Results, protocols: Sequence[str], selection: str = "best") -> list[Ablation]:
    """Return an ablation per data, method with recorded variants, and protocol; nothing is tested yet."""
    return [
        _ablation(results, data, family, protocol, selection)
        for data, groups in results.groups.items()
        for family in _families(groups, results.labels)
        for protocol in (results.protocol_id(data, name) for name in protocols)
    ]


def with_tests(ablation: Ablation, tables: Sequence[PerQueryTable]) -> Ablation:
    """Return the ablation with tests over queries; Holm's adjustment is over the variants of a direction.

    Without average precisions per query of this data among ``tables`` there are no tests.
    """
    key = (ablation.data, ablation.protocol, ablation.selection)
    rows = {row.label: row for table in tables if table.key == key for row in table.rows}
    full = rows.get(ablation.label)
    if full is None:
        return ablation
    directions = [column for column in ablation.columns if column != AVERAGE]
    tried = [
        average_of(rows[part.label], full, directions)
        if column == AVERAGE
        else pair_of(rows[part.label], full, column)
        for part in ablation.components
        if part.label in rows
        for column in part.differences
        if full.values.keys() >= set(directions if column == AVERAGE else [column])
    ]
    tests = {(test.first, test.direction): test for test in compare(tried)}
    components = []
    for part in ablation.components:
        tested = {
            column: replace(difference, comparison=tests.get((part.label, column)))
            for column, difference in part.differences.items()
        }
        components.append(replace(part, differences=tested))
    omitted = *ablation.omitted, *reasons_among(tried)
    return replace(ablation, components=tuple(components), omitted=omitted)


def unablated(results: Results) -> dict[str, list[Data]]:
    """Return, by method that has variants, the data on which it was run and none of them was."""
    found: dict[str, list[Data]] = defaultdict(list)
    for data, groups in results.groups.items():
        pairs = {group.key[:2] for group in groups}
        for method in {method for method, _ in pairs if results.labels.variants(method)}:
            if {variant for name, variant in pairs if name == method} == {"full"}:
                found[method].append(data)
    return {method: found[method] for method in sorted(found, key=results.labels.order)}


def _families(groups: Sequence[RowGroup], labels: Labels) -> list[list[RowGroup]]:
    """Return each row of a method itself that has variants, followed by these.

    A variant belongs to the row that it differs from only by what it changes. Where that fits several, as
    after a sweep of a setting that it changes, the one with the usual settings has it, or else the nearest
    one, or else the one that most variants fit.
    """
    fulls = [group for group in groups if group.key.variant == "full"]
    variants = [group for group in groups if group.key.variant != "full"]
    fitting = [
        [index for index, full in enumerate(fulls) if _is_variant_of(variant, full, labels)]
        for variant in variants
    ]
    support = Counter(index for indices in fitting for index in indices)
    families: dict[int, list[RowGroup]] = defaultdict(list)
    for variant, indices in zip(variants, fitting, strict=True):
        changes = {index: len(_changes(variant, fulls[index])) for index in indices}
        ranked = ((not fulls[index].usual, changes[index], -support[index], index) for index in indices)
        if best := min(ranked, default=None):
            families[best[-1]].append(variant)
    return [[fulls[index], *families[index]] for index in sorted(families)]


def _is_variant_of(variant: RowGroup, full: RowGroup, labels: Labels) -> bool:
    """Return whether a variant differs from a row by nothing but the settings that it sets."""
    if variant.key._replace(variant="full", settings="") != full.key._replace(settings=""):
        return False
    snapshot = variant.records[0].method
    noted = {name for name, origin in snapshot.origins.items() if origin == "variant"} if snapshot else set()
    known = labels.variants(variant.key.method)
    if not noted and variant.key.variant not in known:
        return True  # a variant that is registered no more: what it changed cannot be known
    return _changes(variant, full).keys() <= (noted or {*known[variant.key.variant]})


def _changes(variant: RowGroup, full: RowGroup) -> dict[str, Any]:
    return changed_settings(variant.identity.settings, full.identity.settings)


def _ablation(
    results: Results, data: Data, family: Sequence[RowGroup], protocol: str, selection: str
) -> Ablation:
    full, *variants = family
    offered = results.labels.variants(full.key.method)
    order = {variant: index for index, variant in enumerate(offered)}
    variants.sort(key=lambda each: (order.get(each.key.variant, len(order)), each.label))
    directions = directions_of(family, results.labels)
    full_row, *rows = rows_of(results, [full, *variants], directions, protocol, selection)
    by_label = results.numbers(data, protocol, selection)
    itself = seed_values(by_label[full.label], directions)
    components = []
    for variant, row in zip(variants, rows, strict=True):
        changes = _changes(variant, full)
        named = [value for value in changes.values() if value in variant.modalities]
        modality = named[0] if named and len(changes) == 1 else ""
        values = seed_values(by_label[variant.label], directions)
        both = [(numbers, itself[seed]) for seed, numbers in values.items() if seed in itself]
        differences = {
            column: Difference(spread_of(found))
            for column in row.entries
            if (found := [one[column] - other[column] for one, other in both if column in one.keys() & other])
        }
        components.append(Component(variant.key.variant, variant.label, changes, modality, row, differences))
    fixing = min((name for part in components if part.modality for name in part.changes), default="")
    recorded = {part.variant for part in components}
    chosen, quality = _chosen(full, fixing)
    return Ablation(
        data=data,
        protocol=protocol,
        selection=selection,
        method=full.key.method,
        label=full.label,
        usual=full.usual,
        columns=(*directions, AVERAGE),
        full=full_row,
        components=tuple(components),
        choice=(fixing, full.identity.settings.get(fixing)),
        chosen=chosen,
        quality=quality,
        missing=tuple(
            variant
            for variant, changes in offered.items()
            if variant not in recorded and registry.concerns(changes, full.modalities)
        ),
    )


def _chosen(full: RowGroup, fixing: str) -> tuple[dict[str, int], dict[str, Spread]]:
    """Return how many fits noted which modality under the setting that fixes it, and the notes ``quality``.

    Whatever is no number by modality is no such note.
    """
    counts, values = Counter[str](), defaultdict[str, list[float]](list)
    for record in full.records:
        notes = {} if record.result is None else record.result.notes
        noted, quality = notes.get(fixing), notes.get("quality")
        for modality in record.identity.modalities:
            counts[modality] += noted == modality
            value = quality.get(modality) if isinstance(quality, Mapping) else None
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                values[modality].append(float(value))
    chosen = {modality: count for modality, count in sorted(counts.items()) if count}
    return chosen, {modality: spread_of(numbers) for modality, numbers in values.items()}
