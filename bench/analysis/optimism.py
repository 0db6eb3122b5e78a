"""What choosing the epoch on the test set would have added: selection optimism."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

from bench.analysis.groups import Data, RowGroup, by_data, row_groups
from bench.analysis.labels import Labels
from bench.analysis.tables import Cells, Direction
from bench.records.schema import Record

RULES = ("best", "last", "oracle")


class Spread(NamedTuple):
    """A mean over seeds and its sample deviation, None with one seed."""

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class Optimism:
    """One row of a table, under one protocol: the average mAP over directions by selection rule.

    Attributes:
        data: what it was run on.
        protocol: id of the evaluation rule.
        method: registry name.
        label: what to print.
        seeds: those with a test-oracle trace; everything here is over them.
        best: by the highest validation mAP.
        last: at the last epoch.
        oracle: by the highest test mAP@all.
        gain: oracle minus best, seed by seed.
        range: the smallest and the largest gain of a seed.
        records: digests behind it.
    """

    data: Data
    protocol: str
    method: str
    label: str
    seeds: tuple[int, ...]
    best: Spread
    last: Spread | None
    oracle: Spread
    gain: Spread
    range: tuple[float, float]
    records: tuple[str, ...]


def optimism_of(records: Iterable[Record], labels: Labels, protocols: Sequence[str]) -> list[Optimism]:
    """Return the optimism of every row that has a test-oracle trace, by data and protocol, in their order.

    Closed-form methods select nothing and have none.
    """
    return [
        found
        for data, members in by_data(records).items()
        for lines in [_traced(row_groups(members, labels))]
        for protocol in protocols
        for line in lines
        if (found := _optimism(data, line, protocol)) is not None
    ]


def _traced(lines: Sequence[RowGroup]) -> list[RowGroup]:
    """Return the lines with those of their records that have a trace, as far as there are any."""
    traced = [line._replace(records=list(filter(_is_traced, line.records))) for line in lines]
    return [line for line in traced if line.records]


def _is_traced(record: Record) -> bool:
    return record.result is not None and any(metric.selection == "oracle" for metric in record.result.metrics)


def _optimism(data: Data, line: RowGroup, protocol: str) -> Optimism | None:
    directions = _directions(line.records)
    values = {rule: Cells(line.records, protocol, rule).averages(directions) for rule in RULES}
    best, last, oracle = (values[rule] for rule in RULES)
    seeds = tuple(sorted(best.keys() & oracle.keys()))
    if not seeds:
        return None
    gains = [oracle[seed] - best[seed] for seed in seeds]
    return Optimism(
        data=data,
        protocol=protocol,
        method=line.records[0].identity.method,
        label=line.label,
        seeds=seeds,
        best=_spread([best[seed] for seed in seeds]),
        last=_spread([last[seed] for seed in seeds]) if last.keys() >= set(seeds) else None,
        oracle=_spread([oracle[seed] for seed in seeds]),
        gain=_spread(gains),
        range=(min(gains), max(gains)),
        records=tuple(record.digest for record in line.records if record.identity.seed in seeds),
    )


def _directions(records: Sequence[Record]) -> list[Direction]:
    """Return all directions of the row's modalities; a method for pairs needs all its pairs."""
    names = dict.fromkeys(name for record in records for name in record.identity.modalities)
    return list(permutations(names, 2))


def _spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)
