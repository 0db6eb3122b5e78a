"""Two methods on the same queries: does the one rank better than the other, and by how much?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, TypeVar

import numpy as np

from bench.analysis.cells import AVERAGE, name_of
from bench.analysis.intervals import Interval, two_level_intervals
from bench.analysis.queries import Array, Direction, Field, Member
from bench.analysis.randomization import PERMUTATIONS, holm, is_exact, sign_flip_p

T = TypeVar("T")

ALPHA: Final = 0.05
"""Level of all tests, after adjustment."""


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
        field: the rows that they are among.
        reference: label of the row that all others are compared with; empty for all pairs.
        comparisons: by direction, then in the tables' order.
        omitted: what could not be compared, and why.
    """

    field: Field
    reference: str
    comparisons: tuple[Comparison, ...]
    omitted: tuple[str, ...]


def reference_of(members: Iterable[Member], method: str) -> Member | None:
    """Return the row of a method as it is usually set; None if there is none."""
    own = [member for member in members if member.method == method and member.variant == "full"]
    return next((member for member in own if member.usual), own[0] if own else None)


def principals(members: Sequence[Member]) -> list[Member]:
    """Return the rows that stand for their methods: with usual settings, or any where there is none such.

    Variants and other settings of a method are compared with the method itself, in the report's ablations;
    among all methods they would only make every other comparison pay for their number.
    """
    usual = {member.method for member in members if member.usual}
    return [member for member in members if member.usual or member.method not in usual]


def against_reference(field: Field, method: str, permutations: int = PERMUTATIONS) -> Family:
    """Compare every other row with that of ``method``."""
    return families_against([field], method, permutations)[0]


def families_against(fields: Sequence[Field], method: str, permutations: int = PERMUTATIONS) -> list[Family]:
    """Compare every other row with that of ``method``, in each field; quicker than one field at a time."""
    return _families([_against(field, method) for field in fields], permutations)


def all_pairs(field: Field, permutations: int = PERMUTATIONS) -> Family:
    """Compare every row with every other; of a method, only the row with its usual settings."""
    return _families([_Plan(field, "", list(combinations(principals(field.members), 2)))], permutations)[0]


def compare(
    pairs: Sequence[Pair], permutations: int = PERMUTATIONS, *, one_family: bool = False
) -> list[Comparison]:
    """Test all pairs, in their order.

    Holm's adjustment is over those of one direction, or of all directions as ``one_family``; averages are one
    question by themselves.
    """
    return _compare_each([pairs], permutations, one_family=one_family)[0]


def pair_of(first: Member, second: Member, direction: Direction) -> Pair | str:
    """Return what two rows share in a direction, or why they cannot be compared."""
    one, other = (member.values.get(direction, {}) for member in (first, second))
    seeds = sorted(one.keys() & other.keys())
    where = f"{name_of(direction)}: {first.label} and {second.label}"
    if not seeds:
        return f"{where} have no seed in common"
    lengths = {len(values[seed]) for values in (one, other) for seed in seeds}
    if len(lengths) > 1 or 0 in lengths:
        return f"{where} were not asked the same queries ({', '.join(map(str, sorted(lengths)))})"
    return _stacked(first, second, direction, seeds)


def _stacked(first: Member, second: Member, direction: Direction, seeds: Sequence[int]) -> Pair:
    """Return what two rows have in a direction under the same seeds."""
    values = [np.stack([member.values[direction][seed] for seed in seeds]) for member in (first, second)]
    means = float(values[0].mean()), float(values[1].mean())
    return Pair(first.label, second.label, direction, tuple(seeds), means, values[0] - values[1])


def average_of(
    first: Member,
    second: Member,
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
    where = f"{name_of(AVERAGE)}: {first.label} and {second.label}"
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

    field: Field
    reference: str
    couples: Sequence[tuple[Member, Member]]
    lack: tuple[str, ...] = ()

    def tried(self) -> list[Pair | str]:
        """Return every pair by direction and on average, or why it cannot be compared."""
        single = {
            (place, direction): pair_of(*couple, direction)
            for direction in self.field.directions
            for place, couple in enumerate(self.couples)
            if any(direction in member.values for member in couple)
        }
        every = self.field.averaged
        averages = [
            average_of(*couple, every, {direction: single[place, direction] for direction in every})
            for place, couple in enumerate(self.couples)
            if len(every) > 1 and all(member.values.keys() >= set(every) for member in couple)
        ]
        return [*single.values(), *averages]


def _against(field: Field, method: str) -> _Plan:
    reference = reference_of(field.members, method)
    if reference is None:
        return _Plan(field, "", (), (f"{method or 'the reference'} has no result here to compare with",))
    others = [member for member in principals(field.members) if member is not reference]
    return _Plan(field, reference.label, [(reference, other) for other in others])


def _families(plans: Sequence[_Plan], permutations: int) -> list[Family]:
    tried = [plan.tried() for plan in plans]
    pairs = [[pair for pair in found if isinstance(pair, Pair)] for found in tried]
    comparisons = _compare_each(pairs, permutations)
    return [
        Family(
            plan.field,
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
    return [float(p) for p in sign_flip_p(columns, permutations)]


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
