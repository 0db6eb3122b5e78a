"""Costs: seconds and memory per method, and the Pareto front of cost and mAP."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.groups import Data, data_of
from bench.analysis.results import Results
from bench.analysis.tables import AVERAGE, Row
from bench.records.schema import Environment, Record


@dataclass(frozen=True)
class Cost:
    """What one row of a table cost.

    Attributes:
        cells: how many were done.
        fit: median seconds of fitting a cell.
        evaluate: median seconds of embedding and ranking its test split.
        total: seconds of all cells, loading included.
        memory: largest resident size of a worker in bytes; None where unknown.
        device_memory: largest allocation on a GPU in bytes; None without one.
    """

    label: str
    cells: int
    fit: float
    evaluate: float
    total: float
    memory: int | None
    device_memory: int | None


@dataclass(frozen=True)
class Share:
    """One method's part of the time of a profile: title, done cells, their seconds, share of the whole."""

    label: str
    cells: int
    seconds: float
    share: float


def costs_of(results: Results) -> dict[Data, list[Cost]]:
    """Return a line per row of every data's tables; rows without a finished cell are left out."""
    tables: dict[Data, list[Cost]] = {}
    for data, groups in results.groups.items():
        for group in groups:
            runs = [record.environment for record in group.records if record.status == "done"]
            if runs:
                seconds = {
                    stage: [run.seconds.get(stage, 0.0) for run in runs]
                    for stage in ("fit", "evaluate", "total")
                }
                cost = Cost(
                    group.label,
                    len(runs),
                    statistics.median(seconds["fit"]),
                    statistics.median(seconds["evaluate"]),
                    sum(seconds["total"]),
                    max((run.peak_memory for run in runs if run.peak_memory is not None), default=None),
                    max(
                        (run.peak_device_memory for run in runs if run.peak_device_memory is not None),
                        default=None,
                    ),
                )
                tables.setdefault(data, []).append(cost)
    return tables


def shares_of(results: Results) -> dict[tuple[str, str, str], list[Share]]:
    """Return every method's share of the time, the largest first, per profile, kind of device and harness."""
    seconds: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in sorted(results.records, key=lambda record: record.digest):
        if record.status == "done":
            data, run = data_of(record), record.environment
            spent = seconds[data.profile, data.device, data.harness]
            spent[record.identity.method].append(run.seconds.get("total", 0.0))
    shares = {}
    for key, methods in sorted(seconds.items()):
        whole = sum(sum(values) for values in methods.values()) or 1.0
        found = [
            Share(results.labels.title(method), len(values), sum(values), sum(values) / whole)
            for method, values in methods.items()
        ]
        shares[key] = sorted(found, key=lambda share: (-share.seconds, share.label))
    return shares


@dataclass(frozen=True)
class ScoreAndCost:
    """One row of a table: what it reached and what that cost.

    A method for two modalities needs several cells for all directions of a dataset with more: its seconds
    are their sum.

    Attributes:
        score: mAP, mean over directions and seeds.
        fit: seconds of fitting for all directions, median over seeds; None where unknown.
        evaluate: the same of embedding and ranking the test split.
        memory: largest resident size of a worker in bytes; None where unknown.
        device_memory: largest allocation on a GPU in bytes; None without one.
    """

    method: str
    label: str
    score: float
    fit: float | None
    evaluate: float | None
    memory: float | None
    device_memory: float | None
    usual: bool = True


def score_and_cost(row: Row, records: Mapping[str, Record]) -> ScoreAndCost | None:
    """Return a row's price; None where it has no number over all directions.

    Args:
        row: of a table.
        records: by digest, at least those behind the row.
    """
    entry = row.entries[AVERAGE]
    if entry.mean is None:
        return None
    by_seed: dict[int, list[Environment]] = defaultdict(list)
    for digest in entry.records:
        by_seed[records[digest].identity.seed].append(records[digest].environment)
    runs = [run for members in by_seed.values() for run in members]
    fit, evaluate = (
        [
            sum(run.seconds[stage] for run in members)
            for members in by_seed.values()
            if all(run.seconds.get(stage, 0.0) > 0 for run in members)
        ]
        for stage in ("fit", "evaluate")
    )
    return ScoreAndCost(
        method=row.method,
        label=row.label,
        score=entry.mean,
        fit=statistics.median(fit) if fit else None,
        evaluate=statistics.median(evaluate) if evaluate else None,
        memory=max((run.peak_memory for run in runs if run.peak_memory), default=None),
        device_memory=max((run.peak_device_memory for run in runs if run.peak_device_memory), default=None),
        usual=row.usual,
    )


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of the points that no other one beats in both cost and score, the cheapest first.

    Args:
        points: (cost, score): less of the first and more of the second is better. Of equal points the
            first counts.
    """
    best: list[int] = []
    for place in sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1], place)):
        if not best or points[place][1] > points[best[-1]][1]:
            best.append(place)
    return best
