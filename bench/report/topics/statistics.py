"""Statistics: tests and intervals on one dataset and over datasets, with their limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np

from bench.analysis import findings
from bench.analysis.across_datasets import Block, DatasetTests
from bench.analysis.comparisons import Family, all_pairs
from bench.analysis.groups import CLEAN
from bench.analysis.statistics import PERMUTATIONS, REGION, cliques
from bench.analysis.tables import AVERAGE, direction_name
from bench.records.protocols import is_rank
from bench.report.cells import DATA_FIELDS, data_values, number_cell
from bench.report.exhibit import (
    Cell,
    Line,
    Part,
    TableExhibit,
    Topic,
    Values,
    block_subject,
    data_subject,
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

_FULL: Final = 2
"""Directions up to which every number is shown; of more the averages are, and the CSV file has all."""
_BLOCK_FIELDS: Final = (
    "data_kind",
    "profile",
    "device",
    "harness",
    "protocol",
    "selection",
    "condition",
    "datasets",
)
PAIRED_FIELDS: Final = (
    *(*DATA_FIELDS, "protocol", "selection"),
    *("query", "gallery", "first", "second", "queries", "seeds"),
    *("first_mean", "second_mean", "difference", "low", "high"),
    *("effect", "p", "p_holm", "exact", "degrees_of_freedom"),
)
RANK_FIELDS: Final = (
    *_BLOCK_FIELDS,
    *("method", "average_rank", "mean", "reference", "wilcoxon_p", "wilcoxon_p_holm", "nemenyi_p"),
    *("p_reference_better", "p_equivalent", "p_reference_worse"),
)
NEMENYI_FIELDS: Final = (*_BLOCK_FIELDS, "first", "second", "rank_difference", "critical_difference", "p")
_INTRODUCTION: Final = (
    "Tests compare rows of one table only: never different data, profiles, protocols or selection rules."
)
_PAIRED_NOTE: Final = (
    f"Randomization test of the differences of average precision per query, {PERMUTATIONS:,} deals of "
    "signs, adjusted after Holm over the comparisons of one direction, or of the average; effect: mean "
    "difference in standard deviations of the per-query differences; 95 % interval: two-level bootstrap over "
    "seeds and queries. Average: a test row's differences in all directions that it is a query of change "
    "sign, and are resampled, together."
)
_DATASETS_NOTE: Final = (
    "Ranks of the mean mAP over directions and seeds on each dataset, 1 is best; P: Bayesian signed-rank "
    f"test, differences up to {REGION} mAP are equivalent in practice."
)

_Records = Mapping[tuple[object, ...], tuple[str, ...]]
"""Digests behind a number, by data, protocol, label and direction."""


def parts(data: ReportData) -> list[Part]:
    """Return the tests over queries, then those over datasets."""
    families = [all_pairs(table) for table in data.per_query_tables] if data.every_pair else data.families
    records: _Records = {
        (table.data, table.protocol, row.label, direction): entry.records
        for table in data.tables
        for row in table.rows
        for direction, entry in row.entries.items()
    }
    paired = [
        paired_exhibit(
            one,
            records,
            folded=not data.is_first(one.table.protocol) or one.table.data.condition != CLEAN,
        )
        for one in families
        if one.comparisons or one.omitted
    ]
    ranked = [
        ranks_exhibit(
            block, tests, folded=not data.is_first(block.protocol) or block.about.condition != CLEAN
        )
        for block, tests in data.dataset_tests
    ]
    return [
        Part(text=(_INTRODUCTION, *_not_tested(data.protocols))),
        Part(
            "Paired by query",
            (_PAIRED_NOTE, *(() if paired else ("No record has a result to compare.",))),
            paired,
        ),
        Part("Over datasets", (_DATASETS_NOTE, *(() if ranked else ("No table has a number.",))), ranked),
    ]


def figures(data: ReportData) -> list[Part]:
    """Return the differences from the reference, and critical-difference diagrams."""
    found = (("Differences", difference_figures(data)), ("Ranks over datasets", critical_diagrams(data)))
    return [Part(title, exhibits=exhibits) for title, exhibits in found if exhibits]


def paired_exhibit(family: Family, records: _Records, *, folded: bool = False) -> TableExhibit:
    """Return the comparisons of one table's rows, with what they show and cannot show in words."""
    table = family.table
    few = len(table.directions) <= _FULL
    lines = []
    for one in family.comparisons:
        if few or one.direction == AVERAGE:
            keys = [(table.data, table.protocol, label, one.direction) for label in (one.first, one.second)]
            behind = tuple(dict.fromkeys(digest for key in keys for digest in records.get(key, ())))
            cells = (
                Cell(f"{one.first} - {one.second}"),
                number_cell(one.difference, "+.4f", behind),
                Cell(f"{one.interval.low:+.4f} to {one.interval.high:+.4f}", records=behind),
                number_cell(one.effect, "+.2f", behind),
                *(number_cell(one.p, ".4f", behind), number_cell(one.adjusted, ".4f", behind)),
                *(number_cell(len(one.seeds), "d", behind), number_cell(one.queries, "d", behind)),
            )
            lines.append(Line(direction_name(one.direction), cells, search=f"{one.first} {one.second}"))
    return plain_table(
        f"paired_{data_stem(table.data)}_{file_stem(table.protocol)}",
        f"{data_name(table.data)} — {table.protocol}, selection {table.selection}",
        ("direction", "pair", "difference", "95 % interval", "effect", "p", "p (Holm)", "seeds", "queries"),
        lines,
        notes=_left_out(family.omitted),
        title=dataset_title(table.data.dataset, table.data.condition),
        subject=data_subject(table.data, table.protocol),
        text=(*findings.findings(family), *findings.limits_of_seeds(family.comparisons)),
        fold="all" if folded else "numbers",
        values=(Values("statistics/paired.csv", PAIRED_FIELDS, list(_paired_values(family))),),
    )


def ranks_exhibit(block: Block, tests: DatasetTests | None, *, folded: bool = False) -> TableExhibit:
    """Return the average ranks of a block, and how the reference stands to each other method."""
    key = block.about
    headings = ["Method", "average rank", "mean"]
    if block.reference:
        headings += ["Wilcoxon p", "p (Holm)", "Nemenyi p"]
        headings += [f"P({block.reference} better)", "P(equivalent)", "P(worse)"]
    kind = kind_remark(block.kind)
    number = f"{len(block.datasets)} datasets"
    datasets = f"Datasets: {', '.join(block.datasets) or 'none'}."
    ranked = () if tests is None else findings.ranking_findings(tests)
    return plain_table(
        file_stem("across", *key[:2], block.protocol, *made_by_stem(key.device, key.harness, key.condition)),
        f"{block.profile} profile{kind} — {block.protocol}, selection {block.selection}, "
        f"{under(key)}{made_by(key.device, key.harness)}",
        headings,
        [] if tests is None else list(_ranked(tests)),
        notes=(*(() if tests is None else _cliques(tests)), *_left_out(block.omitted)),
        title=dataset_title(block.datasets[0] if len(block.datasets) == 1 else number, key.condition),
        subject=block_subject(key),
        text=(datasets, *findings.limits_of_datasets(block, tests), *ranked),
        fold="all" if folded else "numbers",
        values=()
        if tests is None
        else (
            Values("statistics/ranks.csv", RANK_FIELDS, list(_rank_values(tests))),
            Values("statistics/nemenyi.csv", NEMENYI_FIELDS, list(_nemenyi_values(tests))),
        ),
    )


def _ranked(tests: DatasetTests) -> Iterator[Line]:
    block = tests.block
    for place in np.argsort(tests.average_ranks, kind="stable"):
        method, records = block.methods[place], block.records[place] if block.records else ()
        own = (
            number_cell(float(tests.average_ranks[place]), ".2f", records),
            number_cell(float(block.scores[place].mean()), ".3f", records),
        )
        against = _against(tests, method) if tests.against else ()
        cells = (*own, *(number_cell(value, ".3g", records) for value in against))
        yield Line(method, cells, search=method)


def _against(tests: DatasetTests, method: str) -> tuple[float | None, ...]:
    one = tests.against.get(method)
    if one is None:
        return (None,) * 6
    return one.wilcoxon, one.adjusted, one.nemenyi, one.rope.better, one.rope.equivalent, one.rope.worse


def _cliques(tests: DatasetTests) -> Iterator[str]:
    for group in cliques(tests.average_ranks, tests.critical_difference):
        names = ", ".join(tests.block.methods[place] for place in group)
        yield f"Not told apart by Nemenyi's test: {names}."


def _not_tested(protocols: Sequence[str]) -> tuple[str, ...]:
    ranks = ", ".join(filter(is_rank, protocols))
    return (f"Differences of ranks ({ranks}) are not tested by query.",) if ranks else ()


def _left_out(reasons: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"Left out: {reason}." for reason in reasons)


def _paired_values(family: Family) -> Iterator[list[object]]:
    table = family.table
    for one in family.comparisons:
        yield _nine_digits(
            *(*data_values(table.data), table.protocol, table.selection),
            *(*one.direction, one.first, one.second, one.queries, " ".join(map(str, one.seeds))),
            *(*one.means, one.difference, one.interval.low, one.interval.high, one.effect),
            *(one.p, one.adjusted, "yes" if one.exact else "no", one.interval.freedom),
        )


def _rank_values(tests: DatasetTests) -> Iterator[list[object]]:
    block = tests.block
    for place, method in enumerate(block.methods):
        yield _nine_digits(
            *(*block.about, " ".join(block.datasets), method),
            *(float(tests.average_ranks[place]), float(block.scores[place].mean())),
            *(block.reference, *_against(tests, method)),
        )


def _nemenyi_values(tests: DatasetTests) -> Iterator[list[object]]:
    block = tests.block
    for one, other in combinations(range(len(block.methods)), 2):
        yield _nine_digits(
            *(*block.about, " ".join(block.datasets), block.methods[one], block.methods[other]),
            float(tests.average_ranks[one] - tests.average_ranks[other]),
            *(tests.critical_difference, float(tests.nemenyi[one, other])),
        )


def _nine_digits(*values: object) -> list[object]:
    """Return values with numbers in nine digits, far more than chance leaves sure."""
    return [f"{value:.9g}" if isinstance(value, float) else value for value in values]


TOPIC: Final = Topic(
    "statistics",
    "Statistics",
    parts,
    figures,
    folder="statistics",
    part="statistics",
    csv_files={
        "statistics/paired.csv": PAIRED_FIELDS,
        "statistics/ranks.csv": RANK_FIELDS,
        "statistics/nemenyi.csv": NEMENYI_FIELDS,
    },
)
