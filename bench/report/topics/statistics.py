"""Statistics: tests and intervals on one dataset and over datasets, with their limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np

from bench.analysis import findings
from bench.analysis.across_datasets import Block, DatasetTests
from bench.analysis.comparisons import Family, all_pairs
from bench.analysis.statistics import PERMUTATIONS, REGION, cliques
from bench.analysis.tables import AVERAGE, direction_name
from bench.records.protocols import is_rank
from bench.report.cells import DATA_FIELDS, FEW_DIRECTIONS, data_values, number_cell, number_cells
from bench.report.exhibit import (
    Cell,
    Line,
    Part,
    TableExhibit,
    Topic,
    Values,
    block_subject,
    data_table,
    plain_table,
)
from bench.report.figures.comparisons import critical_diagrams, difference_figures
from bench.report.report_data import ReportData
from bench.report.text import (
    data_name,
    data_stem,
    dataset_title,
    file_stem,
    kind_remark,
    made_by,
    made_by_stem,
    under,
)
from bench.signed import signed

_BLOCK_FIELDS: Final = (
    *("data_kind", "profile", "device", "harness", "protocol", "selection", "condition", "datasets"),
)
_PAIRED: Final = "statistics/paired.csv"
_PAIRED_FIELDS: Final = (
    *(*DATA_FIELDS, "protocol", "selection"),
    *("query", "gallery", "first", "second", "queries", "seeds"),
    *("first_mean", "second_mean", "difference", "low", "high"),
    *("effect", "p", "p_holm", "exact", "degrees_of_freedom"),
)
_RANKS: Final = "statistics/ranks.csv"
_RANK_FIELDS: Final = (
    *_BLOCK_FIELDS,
    *("method", "average_rank", "mean", "reference", "wilcoxon_p", "wilcoxon_p_holm", "nemenyi_p"),
    *("p_reference_better", "p_equivalent", "p_reference_worse"),
)
_NEMENYI: Final = "statistics/nemenyi.csv"
_NEMENYI_FIELDS: Final = (*_BLOCK_FIELDS, "first", "second", "rank_difference", "critical_difference", "p")
_INTRODUCTION: Final = (
    "Tests compare rows of one table only: never different data, profiles, protocols or selection rules."
)
_PAIRED_NOTE: Final = (
    f"Permutation test of the differences of the measure per query, {PERMUTATIONS:,} deals of "
    "signs, adjusted after Holm over the comparisons of one direction, or of the average; effect: mean "
    "difference in standard deviations of the per-query differences; 95 % interval: two-level bootstrap over "
    "seeds and queries. Average: a test row's differences in all directions that it is a query of change "
    "sign, and are resampled, together."
)
_DATASETS_NOTE: Final = (
    "Average ranks of the mean over directions and seeds on each dataset, 1 is best; P: Bayesian signed-rank "
    f"test, differences up to {REGION} are equivalent in practice; not made for medr and meanr."
)

_ITSELF: Final = (None,) * 6
"""Instead of `AgainstReference`, for the reference itself and for methods without a reference."""

_Records = Mapping[tuple[object, ...], tuple[str, ...]]
"""Digests of the records of a number, by data, protocol, label and direction."""


def parts(data: ReportData) -> list[Part]:
    """Return the tests over queries, then those over datasets."""
    families = [all_pairs(table) for table in data.per_query_tables] if data.every_pair else data.families
    records: _Records = {
        (table.data, table.protocol, row.label, direction): entry.records
        for table in data.plain_tables
        for row in table.rows
        for direction, entry in row.entries.items()
    }
    paired = [
        _paired(one, records, data.fold(one.table.protocol, one.table.data.condition) or "numbers")
        for one in families
        if one.comparisons or one.omitted
    ]
    ranked = [
        _ranks(block, tests, data.fold(block.about.protocol, block.about.condition) or "numbers")
        for block, tests in data.dataset_tests
    ]
    untested = ", ".join(filter(is_rank, data.protocols))
    not_tested = (f"Differences of ranks ({untested}) are not tested by query.",) if untested else ()
    nothing = () if paired else ("No record has a result to compare.",)
    return [
        Part(text=(_INTRODUCTION, *not_tested)),
        Part("Paired by query", (_PAIRED_NOTE, *nothing), paired),
        Part("Over datasets", (_DATASETS_NOTE, *(() if ranked else ("No table has a number.",))), ranked),
    ]


def figures(data: ReportData) -> list[Part]:
    """Return the differences from the reference, and critical-difference diagrams."""
    return [
        Part("Differences", exhibits=difference_figures(data)),
        Part("Ranks over datasets", exhibits=critical_diagrams(data)),
    ]


def _paired(family: Family, records: _Records, fold: str) -> TableExhibit:
    """Return the comparisons of one table's rows, with findings and limits as sentences."""
    table = family.table
    few = len(table.directions) <= FEW_DIRECTIONS
    lines = []
    for one in family.comparisons:
        if few or one.direction == AVERAGE:
            keys = [(table.data, table.protocol, label, one.direction) for label in (one.first, one.second)]
            behind = tuple(dict.fromkeys(digest for key in keys for digest in records.get(key, ())))
            form, numbers = "+.4f", (one.effect, one.p, one.adjusted, len(one.seeds), one.queries)
            cells = (
                *(Cell(f"{one.first} - {one.second}"), number_cell(one.difference, form, behind)),
                Cell(
                    f"{signed(one.interval.low, form)} to {signed(one.interval.high, form)}", records=behind
                ),
                *number_cells("+.2f .4f .4f d d", *numbers, records=behind),
            )
            lines.append(Line(direction_name(one.direction), cells, search=f"{one.first} {one.second}"))
    return data_table(
        f"paired_{data_stem(table.data)}_{file_stem(table.protocol)}",
        f"{data_name(table.data)} — {table.protocol}, selection {table.selection}",
        table.data,
        ("direction", "pair", "difference", "95 % interval", "effect", "p", "p (Holm)", "seeds", "queries"),
        lines,
        notes=tuple(f"Left out: {reason}." for reason in family.omitted),
        protocol=table.protocol,
        text=(*findings.findings(family), *findings.limits_of_seeds(family.comparisons)),
        fold=fold,
        values=(Values(_PAIRED, _PAIRED_FIELDS, list(_paired_values(family))),),
    )


def _ranks(block: Block, tests: DatasetTests | None, fold: str) -> TableExhibit:
    """Return the average ranks of a block, and the tests of the reference against each other method."""
    key = block.about
    headings = ["Method", "average rank", "mean"]
    if block.reference:
        headings += ["Wilcoxon p", "p (Holm)", "Nemenyi p"]
        headings += [f"P({block.reference} better)", "P(equivalent)", "P(worse)"]
    number = block.datasets[0] if len(block.datasets) == 1 else f"{len(block.datasets)} datasets"
    text = [f"Datasets: {', '.join(block.datasets) or 'none'}.", *findings.limits_of_datasets(block, tests)]
    lines, notes, values = list[Line](), list[str](), list[Values]()
    if tests is not None:
        text += findings.ranking_findings(tests)
        ranked = [
            (method, float(tests.average_ranks[index]), float(block.scores[index].mean()))
            for index, method in enumerate(block.methods)
        ]
        for index in np.argsort(tests.average_ranks, kind="stable"):
            (method, rank, mean), records = ranked[index], block.records[index] if block.records else ()
            against = tests.against.get(method, _ITSELF) if tests.against else ()
            forms = f".2f .3f{' .3g' * len(against)}"
            cells = tuple(number_cells(forms, rank, mean, *against, records=records))
            lines.append(Line(method, cells, search=method))
        for group in cliques(tests.average_ranks, tests.critical_difference):
            names = ", ".join(block.methods[index] for index in group)
            notes.append(f"No significant difference by Nemenyi's test: {names}.")
        head = (*key, " ".join(block.datasets))
        rows = [
            _nine_digits(*head, *one, block.reference, *tests.against.get(one[0], _ITSELF)) for one in ranked
        ]
        values = [
            Values(_RANKS, _RANK_FIELDS, rows),
            Values(_NEMENYI, _NEMENYI_FIELDS, _nemenyi(tests, head)),
        ]
    made = f"{under(key)}{made_by(key.device, key.harness)}"
    return plain_table(
        file_stem("across", *key[:2], key.protocol, *made_by_stem(key.device, key.harness, key.condition)),
        f"{key.profile} profile{kind_remark(key.kind)} — {key.protocol}, selection {key.selection}, {made}",
        headings,
        lines,
        notes=(*notes, *(f"Left out: {reason}." for reason in block.omitted)),
        title=dataset_title(number, key.condition),
        subject=block_subject(key),
        text=tuple(text),
        fold=fold,
        values=tuple(values),
    )


def _paired_values(family: Family) -> Iterator[list[object]]:
    table = family.table
    for one in family.comparisons:
        yield _nine_digits(
            *(*data_values(table.data), table.protocol, table.selection),
            *(*one.direction, one.first, one.second, one.queries, " ".join(map(str, one.seeds))),
            *(*one.means, one.difference, one.interval.low, one.interval.high, one.effect),
            *(one.p, one.adjusted, "yes" if one.exact else "no", one.interval.freedom),
        )


def _nemenyi(tests: DatasetTests, head: Sequence[object]) -> list[list[object]]:
    rows, names, average = [], tests.block.methods, tests.average_ranks
    for one, other in combinations(range(len(names)), 2):
        numbers = average[one] - average[other], tests.critical_difference, tests.nemenyi[one, other]
        rows.append(_nine_digits(*head, names[one], names[other], *map(float, numbers)))
    return rows


def _nine_digits(*values: object) -> list[object]:
    """Return values with numbers in nine digits, far more than the resampling determines."""
    return [f"{value:.9g}" if isinstance(value, float) else value for value in values]


TOPIC: Final = Topic(
    "statistics",
    "Statistics",
    parts,
    figures,
    folder="statistics",
    part="statistics",
    csv_files={_PAIRED: _PAIRED_FIELDS, _RANKS: _RANK_FIELDS, _NEMENYI: _NEMENYI_FIELDS},
    order=20,
)
