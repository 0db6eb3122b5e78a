"""Selection optimism: the gain from choosing the epoch on the test set, by row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final

from bench.analysis.groups import Data, RowGroup
from bench.analysis.results import Results
from bench.analysis.tables import AVERAGE, Spread, seed_values, spread_of
from bench.records.schema import Record

RULES: Final = ("best", "last", "oracle")


@dataclass(frozen=True)
class Optimism:
    """One row of a table, under one protocol: the average mAP over directions by selection rule."""

    data: Data
    protocol: str
    method: str
    label: str
    seeds: tuple[int, ...]  # those with a test-oracle trace; everything here is over them
    best: Spread  # by the criterion of the method's card, on validation data
    last: Spread | None  # at the last epoch; None where a seed lacks it
    oracle: Spread  # by the highest test mAP@all
    gain: Spread  # oracle minus best, seed by seed
    range: tuple[float, float]  # the smallest and the largest gain of a seed
    records: tuple[str, ...]  # digests behind it


def optimism_of(results: Results, protocols: Sequence[str]) -> list[Optimism]:
    """Return the optimism of every row that has a test-oracle trace, by data and protocol, in their order.

    Closed-form methods select nothing and have none.
    """
    rows = (
        _optimism(results, data, group, protocol)
        for data, groups in results.groups.items()
        for protocol in (results.protocol_id(data, name) for name in protocols)
        for group in groups
    )
    return [row for row in rows if row is not None]


def _optimism(results: Results, data: Data, group: RowGroup, protocol: str) -> Optimism | None:
    records = [record for record in group.records if _is_traced(record)]
    if not records:
        return None
    modalities = dict.fromkeys(name for record in records for name in record.identity.modalities)
    directions = tuple(permutations(modalities, 2))  # a method for pairs needs all its pairs
    rows = (results.numbers(data, protocol, rule)[group.label] for rule in RULES)
    best, last, oracle = (
        {seed: found[AVERAGE] for seed, found in seed_values(row, directions).items() if AVERAGE in found}
        for row in rows
    )
    seeds = tuple(seed for seed in best if seed in oracle)
    if not seeds:
        return None
    gains = [oracle[seed] - best[seed] for seed in seeds]
    chosen, oracles = (spread_of([values[seed] for seed in seeds]) for values in (best, oracle))
    at_last = spread_of([last[seed] for seed in seeds]) if last.keys() >= {*seeds} else None
    gain = spread_of(gains), (min(gains), max(gains))
    digests = tuple(record.digest for record in records if record.identity.seed in seeds)
    about = data, protocol, group.key.method, group.label, seeds
    return Optimism(*about, chosen, at_last, oracles, *gain, digests)


def _is_traced(record: Record) -> bool:
    """Return whether a cell was also selected on its test data, even if that state could not be ranked."""
    result = record.result
    return result is not None and "oracle" in {*result.refused, *(each.selection for each in result.metrics)}
