"""Paired comparisons of methods over queries: families against a reference, two named rows, marks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, TypeVar

import numpy as np

from bench.analysis.groups import Data
from bench.analysis.labels import EARLIER, newest_first
from bench.analysis.per_query import Array, PerQueryRow, PerQueryTable
from bench.analysis.statistics import (
    ALPHA,
    PERMUTATIONS,
    Interval,
    holm,
    is_exact,
    paired_permutation_test,
    two_level_intervals,
)
from bench.analysis.tables import AVERAGE, Direction, Row, Table, direction_name
from bench.contract.errors import UsageError
from bench.registry import unknown

T = TypeVar("T")


@dataclass(frozen=True)
class Comparison:
    """One method against another in one direction, or on average over all of them.

    Attributes:
        first: label of the method that is compared.
        second: label of what it is compared with.
        direction: query and gallery, or `AVERAGE`.
        queries: how many both ranked; for an average the rows that these are of.
        seeds: those that both have; average precisions are means over them.
        means: mAP of the first and of the second, over these seeds.
        difference: the first mean minus the second.
        effect: the same in standard deviations of the per-query differences (Cohen's d for pairs); None
            where these do not vary.
        p: of the two-sided randomization test over queries.
        adjusted: after Holm over the family.
        exact: whether every deal of signs was counted.
        interval: of the difference.
    """

    first: str
    second: str
    direction: Direction
    queries: int
    seeds: tuple[int, ...]
    means: tuple[float, float]
    difference: float
    effect: float | None
    p: float
    adjusted: float
    exact: bool
    interval: Interval

    @property
    def differs(self) -> bool:
        """Whether the trained models differ over queries, at `ALPHA` after Holm."""
        return self.adjusted <= ALPHA

    @property
    def holds(self) -> bool:
        """Whether they also differ beyond what seeds vary; of one seed's models only that they differ."""
        return self.differs and not self.interval.holds_zero


@dataclass(frozen=True)
class Pair:
    """What a comparison needs.

    Attributes:
        first: label.
        second: label.
        direction: query and gallery, or `AVERAGE`.
        seeds: those that both have.
        means: mAP of both.
        differences: ``(seeds, queries)``, the first minus the second.
        strata: sizes of the consecutive groups of queries that are resampled by themselves; empty for one.
    """

    first: str
    second: str
    direction: Direction
    seeds: tuple[int, ...]
    means: tuple[float, float]
    differences: Array
    strata: tuple[int, ...] = ()


@dataclass(frozen=True)
class Family:
    """Comparisons that answer one question; Holm's adjustment is over those of one direction.

    Attributes:
        table: the rows that they are among.
        reference: label of the row that all others are compared with; empty for all pairs.
        comparisons: by direction, then in the tables' order.
        omitted: what could not be compared, and why.
    """

    table: PerQueryTable
    reference: str
    comparisons: tuple[Comparison, ...]
    omitted: tuple[str, ...]


def reference_of(members: Iterable[PerQueryRow], method: str) -> PerQueryRow | None:
    """Return the row of a method as it is usually set; None if there is none."""
    own = [member for member in members if member.method == method and member.variant == "full"]
    return next((member for member in own if member.usual), own[0] if own else None)


def principals(members: Sequence[PerQueryRow]) -> list[PerQueryRow]:
    """Return the rows that stand for their methods: with usual settings, or any where there is none such.

    Variants and other settings of a method are compared with the method itself, in the report's ablations;
    among all methods they would only make every other comparison pay for their number.
    """
    usual = {member.method for member in members if member.usual}
    return [member for member in members if member.usual or member.method not in usual]


def against_reference(field: PerQueryTable, method: str, permutations: int = PERMUTATIONS) -> Family:
    """Compare every other row with that of ``method``."""
    return families_against([field], method, permutations)[0]


def families_against(
    fields: Sequence[PerQueryTable], method: str, permutations: int = PERMUTATIONS
) -> list[Family]:
    """Compare every other row with that of ``method``, in each field; quicker than one field at a time."""
    return _families([_against(field, method) for field in fields], permutations)


def all_pairs(field: PerQueryTable, permutations: int = PERMUTATIONS) -> Family:
    """Compare every row with every other; of a method, only the row with its usual settings."""
    return _families([_Plan(field, "", list(combinations(principals(field.rows), 2)))], permutations)[0]


def compare(
    pairs: Sequence[Pair], permutations: int = PERMUTATIONS, *, one_family: bool = False
) -> list[Comparison]:
    """Test all pairs, in their order.

    Holm's adjustment is over those of one direction, or of all directions as ``one_family``; averages are one
    question by themselves.
    """
    return _compare_each([pairs], permutations, one_family=one_family)[0]


def pair_of(first: PerQueryRow, second: PerQueryRow, direction: Direction) -> Pair | str:
    """Return what two rows share in a direction, or why they cannot be compared."""
    one, other = (member.values.get(direction, {}) for member in (first, second))
    seeds = sorted(one.keys() & other.keys())
    where = f"{direction_name(direction)}: {first.label} and {second.label}"
    if not seeds:
        return f"{where} have no seed in common"
    lengths = {len(values[seed]) for values in (one, other) for seed in seeds}
    if len(lengths) > 1 or 0 in lengths:
        return f"{where} were not asked the same queries ({', '.join(map(str, sorted(lengths)))})"
    return _stacked(first, second, direction, seeds)


def _stacked(first: PerQueryRow, second: PerQueryRow, direction: Direction, seeds: Sequence[int]) -> Pair:
    """Return what two rows have in a direction under the same seeds."""
    values = [np.stack([member.values[direction][seed] for seed in seeds]) for member in (first, second)]
    means = float(values[0].mean()), float(values[1].mean())
    return Pair(first.label, second.label, direction, tuple(seeds), means, values[0] - values[1])


def average_of(
    first: PerQueryRow,
    second: PerQueryRow,
    directions: Sequence[Direction],
    known: Mapping[Direction, Pair | str] | None = None,
) -> Pair | str:
    """Return what two rows share on average over directions, or why they cannot be compared.

    A row of the test split is a query of several directions, and what makes it hard there makes it hard here:
    its differences are averaged first, so that they are resampled and change sign together. Where all
    directions have as many queries, row i of each is taken for the same item; otherwise only the directions
    of one modality's queries are put together, and each modality is a stratum.

    Args:
        first: the one row.
        second: the other.
        directions: at least one.
        known: what `pair_of` gives for each direction, where that is at hand.
    """
    where = f"{direction_name(AVERAGE)}: {first.label} and {second.label}"
    found = [(known or {}).get(one) or pair_of(first, second, one) for one in directions]
    pairs = [pair for pair in found if isinstance(pair, Pair)]
    if len(pairs) < len(found):
        return f"{where} cannot be compared in every direction"
    seeds = sorted(set.intersection(*(set(pair.seeds) for pair in pairs)))
    if not seeds:
        return f"{where} share no seed that has all directions"
    # Of some direction one of the rows may have further seeds.
    every = [
        pair if len(pair.seeds) == len(seeds) else _stacked(first, second, pair.direction, seeds)
        for pair in pairs
    ]
    means = tuple(sum(pair.means[side] for pair in every) / len(every) for side in range(2))
    differences, strata = _averaged(directions, [pair.differences for pair in every])
    return Pair(first.label, second.label, AVERAGE, tuple(seeds), (means[0], means[1]), differences, strata)


def _averaged(directions: Sequence[Direction], tables: Sequence[Array]) -> tuple[Array, tuple[int, ...]]:
    """Return differences ``(seeds, rows)`` whose mean is the mean over directions, and their strata.

    Args:
        directions: at least one.
        tables: ``(seeds, queries)`` for each direction.
    """
    if len({table.shape[1] for table in tables}) == 1:
        return np.mean(tables, axis=0), ()
    by_query: dict[str, list[Array]] = defaultdict(list)
    for direction, table in zip(directions, tables, strict=True):
        by_query[direction[0]].append(table)
    strata = {name: members[0].shape[1] for name, members in by_query.items()}
    total = sum(strata.values())
    # The mean over all columns weights a stratum by its size: it has to count by its directions instead.
    scaled = [
        np.sum(members, axis=0) * (total / (len(tables) * strata[name])) for name, members in by_query.items()
    ]
    return np.concatenate(scaled, axis=1), tuple(strata.values())


@dataclass(frozen=True)
class _Plan:
    """What a family is to compare; ``lack`` says why nothing can be compared, if so."""

    table: PerQueryTable
    reference: str
    couples: Sequence[tuple[PerQueryRow, PerQueryRow]]
    lack: tuple[str, ...] = ()

    def tried(self) -> list[Pair | str]:
        """Return every pair by direction and on average, or why it cannot be compared."""
        single = {
            (place, direction): pair_of(*couple, direction)
            for direction in self.table.directions
            for place, couple in enumerate(self.couples)
            if any(direction in member.values for member in couple)
        }
        every = self.table.averaged
        averages = [
            average_of(*couple, every, {direction: single[place, direction] for direction in every})
            for place, couple in enumerate(self.couples)
            if len(every) > 1 and all(member.values.keys() >= set(every) for member in couple)
        ]
        return [*single.values(), *averages]


def _against(field: PerQueryTable, method: str) -> _Plan:
    reference = reference_of(field.rows, method)
    if reference is None:
        return _Plan(field, "", (), (f"{method or 'the reference'} has no result here to compare with",))
    others = [member for member in principals(field.rows) if member is not reference]
    return _Plan(field, reference.label, [(reference, other) for other in others])


def _families(plans: Sequence[_Plan], permutations: int) -> list[Family]:
    tried = [plan.tried() for plan in plans]
    pairs = [[pair for pair in found if isinstance(pair, Pair)] for found in tried]
    comparisons = _compare_each(pairs, permutations)
    return [
        Family(
            plan.table,
            plan.reference,
            tuple(compared),
            (*plan.lack, *(pair for pair in found if isinstance(pair, str))),
        )
        for plan, found, compared in zip(plans, tried, comparisons, strict=True)
    ]


def _compare_each(
    families: Sequence[Sequence[Pair]], permutations: int, *, one_family: bool = False
) -> list[list[Comparison]]:
    """Test the pairs of several families at once, with the outcome that each has alone."""
    pairs = [pair for family in families for pair in family]
    queries = [pair.differences.shape[1] for pair in pairs]
    p_values = _grouped(pairs, queries, lambda group: _p_values(group, permutations))
    draws = [key for family in families for key in _draws(family)]
    intervals = _grouped(pairs, draws, _intervals)
    tested = zip(pairs, p_values, intervals, strict=True)
    found = [_comparison(pair, p, interval, permutations) for pair, p, interval in tested]
    results, start = [], 0
    for family in families:
        own = found[start : start + len(family)]
        start += len(family)
        adjusted = _adjusted(own, one_family)
        results.append([replace(one, adjusted=value) for one, value in zip(own, adjusted, strict=True)])
    return results


def _draws(family: Sequence[Pair]) -> list[tuple[tuple[int, ...], ...]]:
    """Return what the draws of each pair's interval depend on: queries, and its family's seed counts."""
    seeds: dict[tuple[int, ...], set[int]] = defaultdict(set)
    for pair in family:
        seeds[_strata(pair)].add(len(pair.differences))
    keys = {strata: (strata, tuple(sorted(counts))) for strata, counts in seeds.items()}
    return [keys[_strata(pair)] for pair in family]


def _strata(pair: Pair) -> tuple[int, ...]:
    return pair.strata or (pair.differences.shape[1],)


def _intervals(pairs: list[Pair]) -> list[Interval]:
    """Return the intervals of pairs of the same strata."""
    return two_level_intervals([one.differences for one in pairs], strata=pairs[0].strata)


def _grouped(
    pairs: Sequence[Pair], keys: Sequence[Hashable], test: Callable[[list[Pair]], Iterable[T]]
) -> list[T]:
    """Test pairs of the same key at once, for they share signs or draws; in the pairs' order."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        groups[key].append(place)
    results: dict[int, T] = {}
    for places in groups.values():
        results.update(zip(places, test([pairs[place] for place in places]), strict=True))
    return [results[place] for place in range(len(pairs))]


def _p_values(pairs: list[Pair], permutations: int) -> list[float]:
    columns = np.stack([pair.differences.mean(axis=0) for pair in pairs], axis=1)
    return [float(p) for p in paired_permutation_test(columns, permutations)]


def _comparison(pair: Pair, p: float, interval: Interval, permutations: int) -> Comparison:
    by_query = pair.differences.mean(axis=0)
    mean = float(by_query.mean())
    deviation = _deviation(by_query, _strata(pair))
    return Comparison(
        first=pair.first,
        second=pair.second,
        direction=pair.direction,
        queries=len(by_query),
        seeds=pair.seeds,
        means=pair.means,
        difference=mean,
        effect=mean / deviation if deviation > 0 else None,
        p=p,
        adjusted=p,
        exact=is_exact(len(by_query), permutations),
        interval=interval,
    )


def _deviation(by_query: Array, strata: Sequence[int]) -> float:
    """Return the standard deviation of differences ``(queries,)`` around the mean of their own stratum."""
    freedom = len(by_query) - len(strata)
    parts = np.split(by_query, np.cumsum(strata)[:-1]) if len(strata) > 1 else [by_query]
    squares = sum(float(np.square(part - part.mean()).sum()) for part in parts)
    return float(np.sqrt(squares / freedom)) if freedom > 0 else 0.0


def _adjusted(comparisons: Sequence[Comparison], one_family: bool) -> list[float]:
    families: dict[Direction | None, list[int]] = defaultdict(list)
    for place, comparison in enumerate(comparisons):
        apart = comparison.direction == AVERAGE or not one_family
        families[comparison.direction if apart else None].append(place)
    adjusted = [0.0] * len(comparisons)
    for places in families.values():
        values = holm(np.array([comparisons[place].p for place in places]))
        for place, value in zip(places, values, strict=True):
            adjusted[place] = float(value)
    return adjusted


@dataclass(frozen=True)
class PairwiseComparison:
    """Two rows on one data.

    Attributes:
        table: what they were compared in, which is where the first is from.
        other: data of the second: the same, or of two folders that of other code.
        first: label of the one, which says how it was set.
        second: label of the other.
        comparisons: one per direction, with the names that were asked for, and one of the average; Holm is
            over the directions.
        omitted: directions that could not be compared, and why.
    """

    table: PerQueryTable
    other: Data
    first: str
    second: str
    comparisons: tuple[Comparison, ...]
    omitted: tuple[str, ...]


def pairwise_comparisons(
    first: tuple[str, str, Sequence[PerQueryTable]],
    second: tuple[str, str, Sequence[PerQueryTable]],
    *,
    across_code: bool = False,
) -> list[PairwiseComparison]:
    """Compare two rows on every data that both have results on, nothing mixed.

    Args:
        first: name of the row as `row_named` takes it; what to add to its label; the fields to look in.
        second: the same of the other row.
        across_code: whether rows may be of different versions of the harness, as before and after a change.

    Raises:
        UsageError: if there is no such row, or none on the same data, or both are the same, or they are on
            several versions of one dataset.
    """
    sides = [dict(_found(*side)) for side in (first, second)]
    couples = _couples(list(sides[0]), list(sides[1]), across_code)
    if not couples:
        raise UsageError(
            f"{first[0]}{first[1]} and {second[0]}{second[1]} have no result on the same data: "
            f"{_places(sides[0])} against {_places(sides[1])}; run both with the same profile on the same "
            "data and device"
        )
    _require_one_version([one[0] for one, _ in couples])
    names = first[0] + first[1], second[0] + second[1]
    return [_duel((one, other), names, (sides[0][one], sides[1][other])) for one, other in couples]


_Key = tuple[Data, str, str]
"""Data, protocol and selection rule of a field."""


def _couples(ours: Sequence[_Key], theirs: Sequence[_Key], across_code: bool) -> list[tuple[_Key, _Key]]:
    """Return the fields to compare: the same, or else the newest of either side but for the harness."""
    same = [(key, key) for key in ours if key in theirs]
    if not across_code:
        return same
    known = {_but_for_code(key) for key, _ in same}
    left = [key for key in dict.fromkeys(map(_but_for_code, ours)) if key not in known]
    return same + [
        (_newest(ours, key), _newest(theirs, key)) for key in left if key in map(_but_for_code, theirs)
    ]


def _but_for_code(key: _Key) -> _Key:
    return key[0]._replace(harness=""), key[1], key[2]


def _newest(keys: Sequence[_Key], wanted: _Key) -> _Key:
    fitting = [key for key in keys if _but_for_code(key) == wanted]
    return min(fitting, key=lambda key: newest_first(key[0].harness))


def _require_one_version(found: Sequence[Data]) -> None:
    """Refuse data that share a name alone: nobody can have meant both.

    Raises:
        UsageError: with how to name one.
    """
    for data in found:
        others = sorted(
            {
                one.fingerprint
                for one in found
                if one._replace(fingerprint="") == data._replace(fingerprint="")
            }
        )
        if len(others) > 1:
            words = [f"{data.dataset}@{fingerprint[:8]}" for fingerprint in others]
            raise UsageError(
                f"{len(others)} versions of {data.dataset} are recorded: {', '.join(words)}; name one, such "
                f"as --dataset {words[0]}, or the path of its file"
            )


def row_named(name: str, members: Sequence[PerQueryRow]) -> PerQueryRow | None:
    """Return the row that is meant: by its whole label, its method, or its method/variant.

    A method's name means the row with its usual settings where there are several.

    Raises:
        UsageError: if several rows fit equally well.
    """
    labelled = [member for member in members if member.label == name]
    fitting = labelled or [member for member in members if _short(member) == name]
    if len(fitting) > 1:
        fitting = [member for member in fitting if member.usual] or fitting
    if len(fitting) > 1:
        labels = ", ".join(repr(member.label) for member in fitting)
        raise UsageError(f"{len(fitting)} rows are of {name}; name one by its whole label: {labels}")
    return fitting[0] if fitting else None


def _found(name: str, suffix: str, fields: Sequence[PerQueryTable]) -> Iterator[tuple[_Key, PerQueryRow]]:
    members = [member for field in fields for member in field.rows]
    if not any(name in (member.label, _short(member)) for member in members):
        known = {word for member in members for word in (member.label, _short(member))}
        raise unknown(f"method with a result here{suffix}", name, known)
    for field in fields:
        member = row_named(name, field.rows)
        if member is not None:
            yield (field.data, field.protocol, field.selection), member


def _duel(
    keys: tuple[_Key, _Key], names: tuple[str, str], members: tuple[PerQueryRow, PerQueryRow]
) -> PairwiseComparison:
    if members[0] is members[1]:
        raise UsageError(f"{names[0]} would be compared with itself; name two methods, or --other-results")
    one, other = (replace(member, label=name) for member, name in zip(members, names, strict=True))
    directions = sorted(one.values.keys() | other.values.keys())
    tried = [pair_of(one, other, direction) for direction in directions]
    if len(directions) > 1 and one.values.keys() == other.values.keys():
        tried.append(average_of(one, other, directions))
    pairs = [pair for pair in tried if isinstance(pair, Pair)]
    omitted = tuple(pair for pair in tried if isinstance(pair, str))
    field = PerQueryTable(*keys[0], members)
    labels = members[0].label, members[1].label
    return PairwiseComparison(field, keys[1][0], *labels, tuple(compare(pairs, one_family=True)), omitted)


def _short(member: PerQueryRow) -> str:
    return member.method if member.variant == "full" else f"{member.method}/{member.variant}"


def _places(found: Iterable[_Key]) -> str:
    return ", ".join(
        f"{data.kind} data {data.fingerprint[:8]} in the {data.profile} profile on {data.device}, "
        f"{f'code {data.harness}' if data.harness else EARLIER}"
        for data, *_ in found
    )


HOLDS: Final = "a"
"""Differs over queries, and the interval over seeds and queries leaves zero out."""

MODELS_ONLY: Final = "b"
"""The trained models differ over queries, but the interval holds zero."""


def significance_mark(comparison: Comparison) -> str:
    """Return the mark of the row that a reference is compared with; empty where they are not told apart."""
    if not comparison.differs:
        return ""
    return HOLDS if comparison.holds else MODELS_ONLY


def with_marks(tables: Sequence[Table], families: Sequence[Family]) -> list[Table]:
    """Return the tables with marks from the families that compare with a reference."""
    found = {(one.table.data, one.table.protocol, one.table.selection): one for one in families}
    return [
        _table_with_marks(table, found.get((table.data, table.protocol, table.selection))) for table in tables
    ]


def marks_note(table: Table) -> str:
    """Return what the marks of a table say, in words."""
    one_seed = any(entry.seeds == 1 for row in table.rows for entry in row.entries.values())
    return (
        f"{HOLDS}: differs from {table.reference} in this column (randomization test over queries, "
        f"Holm-adjusted p ≤ {ALPHA}), and the 95 % interval over seeds and queries leaves zero out; "
        f"{MODELS_ONLY}: these trained models differ, but the interval holds zero."
        + (" With one seed the interval lacks the variation over seeds." if one_seed else "")
    )


def _table_with_marks(table: Table, family: Family | None) -> Table:
    if family is None or not family.comparisons:
        return table
    marks = {(one.second, one.direction): significance_mark(one) for one in family.comparisons}
    rows = tuple(_row_with_marks(row, marks) for row in table.rows)
    return replace(table, rows=rows, reference=family.reference)


def _row_with_marks(row: Row, marks: dict[tuple[str, Direction], str]) -> Row:
    entries = {
        direction: replace(entry, mark=marks.get((row.label, direction), ""))
        for direction, entry in row.entries.items()
    }
    return replace(row, entries=entries)
