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
    values_of_row,
)


@dataclass(frozen=True)
class Difference:
    """A variant minus the method itself in one direction or on average.

    Attributes:
        spread: of the differences by seed, from the seeds that both have.
        comparison: the test over queries; None where none was made.
    """

    spread: Spread
    comparison: Comparison | None = None


@dataclass(frozen=True)
class Component:
    """One variant of a method.

    Attributes:
        label: of its row in the tables.
        changes: the settings in which it differs from the method itself; empty where it is the same here.
        modality: the modality that its only change names; empty where there is none.
        differences: by column; without those for which no seed is shared.
    """

    variant: str
    label: str
    changes: dict[str, Any]
    modality: str
    row: Row
    differences: dict[Direction, Difference]


@dataclass(frozen=True)
class Ablation:
    """A method and its variants on one data, with otherwise the same settings.

    Attributes:
        label: of the method's own row in the tables.
        usual: whether that row has the usual settings, and is the last such row.
        full: numbers of the method itself.
        components: variants in the order in which the method's file names them.
        choice: the setting by which variants fix a choice among modalities, and its value in the method
            itself; empty where there are no such variants.
        chosen: how many fits of the method itself chose which modality.
        quality: S_k, what the method went by when it chose, by modality: mean over its fits.
        missing: variants that this data admits and that are not recorded.
        omitted: what could not be compared, and why.
    """

    data: Data
    protocol: str
    selection: str
    method: str
    label: str
    columns: tuple[Direction, ...]
    full: Row
    components: tuple[Component, ...]
    choice: tuple[str, Any] = ("", None)
    chosen: dict[str, int] = field(default_factory=dict)
    quality: dict[str, Spread] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()
    usual: bool = True

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

    Args:
        ablation: as `ablations_of` made it.
        tables: average precisions per query; without that of this data there are no tests.
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
    components = tuple(
        replace(
            part,
            differences={
                column: Difference(difference.spread, tests.get((part.label, column)))
                for column, difference in part.differences.items()
            },
        )
        for part in ablation.components
    )
    return replace(ablation, components=components, omitted=(*ablation.omitted, *reasons_among(tried)))


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
    fitting = [
        (variant, [place for place, full in enumerate(fulls) if _is_variant_of(variant, full, labels)])
        for variant in groups
        if variant.key.variant != "full"
    ]
    support = Counter(place for _, places in fitting for place in places)
    families: dict[int, list[RowGroup]] = defaultdict(list)
    for variant, places in fitting:
        ranked = [
            (not fulls[place].usual, len(_changes(variant, fulls[place])), -support[place], place)
            for place in places
        ]
        if ranked:
            families[min(ranked)[-1]].append(variant)
    return [[fulls[place], *families[place]] for place in sorted(families)]


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
    order = {variant: place for place, variant in enumerate(offered)}
    variants.sort(key=lambda each: (order.get(each.key.variant, len(order)), each.label))
    directions = directions_of([record for group in family for record in group.records], results.labels)
    own_row, *rows = rows_of(results, [full, *variants], directions, protocol, selection)
    values, _ = seed_values(results, data, directions, protocol, selection)
    components = []
    for variant, row in zip(variants, rows, strict=True):
        changes = _changes(variant, full)
        named = [value for value in changes.values() if value in variant.modalities]
        modality = named[0] if named and len(changes) == 1 else ""
        by_seed = values_of_row(values, variant.label) - values_of_row(values, full.label)
        differences = {
            column: Difference(spread_of(numbers))
            for column in row.entries
            if (numbers := by_seed[column].dropna().tolist())
        }
        components.append(Component(variant.key.variant, variant.label, changes, modality, row, differences))
    fixing = min((name for part in components if part.modality for name in part.changes), default="")
    recorded = {part.variant for part in components}
    return Ablation(
        data=data,
        protocol=protocol,
        selection=selection,
        method=full.key.method,
        label=full.label,
        usual=full.usual,
        columns=(*directions, AVERAGE),
        full=own_row,
        components=tuple(components),
        choice=(fixing, full.identity.settings.get(fixing)),
        chosen=dict(
            sorted(Counter(note for note, modalities in _notes(full, fixing) if note in modalities).items())
        ),
        quality=_quality(full),
        missing=tuple(
            variant
            for variant, changes in offered.items()
            if variant not in recorded and registry.concerns(changes, full.modalities)
        ),
    )


def _quality(full: RowGroup) -> dict[str, Spread]:
    """Return the note ``quality`` by modality; whatever is no number by modality is no such note."""
    values: dict[str, list[float]] = defaultdict(list)
    for noted, modalities in _notes(full, "quality"):
        for modality in modalities if isinstance(noted, Mapping) else ():
            value = noted.get(modality)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                values[modality].append(float(value))
    return {modality: spread_of(numbers) for modality, numbers in values.items()}


def _notes(group: RowGroup, key: str) -> list[tuple[Any, tuple[str, ...]]]:
    """Return what each fit noted under a key, for a choice the setting that fixes it; and its modalities."""
    results = [(record.result, record.identity.modalities) for record in group.records]
    return [(None if result is None else result.notes.get(key), names) for result, names in results]
