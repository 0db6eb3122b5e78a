"""Whether training had come to rest: validation mAP along the epochs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.groups import Data, by_data
from bench.analysis.lines import Line, lines_of
from bench.analysis.naming import Naming
from bench.records.schema import Record

FLAT = 0.01
"""A curve counts as flat if its last quarter lifts the best validation mAP so far by at most this much."""

Trace = Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class Curve:
    """Validation mAP@all of one row of a table, mean over its cells.

    Attributes:
        method: registry name.
        label: the method, as in the tables.
        cells: how many curves it is the mean of.
        values: ``(epochs,)`` after every epoch.
        losses: ``(epochs,)`` training loss, summed over what is trained side by side; empty where some
            epoch has none.
        usual: whether the row is the method itself with its usual settings.
    """

    method: str
    label: str
    cells: int
    values: tuple[float, ...]
    losses: tuple[float, ...] = ()
    usual: bool = True

    def best_within(self, share: float) -> float:
        """Return the highest value within the first ``share`` of the epochs, at least one of them."""
        return max(self.values[: max(1, int(share * len(self.values)))])

    @property
    def late_gain(self) -> float:
        """How much the last quarter of the epochs lifts the best value; never negative."""
        return self.best_within(1.0) - self.best_within(0.75)

    @property
    def flat(self) -> bool:
        """Whether that is at most `FLAT`."""
        return self.late_gain <= FLAT


def curves_of(
    records: Sequence[Record], naming: Naming, trace: Callable[[str], Trace]
) -> dict[Data, list[Curve]]:
    """Return a curve per row of every data's tables; rows whose method traces no validation mAP are left out.

    Args:
        records: of any status.
        naming: titles and order.
        trace: gives a record's trace by its digest.
    """
    tables = {}
    for data, members in by_data(records).items():
        curves = [curve for line in lines_of(members, naming) if (curve := _curve(line, trace)) is not None]
        if curves:
            tables[data] = curves
    return tables


def _curve(line: Line, trace: Callable[[str], Trace]) -> Curve | None:
    done = [record for record in line.records if record.status == "done"]
    traced = [epochs for record in done if (epochs := _epochs(trace(record.digest)))]
    if not traced:
        return None
    values = _mean([[_value(row) for row in epochs] for epochs in traced])
    losses = _mean([_losses(epochs) for epochs in traced])
    return Curve(line.who.method, line.label, len(traced), values, losses, line.usual)


def _epochs(trace: Trace) -> Trace:
    """Return the epochs after which validation mAP was taken, in order."""
    return [row for row in trace if isinstance(row.get("validation_map"), int | float)]


def _value(row: Mapping[str, object]) -> float:
    value = row["validation_map"]
    assert isinstance(value, int | float)
    return float(value)


def _losses(epochs: Trace) -> list[float]:
    rows = [[value for key, value in row.items() if key.startswith("train_loss")] for row in epochs]
    numbers = [[value for value in row if isinstance(value, int | float)] for row in rows]
    return [math.fsum(row) for row in numbers] if all(numbers) else []


def _mean(series: Sequence[Sequence[float]]) -> tuple[float, ...]:
    # Cells of one row have the same settings, and so the same epochs, unless one was cut short.
    length = min(map(len, series))
    return tuple(statistics.fmean(values[epoch] for values in series) for epoch in range(length))
