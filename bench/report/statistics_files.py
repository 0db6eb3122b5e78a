"""Every number of the statistical comparisons as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from bench.analysis.across_datasets import Block, DatasetTests
from bench.analysis.comparisons import Family
from bench.report.tables.values import data_values

_TABLE = ("dataset", "data_kind", "profile", "fingerprint", "device", "harness", "protocol", "selection")
_BLOCK = ("data_kind", "profile", "device", "harness", "protocol", "selection", "datasets")
PAIRED = (
    *_TABLE,
    *("query", "gallery", "first", "second", "queries", "seeds"),
    *("first_mean", "second_mean", "difference", "low", "high"),
    *("effect", "p", "p_holm", "exact", "degrees_of_freedom"),
)
RANKS = (
    *_BLOCK,
    *("method", "average_rank", "mean", "reference", "wilcoxon_p", "wilcoxon_p_holm", "nemenyi_p"),
    *("p_reference_better", "p_equivalent", "p_reference_worse"),
)
NEMENYI = (*_BLOCK, "first", "second", "rank_difference", "critical_difference", "p")


def statistics_files(families: Sequence[Family], standings: Sequence[DatasetTests]) -> dict[str, str]:
    """Return file name -> content; numbers have nine digits, far more than chance leaves sure."""
    return {
        "paired.csv": _csv(PAIRED, _paired(families)),
        "ranks.csv": _csv(RANKS, _ranks(standings)),
        "nemenyi.csv": _csv(NEMENYI, _nemenyi(standings)),
    }


def _paired(families: Sequence[Family]) -> Iterator[list[object]]:
    for family in families:
        field = family.table
        for one in family.comparisons:
            yield [
                *(*data_values(field.data), field.protocol, field.selection),
                *(*one.direction, one.first, one.second, one.queries, " ".join(map(str, one.seeds))),
                *(*one.means, one.difference, one.interval.low, one.interval.high, one.effect),
                *(one.p, one.adjusted, "yes" if one.exact else "no", one.interval.freedom),
            ]


def _ranks(standings: Sequence[DatasetTests]) -> Iterator[list[object]]:
    for standing in standings:
        block = standing.block
        for place, method in enumerate(block.methods):
            yield [
                *_head(block),
                *(method, float(standing.average_ranks[place]), float(block.scores[place].mean())),
                *(block.reference, *_against(standing, method)),
            ]


def _against(standing: DatasetTests, method: str) -> tuple[float | None, ...]:
    one = standing.against.get(method)
    if one is None:
        return (None,) * 6
    belief = one.rope
    return one.wilcoxon, one.adjusted, one.nemenyi, belief.better, belief.equivalent, belief.worse


def _nemenyi(standings: Sequence[DatasetTests]) -> Iterator[list[object]]:
    for standing in standings:
        block = standing.block
        for one, other in combinations(range(len(block.methods)), 2):
            apart = float(standing.average_ranks[one] - standing.average_ranks[other])
            yield [
                *(*_head(block), block.methods[one], block.methods[other]),
                *(apart, standing.critical_difference, float(standing.nemenyi[one, other])),
            ]


def _head(block: Block) -> tuple[str, ...]:
    return *block.about, " ".join(block.datasets)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_shown(value) for value in row] for row in rows)
    return out.getvalue()


def _shown(value: object) -> object:
    if value is None:
        return ""
    return f"{value:.9g}" if isinstance(value, float) else value
