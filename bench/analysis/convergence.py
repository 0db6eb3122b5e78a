"""Whether training had converged, and trace summaries: validation mAP along the epochs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from bench.analysis.groups import Data, RowGroup
from bench.analysis.results import Results
from bench.records.schema import Result

FLAT = 0.01
"""A curve counts as flat if its last quarter lifts the best validation mAP so far by at most this much."""

_KEYS: Final = ("stage", "epoch")
_SHOWN: Final = ("train_loss", "loss", "validation_loss", "validation_map", "oracle_map", "quality")
"""Beginnings of the columns that tell how training went; not parts of losses, nor single directions."""

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


def curves_of(results: Results, trace: Callable[[str], Trace]) -> dict[Data, list[Curve]]:
    """Return a curve per row of every data's tables; rows whose method traces no validation mAP are left out.

    Args:
        results: records of any status.
        trace: gives a record's trace by its digest.
    """
    tables = {}
    for data, groups in results.groups.items():
        curves = [curve for group in groups if (curve := _curve(group, trace)) is not None]
        if curves:
            tables[data] = curves
    return tables


def _curve(group: RowGroup, trace: Callable[[str], Trace]) -> Curve | None:
    done = [record for record in group.records if record.status == "done"]
    traced = [epochs for record in done if (epochs := _epochs(trace(record.digest)))]
    if not traced:
        return None
    values = _mean([[float(cast("float", row["validation_map"])) for row in epochs] for epochs in traced])
    losses = _mean([_losses(epochs) for epochs in traced])
    return Curve(group.key.method, group.label, len(traced), values, losses, group.usual)


def _epochs(trace: Trace) -> Trace:
    """Return the epochs after which validation mAP was taken, in order."""
    return [row for row in trace if isinstance(row.get("validation_map"), int | float)]


def _losses(epochs: Trace) -> list[float]:
    rows = [[value for key, value in row.items() if key.startswith("train_loss")] for row in epochs]
    numbers = [[value for value in row if isinstance(value, int | float)] for row in rows]
    return [math.fsum(row) for row in numbers] if all(numbers) else []


def _mean(series: Sequence[Sequence[float]]) -> tuple[float, ...]:
    # Cells of one row have the same settings, and so the same epochs, unless one was cut short.
    length = min(map(len, series))
    return tuple(statistics.fmean(values[epoch] for values in series) for epoch in range(length))


@dataclass(frozen=True)
class TraceSummary:
    """What a trace comes to.

    Attributes:
        columns: that are shown.
        rows: one per epoch that is shown; why it is shown, and its values by column.
        epochs: rows of the whole trace.
        left_out: columns that are not shown.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, Mapping[str, object]], ...]
    epochs: int
    left_out: tuple[str, ...]


def trace_summary(trace: Trace, result: Result | None) -> TraceSummary:
    """Return the first and the last epoch of every stage, and of the last stage those that were selected."""
    every = tuple(dict.fromkeys(column for row in trace for column in row))
    shown = tuple(column for column in every if column in _KEYS or _is_shown(column))
    rows = tuple(
        (", ".join(reasons), {column: row[column] for column in shown if column in row})
        for row, reasons in zip(trace, _reasons(trace, result), strict=True)
        if reasons
    )
    return TraceSummary(shown, rows, len(trace), tuple(column for column in every if column not in shown))


def _is_shown(column: str) -> bool:
    head, _, direction = column.partition("/")
    return head in _SHOWN and ">" not in direction


def _reasons(trace: Trace, result: Result | None) -> list[list[str]]:
    """Return why each row is worth showing; no reasons where it is not."""
    stages = [row.get("stage") for row in trace]
    reasons: list[list[str]] = [
        [
            *(["first"] if place == 0 or stages[place - 1] != stage else []),
            *(["last"] if place + 1 == len(stages) or stages[place + 1] != stage else []),
        ]
        for place, stage in enumerate(stages)
    ]
    for selected in result.selected if result is not None else ():
        if selected.rule == "last":  # needs no word
            continue
        epochs = selected.epoch if isinstance(selected.epoch, dict) else {"": selected.epoch}
        for modality, epoch in epochs.items():
            places = [
                place
                for place, row in enumerate(trace)
                if row.get("epoch") == epoch and stages[place] == stages[-1]
            ]
            for place in places[-1:]:
                reasons[place].append(f"{selected.rule} of {modality}" if modality else selected.rule)
    return reasons
