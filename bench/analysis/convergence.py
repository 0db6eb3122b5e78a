"""Whether training had come to rest: validation mAP along the epochs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.groups import Data, by_data, lines_of
from bench.analysis.naming import Naming
from bench.records.schema import Record

FLAT = 0.01
"""A curve counts as flat if its last quarter lifts the best validation mAP so far by at most this much."""

Trace = Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class Curve:
    """Validation mAP@all of one row of a table, mean over its cells.

    Attributes:
        label: the method, as in the tables.
        cells: how many curves it is the mean of.
        values: ``(epochs,)`` after every epoch.
    """

    label: str
    cells: int
    values: tuple[float, ...]

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
    done = [record for record in records if record.status == "done"]
    for data, members in by_data(done).items():
        curves = []
        for line in lines_of(members, naming):
            traced = [values for record in line.records if (values := _values(trace(record.digest)))]
            if traced:
                # Cells of one row have the same settings, and so the same epochs, unless one was cut short.
                length = min(map(len, traced))
                mean = [statistics.fmean(values[epoch] for values in traced) for epoch in range(length)]
                curves.append(Curve(line.label, len(traced), tuple(mean)))
        if curves:
            tables[data] = curves
    return tables


def _values(trace: Trace) -> list[float]:
    """Return validation mAP of the epochs that have one, in order."""
    return [float(value) for row in trace if isinstance(value := row.get("validation_map"), (int, float))]
