"""What results cost: seconds and memory per method, from the records."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.groups import Data, by_data, data_of
from bench.analysis.lines import lines_of
from bench.analysis.naming import Naming
from bench.records.schema import Record


@dataclass(frozen=True)
class Cost:
    """What one row of a table cost.

    Attributes:
        label: the method, as in the tables.
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
    """One method's part of the time of a profile.

    Attributes:
        label: title of the method.
        cells: how many were done.
        seconds: of all of them.
        share: of the whole, between 0 and 1.
    """

    label: str
    cells: int
    seconds: float
    share: float


def costs_of(records: Sequence[Record], naming: Naming) -> dict[Data, list[Cost]]:
    """Return a line per row of every data's tables; rows without a finished cell are left out."""
    tables = {}
    for data, members in by_data(records).items():
        done = [(line.label, _done(line.records)) for line in lines_of(members, naming)]
        costs = [_cost(label, own) for label, own in done if own]
        if costs:
            tables[data] = costs
    return tables


def shares_of(records: Sequence[Record], naming: Naming) -> dict[tuple[str, str, str], list[Share]]:
    """Return every method's share of the time, the largest first, per profile, kind of device and harness."""
    seconds: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in sorted(_done(records), key=lambda record: record.digest):
        data = data_of(record)
        own = seconds[data.profile, data.device, data.harness][record.identity.method]
        own.append(record.environment.seconds.get("total", 0.0))
    shares = {}
    for key, methods in sorted(seconds.items()):
        whole = sum(sum(values) for values in methods.values()) or 1.0
        lines = [
            Share(naming.title(method), len(values), sum(values), sum(values) / whole)
            for method, values in methods.items()
        ]
        shares[key] = sorted(lines, key=lambda line: (-line.seconds, line.label))
    return shares


def _done(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.status == "done"]


def _cost(label: str, records: Sequence[Record]) -> Cost:
    runs = [record.environment for record in records]
    return Cost(
        label,
        len(runs),
        statistics.median(run.seconds.get("fit", 0.0) for run in runs),
        statistics.median(run.seconds.get("evaluate", 0.0) for run in runs),
        sum(run.seconds.get("total", 0.0) for run in runs),
        max((run.peak_memory for run in runs if run.peak_memory is not None), default=None),
        max((run.peak_device_memory for run in runs if run.peak_device_memory is not None), default=None),
    )
