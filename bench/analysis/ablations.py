"""What a method's parts are worth: each variant against the method itself, paired by seed and by query."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench import registry
from bench.analysis.comparisons import Comparison, Pair, average_of, compare, pair_of
from bench.analysis.groups import Data, RowGroup, by_data, row_groups
from bench.analysis.labels import Labels
from bench.analysis.per_query import PerQueryTable
from bench.analysis.tables import AVERAGE, Direction, Row, Spread, by_seed, excerpt_of, spread_of
from bench.records.schema import Identity, Record


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
        variant: its name.
        label: of its row in the tables.
        changes: the settings in which it differs from the method itself; empty where it is the same here.
        modality: the modality that its only change names; empty where there is none.
        row: its numbers.
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
        data: on which.
        protocol: id of the evaluation rule.
        selection: rule that chose the state.
        method: registry name.
        label: of the method's own row in the tables.
        usual: whether that row has the usual settings, and is the last such row.
        columns: directions, then the average.
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
        return tuple(one for one in self.components if one.modality and self.choice[0] in one.changes)


def ablations_of(
    records: Iterable[Record], labels: Labels, protocols: Sequence[str], selection: str = "best"
) -> list[Ablation]:
    """Return an ablation per data, method with recorded variants, and protocol; nothing is tested yet."""
    return [
        _ablation(data, line, members, labels, protocol, selection)
        for data, group in by_data(records).items()
        for line, members in _families(row_groups(group, labels), labels)
        for protocol in protocols
    ]


def with_tests(ablation: Ablation, fields: Sequence[PerQueryTable]) -> Ablation:
    """Return the ablation with tests over queries; Holm's adjustment is over the variants of a direction.

    Args:
        ablation: as `ablations_of` made it.
        fields: average precisions per query; without the one of this data there are no tests.
    """
    key = (ablation.data, ablation.protocol, ablation.selection)
    members = {
        member.label: member
        for one in fields
        if (one.data, one.protocol, one.selection) == key
        for member in one.rows
    }
    full = members.get(ablation.label)
    if full is None:
        return ablation
    directions = [column for column in ablation.columns if column != AVERAGE]
    tried = [
        average_of(members[component.label], full, directions)
        if column == AVERAGE
        else pair_of(members[component.label], full, column)
        for component in ablation.components
        if component.label in members
        for column in ablation.columns
        if column in component.differences and full.values.keys() >= set(_over(column, directions))
    ]
    compared = {
        (one.first, one.direction): one for one in compare([pair for pair in tried if isinstance(pair, Pair)])
    }
    components = tuple(_marked(component, compared) for component in ablation.components)
    omitted = (*ablation.omitted, *(reason for reason in tried if isinstance(reason, str)))
    return replace(ablation, components=components, omitted=omitted)


def unablated(records: Iterable[Record], labels: Labels) -> dict[str, list[Data]]:
    """Return, by method that has variants, the data on which it was run and none of them was."""
    found: dict[str, list[Data]] = defaultdict(list)
    for data, group in by_data(records).items():
        variants: dict[str, set[str]] = defaultdict(set)
        for record in group:
            variants[record.identity.method].add(record.identity.variant)
        for method in sorted(variants, key=labels.order):
            if labels.variants(method) and variants[method] == {"full"}:
                found[method].append(data)
    return {method: found[method] for method in sorted(found, key=labels.order)}


def _over(column: Direction, directions: Sequence[Direction]) -> Sequence[Direction]:
    """Return the directions that a column is about."""
    return directions if column == AVERAGE else [column]


def _marked(component: Component, compared: Mapping[tuple[str, Direction], Comparison]) -> Component:
    differences = {
        direction: replace(one, comparison=compared.get((component.label, direction)))
        for direction, one in component.differences.items()
    }
    return replace(component, differences=differences)


def _families(lines: Sequence[RowGroup], labels: Labels) -> list[tuple[RowGroup, list[RowGroup]]]:
    """Return each line of a method itself that has variants, with these.

    A variant belongs to the line that it differs from only by what it changes. Where that fits several, as
    after a sweep of a setting that it changes, the one with the usual settings has it, or else the nearest
    one, or else the one that most variants fit.
    """
    fulls = [line for line in lines if line.identity.variant == "full"]
    fitting = {
        place: [number for number, full in enumerate(fulls) if _differs_by_variant(line, full, labels)]
        for place, line in enumerate(lines)
        if line.identity.variant != "full"
    }
    support = Counter(number for numbers in fitting.values() for number in numbers)
    families: dict[int, list[RowGroup]] = defaultdict(list)
    for place, numbers in fitting.items():
        one = lines[place].identity
        ranked = [
            (
                not fulls[number].usual,
                len(_changes(one, fulls[number].identity)),
                -support[number],
                number,
            )
            for number in numbers
        ]
        if ranked:
            families[min(ranked)[-1]].append(lines[place])
    return [(fulls[number], families[number]) for number in sorted(families)]


def _differs_by_variant(line: RowGroup, full: RowGroup, labels: Labels) -> bool:
    one, other = line.identity, full.identity
    if line.key._replace(variant="full", settings="") != full.key._replace(settings=""):
        return False
    changed = _changed_by_variant(line, labels)
    # What a variant that is registered no more changed cannot be known: what differs is shown.
    return changed is None or _changes(one, other).keys() <= changed


def _changed_by_variant(line: RowGroup, labels: Labels) -> set[str] | None:
    """Return the settings that a variant sets, as its records say or as registered; None where unknown."""
    snapshot = line.records[0].method
    noted = {key for key, origin in snapshot.origins.items() if origin == "variant"} if snapshot else set()
    known = labels.variants(line.identity.method)
    return noted or (set(known[line.identity.variant]) if line.identity.variant in known else None)


def _changes(one: Identity, other: Identity) -> dict[str, Any]:
    """Return the settings of the one in which it differs from the other."""
    keys = sorted(one.settings.keys() | other.settings.keys())
    return {
        key: one.settings.get(key)
        for key in keys
        if key not in one.settings or key not in other.settings or one.settings[key] != other.settings[key]
    }


def _ablation(
    data: Data, line: RowGroup, members: Sequence[RowGroup], labels: Labels, protocol: str, selection: str
) -> Ablation:
    who = line.identity
    offered = [*labels.variants(who.method)]
    order = {variant: place for place, variant in enumerate(offered)}
    ordered = sorted(members, key=lambda one: (order.get(one.identity.variant, len(order)), one.label))
    excerpt = excerpt_of([line, *ordered], labels, protocol, selection)
    own = by_seed(line.records, excerpt.columns, protocol, selection)
    components = [
        _component(
            one, row, who, excerpt.columns, by_seed(one.records, excerpt.columns, protocol, selection), own
        )
        for one, row in zip(ordered, excerpt.rows[1:], strict=True)
    ]
    fixing = sorted({key for component in components if component.modality for key in component.changes})
    recorded = {component.variant for component in components}
    return Ablation(
        data=data,
        protocol=protocol,
        selection=selection,
        method=who.method,
        label=line.label,
        usual=line.usual,
        columns=excerpt.columns,
        full=excerpt.rows[0],
        components=tuple(components),
        choice=(fixing[0], who.settings.get(fixing[0])) if fixing else ("", None),
        chosen=chosen_of(line.records, fixing[:1]),
        quality=quality_of(line.records),
        missing=tuple(
            variant
            for variant, changes in labels.variants(who.method).items()
            if variant not in recorded and registry.concerns(changes, _modalities(line.records))
        ),
    )


def _component(
    line: RowGroup,
    row: Row,
    full: Identity,
    columns: Sequence[Direction],
    values: Mapping[Direction, Mapping[int, float]],
    own: Mapping[Direction, Mapping[int, float]],
) -> Component:
    differences = {}
    for column in columns:
        seeds = sorted(values.get(column, {}).keys() & own.get(column, {}).keys())
        spread = spread_of([values[column][seed] - own[column][seed] for seed in seeds])
        if spread is not None:
            differences[column] = Difference(spread)
    changes = _changes(line.identity, full)
    named = [value for value in changes.values() if value in _modalities(line.records)]
    return Component(
        variant=line.identity.variant,
        label=line.label,
        changes=changes,
        modality=named[0] if named and len(changes) == 1 else "",
        row=row,
        differences=differences,
    )


def _modalities(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record.identity.modalities))


def quality_of(records: Sequence[Record]) -> dict[str, Spread]:
    """Return the note ``quality`` by modality; whatever is no number by modality is no such note."""
    values: dict[str, list[float]] = defaultdict(list)
    for record in records:
        noted = _note(record, "quality")
        for modality in record.identity.modalities if isinstance(noted, Mapping) else ():
            value = noted.get(modality)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                values[modality].append(float(value))
    spreads = {modality: spread_of(numbers) for modality, numbers in values.items()}
    return {modality: spread for modality, spread in spreads.items() if spread is not None}


def chosen_of(records: Sequence[Record], keys: Iterable[str]) -> dict[str, int]:
    """Return how often each modality was chosen, by the notes called as the settings that fix the choice."""
    notes = [(_note(record, key), record.identity.modalities) for key in sorted(keys) for record in records]
    return dict(sorted(Counter(note for note, modalities in notes if note in modalities).items()))


def _note(record: Record, key: str) -> Any:
    return None if record.result is None else record.result.notes.get(key)
