"""Findings in sentences: the rank of a row in its table, and the results and limits of comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.analysis.across_datasets import Block, DatasetTests
from bench.analysis.comparisons import Comparison, Family
from bench.analysis.statistics import ALPHA, smallest_wilcoxon_p
from bench.analysis.tables import Direction, Entry, Row, Table, direction_name
from bench.signed import signed

_MODELS_ONLY = "different with these trained models, but not beyond the variation over seeds, from"
_SAME = "not significantly different from"
_MANY = 10
"""Datasets from which the approximations of the tests over all methods are accurate (Demšar 2006)."""


def verdict(test: Comparison) -> str:
    """Return what one comparison shows."""
    words = f"{test.first} and {test.second}, {direction_name(test.direction)}: "
    if test.difference == 0 and test.effect is None:
        return words + "their average precisions are the same on every query"
    level = f"{test.first} is {'above' if test.difference > 0 else 'below'} by {abs(test.difference):.4f}"
    if test.holds:
        return words + level + ("" if len(test.seeds) > 1 else ", for the models of one seed")
    if test.differs:
        return (
            f"{words}{level} with these trained models, but the interval over seeds and queries includes "
            "zero: other seeds may not show it"
        )
    return (
        f"{words}no significant difference (adjusted p = {test.adjusted:.3g} > {ALPHA}); this does not prove "
        f"equality: the interval goes from {' to '.join(signed(end, '+.4f') for end in test.interval[:2])}"
    )


def findings(family: Family) -> list[str]:
    """Return a sentence per direction and one for the average: what the reference is above, below and so on.

    Without a reference: how many of all pairs differ.
    """
    sentences = []
    for direction in dict.fromkeys(test.direction for test in family.comparisons):
        tests = [test for test in family.comparisons if test.direction == direction]
        if not family.reference:
            differing, holding = sum(test.differs for test in tests), sum(test.holds for test in tests)
            sentences.append(
                f"{direction_name(direction)}: of {len(tests)} pairs {differing} differ with these models, "
                f"{holding} of them with an interval over seeds that excludes zero."
            )
            continue
        found: dict[str, list[str]] = {word: [] for word in ("above", "below", _MODELS_ONLY, _SAME)}
        for test in tests:
            held = "above" if test.difference > 0 else "below"
            found[held if test.holds else _MODELS_ONLY if test.differs else _SAME].append(test.second)
        words = "; ".join(f"{word} {', '.join(names)}" for word, names in found.items() if names)
        sentences.append(f"{direction_name(direction)}: {family.reference} is {words}.")
    return sentences


def limits_of_seeds(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the limits that the number of seeds and queries sets to the comparisons."""
    if not comparisons:
        return []
    counts = sorted({len(test.seeds) for test in comparisons})
    sentences = []
    if counts[0] == 1:
        which = "All" if counts[-1] == 1 else "Some"
        sentences.append(
            f"{which} of these comparisons rest on one seed: their intervals lack the variation over seeds, "
            "and they are about these trained models, not about the methods. "
            "Run more seeds, such as --seeds 5."
        )
    if counts[-1] > 1:
        few = next(count for count in counts if count > 1)
        models = str(few) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        little = (
            f", but {few} seeds estimate their variance poorly: where seeds vary more than queries, "
            "fewer than 95 % of such intervals contain the true value"
        )
        sentences.append(
            f"The p-values are over queries, with the {models} trained models as they are; the "
            f"intervals also vary the seeds{little if few < 5 else ''}."
        )
    return sentences


def limits_of_datasets(block: Block, tests: DatasetTests | None) -> list[str]:
    """Return the limits that the number of datasets sets to ``tests``, those of the block, if it has any."""
    methods, datasets = len(block.methods), len(block.datasets)
    if methods < 2:
        return ["Fewer than two methods have a number on every dataset: there is nothing to compare."]
    if tests is None:
        alone = "no test over datasets is possible, and the numbers say nothing about other datasets"
        return [f"One dataset: {alone}."]
    smallest = smallest_wilcoxon_p(datasets)
    least = f"With {datasets} datasets the smallest two-sided p of Wilcoxon's test is {smallest:.4g}"
    sentences = []
    if smallest > ALPHA:
        never = f"it cannot fall below {ALPHA}, however large the differences are; six datasets are needed"
        sentences.append(f"{least}: {never}.")
    elif smallest * (methods - 1) > ALPHA:
        never = f"after Holm over {methods - 1} comparisons none can fall below {ALPHA} first"
        sentences.append(f"{least}; {never}.")
    difference, average = tests.critical_difference, tests.average_ranks
    apart = np.abs(average[:, None] - average)[np.triu_indices(methods, 1)]
    sentences.append(
        f"Nemenyi: {methods} methods on {datasets} datasets must differ by a critical difference of "
        f"{difference:.3g} in average rank, of {methods - 1} at most; "
        f"{int((apart > difference).sum())} of {len(apart)} pairs do."
    )
    if datasets < _MANY:
        sentences.append(
            "The p-values of Friedman's, Iman and Davenport's and Nemenyi's tests are approximations that "
            f"{datasets} datasets are few for, and the Bayesian test is overconfident with so few."
        )
    if block.seeds[0] == 1:
        sentences.append("Some scores rest on one seed: another seed may change ranks that are close.")
    if block.about.kind != "real":
        sentences.append("These are look-alikes: no rank here says anything about the benchmarks themselves.")
    return sentences


def ranking_findings(tests: DatasetTests) -> list[str]:
    """Return what the tests over all methods at once show; nothing for two methods."""
    tested = tests.omnibus
    if tested is None:
        return []
    differ = "some methods differ" if tested.iman_davenport_p <= ALPHA else "no difference is shown"
    return [
        f"Friedman: chi-squared = {tested.friedman:.4g}, p = {tested.friedman_p:.3g}; Iman and Davenport: "
        f"F = {tested.iman_davenport:.4g}, p = {tested.iman_davenport_p:.3g}: {differ}."
    ]


class RankInTable(NamedTuple):
    """One row's rank in one column."""

    column: Direction  # direction, or the average
    entry: Entry  # the row's number, over all its seeds
    rank: int  # 1 is best; equal numbers share the better rank
    of: int  # competing rows with a number in this column, and the row itself
    best: str  # label of the best of the other rows
    best_mean: float | None  # its number; None where no other row has one
    points: dict[str, float]  # what the reference points other than the row reach, by label


def row_with_record(table: Table, digest: str) -> Row | None:
    """Return the row that a record's numbers are part of; None if it has none in this table."""
    having = (
        row
        for row in table.rows
        if any(entry.mean is not None and digest in entry.records for entry in row.entries.values())
    )
    return next(having, None)


def ranks_in_table(table: Table, row: Row) -> list[RankInTable]:
    """Return a row's rank in every column that has a number for it.

    Rows that do not compete for the best number (`Table.competing`) are left out, unless one is the row
    itself.
    """
    ranks, sign, competing = [], -1 if table.lower_is_better else 1, table.competing
    for column in table.columns:
        rivals, points, entry = dict[str, float](), dict[str, float](), row.entries[column]
        for other in table.rows:
            if other is not row and (mean := other.entries[column].mean) is not None:
                if other.role == "reference":
                    points[other.label] = mean
                elif other in competing:
                    rivals[other.label] = mean
        if entry.mean is not None:
            rank = 1 + sum(sign * rival > sign * entry.mean for rival in rivals.values())
            best = max(rivals, key=lambda label: sign * rivals[label], default="")
            ranks.append(RankInTable(column, entry, rank, len(rivals) + 1, best, rivals.get(best), points))
    return ranks
