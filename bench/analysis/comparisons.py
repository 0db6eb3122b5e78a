"""Paired comparisons over queries: rows against a reference, all pairs of rows; significance marks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Final

import numpy as np

from bench.analysis.per_query import PerQueryRow, PerQueryTable
from bench.analysis.statistics import (
    ALPHA,
    PERMUTATIONS,
    Array,
    Interval,
    holm,
    is_exact,
    paired_permutation_test,
    two_level_intervals,
)
from bench.analysis.tables import AVERAGE, Direction, Table, direction_name

HOLDS: Final = "a"
"""Mark: differs over queries, and the interval over seeds and queries excludes zero."""
MODELS_ONLY: Final = "b"
"""Mark: the trained models differ over queries, but the interval includes zero."""


@dataclass(frozen=True)
class Comparison:
    """One method against another in one direction, or on average over all of them."""

    first: str  # label of the method that is compared
    second: str  # label of what it is compared with
    direction: Direction
    queries: int  # how many both ranked; for an average the rows that these are of
    seeds: tuple[int, ...]  # those that both have; average precisions are means over them
    means: tuple[float, float]  # mAP of the first and of the second, over these seeds
    difference: float  # the first mean minus the second
    effect: float | None  # Cohen's d for pairs: in deviations per query; None where these do not vary
    p: float  # of the two-sided permutation test over queries
    adjusted: float  # after Holm over the family
    exact: bool  # whether every assignment of signs was counted
    interval: Interval  # of the difference

    @property
    def differs(self) -> bool:
        """Whether the trained models differ over queries, at `ALPHA` after Holm."""
        return self.adjusted <= ALPHA

    @property
    def holds(self) -> bool:
        """Whether they also differ beyond what seeds vary; of one seed's models only that they differ."""
        return self.differs and not self.interval.holds_zero

    @property
    def mark(self) -> str:
        """Return the significance mark of the second row, with the first as reference; empty for none."""
        return (HOLDS if self.holds else MODELS_ONLY) if self.differs else ""


@dataclass(frozen=True)
class Pair:
    """Two rows that can be compared in a direction, with their seeds and differences per query."""

    first: str
    second: str
    direction: Direction
    seeds: tuple[int, ...]  # those that both have
    means: tuple[float, float]  # mAP of both
    differences: Array  # ``(seeds, queries)``, the first minus the second
    strata: tuple[int, ...] = ()  # sizes of consecutive groups of queries, resampled apart; empty for one

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the sizes of the strata, of which there is at least one."""
        return self.strata or (self.differences.shape[1],)


@dataclass(frozen=True)
class Family:
    """Comparisons that answer one question; Holm's adjustment is over those of one direction."""

    table: PerQueryTable  # the rows that they are among
    reference: str  # label of the row that all others are compared with; empty for all pairs
    comparisons: tuple[Comparison, ...]  # by direction, then in the tables' order
    omitted: tuple[str, ...]  # what could not be compared, and why


def reference_of(rows: Iterable[PerQueryRow], method: str) -> PerQueryRow | None:
    """Return the row of a method as it is usually set; None if there is none to compare others with."""
    full = [
        row for row in rows if row.method == method and row.variant == "full" and not row.other_modalities
    ]
    return next((row for row in full if row.usual), full[0] if full else None)


def principals(rows: Sequence[PerQueryRow]) -> list[PerQueryRow]:
    """Return the rows that represent their methods: with usual settings, or any where there is none such.

    Variants and other settings of a method are compared with the method itself, in the report's ablations;
    among all methods they would only make every other comparison pay for their number. Fits on other
    modalities at once than those of most methods are left out.
    """
    usual = {row.method for row in rows if row.usual}
    return [row for row in rows if not row.other_modalities and (row.usual or row.method not in usual)]


def against_reference(table: PerQueryTable, method: str, permutations: int = PERMUTATIONS) -> Family:
    """Compare every other row with that of ``method``."""
    return families_against([table], method, permutations)[0]


def families_against(
    tables: Sequence[PerQueryTable], method: str, permutations: int = PERMUTATIONS
) -> list[Family]:
    """Compare every other row with that of ``method``, in each table; quicker than one table at a time."""
    tried: list[list[Pair | str]] = []
    references = [reference_of(table.rows, method) for table in tables]
    for table, reference in zip(tables, references, strict=True):
        if reference is None:
            apart = any(row.method == method and row.other_modalities for row in table.rows)
            why = "was fitted on other modalities than most methods" if apart else "has no result here"
            tried.append([f"{method or 'the reference'} {why}: there is nothing to compare with"])
        else:
            rivals = [row for row in principals(table.rows) if row is not reference]
            tried.append(pairs_of(table, [(reference, rival) for rival in rivals]))
    return [
        Family(table, reference.label if reference else "", tuple(tests), reasons_among(each))
        for table, reference, each, tests in zip(
            tables, references, tried, _compare_each(tried, permutations), strict=True
        )
    ]


def all_pairs(table: PerQueryTable, permutations: int = PERMUTATIONS) -> Family:
    """Compare every row with every other; of a method, only the row with its usual settings."""
    tried = pairs_of(table, list(combinations(principals(table.rows), 2)))
    return Family(table, "", tuple(compare(tried, permutations)), reasons_among(tried))


def compare(
    tried: Sequence[Pair | str], permutations: int = PERMUTATIONS, *, one_family: bool = False
) -> list[Comparison]:
    """Test all pairs among what `pair_of` and `average_of` returned, in their order.

    Holm's adjustment is over those of one direction, or of all directions as ``one_family``; averages are one
    question by themselves.
    """
    return _compare_each([tried], permutations, one_family=one_family)[0]


def reasons_among(tried: Iterable[Pair | str]) -> tuple[str, ...]:
    """Return why pairs could not be compared, among what `pair_of` and `average_of` returned."""
    return tuple(reason for reason in tried if isinstance(reason, str))


def pair_of(first: PerQueryRow, second: PerQueryRow, direction: Direction) -> Pair | str:
    """Return what two rows share in a direction, or why they cannot be compared."""
    by_seed = [row.values.get(direction, {}) for row in (first, second)]
    seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
    where = f"{direction_name(direction)}: {first.label} and {second.label}"
    if not seeds:
        return f"{where} have no seed in common"
    lengths = {len(values[seed]) for values in by_seed for seed in seeds}
    if len(lengths) > 1 or 0 in lengths:
        return f"{where} were not asked the same queries ({', '.join(map(str, sorted(lengths)))})"
    return _stacked(first, second, direction, seeds)


def average_of(
    first: PerQueryRow, second: PerQueryRow, directions: Sequence[Direction], known: Sequence[Pair | str] = ()
) -> Pair | str:
    """Return what two rows share on average over directions, or why they cannot be compared.

    A row of the test split is a query of several directions, and what makes it hard there makes it hard here:
    its differences are averaged first, so that they are resampled and change sign together. Where all
    directions have as many queries, row i of each is taken for the same item; otherwise only the directions
    of one modality's queries are put together, and each modality is a stratum. ``known`` is what `pair_of`
    gives for each direction, where that is at hand.
    """
    where = f"{direction_name(AVERAGE)}: {first.label} and {second.label}"
    tried = known or [pair_of(first, second, each) for each in directions]
    pairs = [pair for pair in tried if isinstance(pair, Pair)]
    if len(pairs) < len(directions):
        return f"{where} cannot be compared in every direction"
    seeds = sorted(set.intersection(*(set(pair.seeds) for pair in pairs)))
    if not seeds:
        return f"{where} share no seed that has all directions"
    # Of some direction one of the rows may have further seeds.
    every = [
        pair if len(pair.seeds) == len(seeds) else _stacked(first, second, pair.direction, seeds)
        for pair in pairs
    ]
    means = [sum(pair.means[side] for pair in every) / len(every) for side in range(2)]
    differences, strata = _averaged(directions, [pair.differences for pair in every])
    return Pair(first.label, second.label, AVERAGE, tuple(seeds), (means[0], means[1]), differences, strata)


def _stacked(first: PerQueryRow, second: PerQueryRow, direction: Direction, seeds: Sequence[int]) -> Pair:
    """Return what two rows have in a direction under the same seeds."""
    values = [np.stack([row.values[direction][seed] for seed in seeds]) for row in (first, second)]
    means = float(values[0].mean()), float(values[1].mean())
    return Pair(first.label, second.label, direction, tuple(seeds), means, values[0] - values[1])


def _averaged(directions: Sequence[Direction], tables: Sequence[Array]) -> tuple[Array, tuple[int, ...]]:
    """Return differences ``(seeds, rows)`` whose mean is that of ``tables`` (seeds, queries), and strata."""
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


def pairs_of(table: PerQueryTable, couples: Sequence[tuple[PerQueryRow, PerQueryRow]]) -> list[Pair | str]:
    """Return every pair of rows by direction and on average, or why it cannot be compared."""
    single = {
        (index, direction): pair_of(*couple, direction)
        for direction in table.directions
        for index, couple in enumerate(couples)
        if any(direction in row.values for row in couple)
    }
    every = table.columns or table.directions
    averages = [
        average_of(*couple, every, [single[index, direction] for direction in every])
        for index, couple in enumerate(couples)
        if len(every) > 1 and all(row.values.keys() >= set(every) for row in couple)
    ]
    return [*single.values(), *averages]


def _compare_each(
    tried: Sequence[Sequence[Pair | str]], permutations: int, *, one_family: bool = False
) -> list[list[Comparison]]:
    """Test the pairs of several families at once, with the outcome that each has alone."""
    families = [[pair for pair in each if isinstance(pair, Pair)] for each in tried]
    pairs = [pair for family in families for pair in family]
    by_query = [pair.differences.mean(axis=0) for pair in pairs]
    p_values: list[float] = [1.0] * len(pairs)
    for indices in _indices_by(map(len, by_query)).values():  # they share their signs
        columns = np.stack([by_query[index] for index in indices], axis=1)
        for index, p in zip(indices, paired_permutation_test(columns, permutations), strict=True):
            p_values[index] = float(p)
    # The draws of an interval depend on its queries, and on the seed counts of its family.
    draws: list[Hashable] = []
    for family in families:
        counts: dict[tuple[int, ...], set[int]] = defaultdict(set)
        for pair in family:
            counts[pair.sizes].add(len(pair.differences))
        draws += [(pair.sizes, *sorted(counts[pair.sizes])) for pair in family]
    intervals: dict[int, Interval] = {}
    for indices in _indices_by(draws).values():
        found = two_level_intervals(
            [pairs[index].differences for index in indices], strata=pairs[indices[0]].strata
        )
        intervals.update(zip(indices, found, strict=True))
    tests = [
        _comparison(pair, by_query[index], p_values[index], intervals[index], permutations)
        for index, pair in enumerate(pairs)
    ]
    ends = np.cumsum([0, *map(len, families)])
    return [_adjusted(tests[start:end], one_family) for start, end in pairwise(ends)]


def _indices_by(keys: Iterable[Hashable]) -> dict[Hashable, list[int]]:
    """Return the indices of each key."""
    indices: dict[Hashable, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        indices[key].append(index)
    return indices


def _comparison(pair: Pair, by_query: Array, p: float, interval: Interval, permutations: int) -> Comparison:
    mean = float(by_query.mean())
    # The standard deviation of the differences around the mean of their stratum.
    freedom = len(by_query) - len(pair.sizes)
    parts = np.split(by_query, np.cumsum(pair.sizes)[:-1]) if pair.strata else [by_query]
    squares = sum(float(np.square(part - part.mean()).sum()) for part in parts)
    deviation = float(np.sqrt(squares / freedom)) if freedom > 0 else 0.0
    about = pair.first, pair.second, pair.direction, len(by_query), pair.seeds, pair.means
    effect = mean / deviation if deviation > 0 else None
    return Comparison(*about, mean, effect, p, p, is_exact(len(by_query), permutations), interval)


def _adjusted(comparisons: Sequence[Comparison], one_family: bool) -> list[Comparison]:
    """Return the comparisons of one family with p-values adjusted after Holm."""
    adjusted = list(comparisons)
    questions = [
        each.direction if each.direction == AVERAGE or not one_family else None for each in comparisons
    ]
    for indices in _indices_by(questions).values():
        values = holm(np.array([comparisons[index].p for index in indices]))
        for index, value in zip(indices, values, strict=True):
            adjusted[index] = replace(comparisons[index], adjusted=float(value))
    return adjusted


def with_marks(tables: Sequence[Table], families: Sequence[Family]) -> list[Table]:
    """Return the tables with significance marks from the families that compare with a reference."""
    found = {family.table.key: family for family in families if family.comparisons}
    marked = []
    for table in tables:
        if family := found.get((table.data, table.protocol, table.selection)):
            marks, rows = {(test.second, test.direction): test.mark for test in family.comparisons}, []
            for row in table.rows:
                entries = {
                    direction: replace(entry, mark=marks.get((row.label, direction), ""))
                    for direction, entry in row.entries.items()
                }
                rows.append(replace(row, entries=entries))
            one_seed = any(len(test.seeds) == 1 for test in family.comparisons)
            table = replace(table, rows=tuple(rows), reference=family.reference, one_seed=one_seed)
        marked.append(table)
    return marked


def marks_note(table: Table) -> str:
    """Return the meaning of a table's marks as a sentence."""
    return (
        f"{HOLDS}: differs from {table.reference} in this column (permutation test over queries, "
        f"Holm-adjusted p ≤ {ALPHA}), and the 95 % interval over seeds and queries excludes zero; "
        f"{MODELS_ONLY}: these trained models differ, but the interval includes zero."
        + (" With one seed in common the interval lacks the variation over seeds." if table.one_seed else "")
    )
