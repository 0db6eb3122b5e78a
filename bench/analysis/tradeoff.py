"""What a method's mAP costs: time and memory of a whole run, and who is not beaten in both."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.tables import AVERAGE, Row
from bench.records.schema import Environment, Record


@dataclass(frozen=True)
class Price:
    """One row of a table: what it reached and what that cost.

    A method for two modalities needs several cells for all directions of a dataset with more: its seconds
    are their sum.

    Attributes:
        method: registry name.
        label: the method, as in the tables.
        score: mAP, mean over directions and seeds.
        fit: seconds of fitting for all directions, median over seeds; None where unknown.
        evaluate: the same of embedding and ranking the test split.
        memory: largest resident size of a worker in bytes; None where unknown.
        device_memory: largest allocation on a GPU in bytes; None without one.
        usual: whether the row is the method itself with its usual settings, and the last such row.
    """

    method: str
    label: str
    score: float
    fit: float | None
    evaluate: float | None
    memory: float | None
    device_memory: float | None
    usual: bool = True


def price_of(row: Row, records: Mapping[str, Record]) -> Price | None:
    """Return a row's price; None where it has no number over all directions.

    Args:
        row: of a table.
        records: by digest, at least those behind the row.
    """
    entry = row.entries[AVERAGE]
    if entry.mean is None:
        return None
    runs: dict[int, list[Environment]] = defaultdict(list)
    for digest in entry.records:
        runs[records[digest].identity.seed].append(records[digest].environment)
    every = [run for members in runs.values() for run in members]
    return Price(
        method=row.method,
        label=row.label,
        score=entry.mean,
        fit=_seconds(list(runs.values()), "fit"),
        evaluate=_seconds(list(runs.values()), "evaluate"),
        memory=max((run.peak_memory for run in every if run.peak_memory), default=None),
        device_memory=max((run.peak_device_memory for run in every if run.peak_device_memory), default=None),
        usual=row.usual,
    )


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of the points that no other one beats in both cost and score, the cheapest first.

    Args:
        points: (cost, score): less of the first and more of the second is better. Of equal points the
            first counts.
    """
    order = sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1], place))
    best: list[int] = []
    for place in order:
        if not best or points[place][1] > points[best[-1]][1]:
            best.append(place)
    return best


def _seconds(runs: Sequence[Sequence[Environment]], stage: str) -> float | None:
    sums = [
        sum(run.seconds[stage] for run in members)
        for members in runs
        if all(run.seconds.get(stage, 0.0) > 0 for run in members)
    ]
    return statistics.median(sums) if sums else None
