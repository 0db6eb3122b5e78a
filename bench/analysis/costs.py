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
    """Seconds and memory of one row of a table."""

    label: str
    cells: int  # how many were done
    fit: float  # median seconds of fitting a cell
    evaluate: float  # median seconds of embedding and ranking its test split
    total: float  # seconds of all cells, loading included
    peaks: tuple[int | None, int | None]  # as of `_peaks`; None where unknown, or without a GPU


@dataclass(frozen=True)
class Share:
    """One method's part of the time of a profile: title, done cells, their seconds, share of the whole."""

    label: str
    cells: int
    seconds: float
    share: float


def costs_of(results: Results) -> dict[Data, list[Cost]]:
    """Return a line per row of every data's tables; rows without a finished cell are left out."""
    tables: dict[Data, list[Cost]] = defaultdict(list)
    for data, groups in results.groups.items():
        for group in groups:
            runs = [record.environment for record in group.records if record.status == "done"]
            if runs:
                stages = ("fit", "evaluate", "total")
                fit, evaluate, total = ([run.seconds.get(name, 0.0) for run in runs] for name in stages)
                medians = statistics.median(fit), statistics.median(evaluate)
                tables[data].append(Cost(group.label, len(runs), *medians, sum(total), _peaks(runs)))
    return tables


def _peaks(runs: Sequence[Environment]) -> tuple[int | None, int | None]:
    """Return the largest resident size of a worker and the largest allocation on a GPU, in bytes."""
    return (
        max((run.peak_memory for run in runs if run.peak_memory is not None), default=None),
        max((run.peak_device_memory for run in runs if run.peak_device_memory is not None), default=None),
    )


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
    """mAP and costs of one row of a table.

    A method for two modalities needs several cells for all directions of a dataset with more: its seconds
    are their sum.
    """

    method: str
    label: str
    score: float  # mAP, mean over directions and seeds
    fit: float | None  # seconds of fitting for all directions, median over seeds; None where unknown
    evaluate: float | None  # the same of embedding and ranking the test split
    memory: float | None  # largest resident size of a worker in bytes; None where unknown
    device_memory: float | None  # largest allocation on a GPU in bytes; None without one
    usual: bool = True


def score_and_cost(row: Row, records: Mapping[str, Record]) -> ScoreAndCost | None:
    """Return a row's mAP and costs, by digest; None where it has no number over all directions."""
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
    took, ranked = (statistics.median(seconds) if seconds else None for seconds in (fit, evaluate))
    memory, device_memory = (size or None for size in _peaks(runs))
    return ScoreAndCost(row.method, row.label, entry.mean, took, ranked, memory, device_memory, row.usual)


def pareto_front(costs: Sequence[float | None], scores: Sequence[float]) -> list[int]:
    """Return the indices that no other one beats in both cost and score, the cheapest first.

    Less cost and more score is better; an unknown cost takes no part. Of equals the first counts.
    """
    best: list[int] = []
    points = [
        (cost, -score, at)
        for at, (cost, score) in enumerate(zip(costs, scores, strict=True))
        if cost is not None
    ]
    for _, _, index in sorted(points):
        if not best or scores[index] > scores[best[-1]]:
            best.append(index)
    return best
