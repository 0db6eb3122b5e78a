"""Selection optimism: what choosing the epoch on the test set would have added, by row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final

from bench.analysis.groups import Data, RowGroup
from bench.analysis.results import Results
from bench.analysis.tables import AVERAGE, Spread, seed_values, spread_of

RULES: Final = ("best", "last", "oracle")


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
        last: at the last epoch; None where a seed lacks it.
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


def optimism_of(results: Results, protocols: Sequence[str]) -> list[Optimism]:
    """Return the optimism of every row that has a test-oracle trace, by data and protocol, in their order.

    Closed-form methods select nothing and have none.
    """
    traced = {*results.frame[results.frame["selection"] == "oracle"]["record"]}
    rows = [
        (data, group, {digest: record for record in group.records if (digest := record.digest) in traced})
        for data, groups in results.groups.items()
        for group in groups
    ]
    return [
        found
        for data in results.groups
        for protocol in protocols
        for place, group, records in rows
        if place == data and records
        if (found := _optimism(results, data, group, list(records), protocol)) is not None
    ]


def _optimism(
    results: Results, data: Data, group: RowGroup, digests: Sequence[str], protocol: str
) -> Optimism | None:
    records = [results.by_digest[digest] for digest in digests]
    modalities = dict.fromkeys(name for record in records for name in record.identity.modalities)
    directions = list(permutations(modalities, 2))  # a method for pairs needs all its pairs
    best, last, oracle = (
        seed_values(results, [group], directions, protocol, rule, digests)[0][AVERAGE].dropna()
        for rule in RULES
    )
    both = best.index.intersection(oracle.index).sort_values()
    if not len(both):
        return None
    gains = (oracle[both] - best[both]).tolist()
    seeds = tuple(int(seed) for _, seed in both)
    return Optimism(
        data=data,
        protocol=protocol,
        method=group.key.method,
        label=group.label,
        seeds=seeds,
        best=spread_of(best[both].tolist()),
        last=spread_of(last[both].tolist()) if both.isin(last.index).all() else None,
        oracle=spread_of(oracle[both].tolist()),
        gain=spread_of(gains),
        range=(min(gains), max(gains)),
        records=tuple(record.digest for record in records if record.identity.seed in seeds),
    )
