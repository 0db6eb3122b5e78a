"""Selection optimism: the gain from choosing the epoch on the test set, by row of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import TYPE_CHECKING, Final

from bench.analysis.groups import Data, RowGroup
from bench.analysis.results import Results
from bench.analysis.tables import AVERAGE, Direction, Spread, seed_values, spread_of, values_of_row

if TYPE_CHECKING:
    import pandas as pd

RULES: Final = ("best", "last", "oracle")


@dataclass(frozen=True)
class Optimism:
    """One row of a table, under one protocol: the average mAP over directions by selection rule."""

    data: Data
    protocol: str
    method: str
    label: str
    seeds: tuple[int, ...]  # those with a test-oracle trace; everything here is over them
    best: Spread  # by the highest validation mAP
    last: Spread | None  # at the last epoch; None where a seed lacks it
    oracle: Spread  # by the highest test mAP@all
    gain: Spread  # oracle minus best, seed by seed
    range: tuple[float, float]  # the smallest and the largest gain of a seed
    records: tuple[str, ...]  # digests behind it


def optimism_of(results: Results, protocols: Sequence[str]) -> list[Optimism]:
    """Return the optimism of every row that has a test-oracle trace, by data and protocol, in their order.

    Closed-form methods select nothing and have none.
    """
    traced = {*results.frame[results.frame["selection"] == "oracle"]["record"]}

    @cache
    def values(data: Data, directions: tuple[Direction, ...], protocol: str, rule: str) -> pd.DataFrame:
        return seed_values(results, data, directions, protocol, rule)[0]

    rows = (
        _optimism(data, group, traced, protocol, values)
        for data, groups in results.groups.items()
        for protocol in (results.protocol_id(data, name) for name in protocols)
        for group in groups
    )
    return [row for row in rows if row is not None]


def _optimism(
    data: Data, group: RowGroup, traced: set[str], protocol: str, values: Callable[..., pd.DataFrame]
) -> Optimism | None:
    records = [record for record in group.records if record.digest in traced]
    if not records:
        return None
    modalities = dict.fromkeys(name for record in records for name in record.identity.modalities)
    directions = tuple(permutations(modalities, 2))  # a method for pairs needs all its pairs
    best, last, oracle = (
        values_of_row(values(data, directions, protocol, rule), group.label)[AVERAGE].dropna()
        for rule in RULES
    )
    both = best.index.intersection(oracle.index).sort_values()
    if not len(both):
        return None
    gains = (oracle[both] - best[both]).tolist()
    seeds = tuple(map(int, both))
    chosen, oracles = (spread_of(values[both].tolist()) for values in (best, oracle))
    at_last = spread_of(last[both].tolist()) if both.isin(last.index).all() else None
    gain = spread_of(gains), (min(gains), max(gains))
    digests = tuple(record.digest for record in records if record.identity.seed in seeds)
    about = data, protocol, group.key.method, group.label, seeds
    return Optimism(*about, chosen, at_last, oracles, *gain, digests)
