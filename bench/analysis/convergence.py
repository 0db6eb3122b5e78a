"""Whether training had converged, and trace summaries: validation mAP along the epochs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeGuard

from bench.analysis.groups import Data, RowGroup
from bench.analysis.results import Results
from bench.records.schema import Result

FLAT = 0.01
"""A curve counts as flat if its last quarter lifts the best validation mAP so far by at most this much."""

_KEYS: Final = ("stage", "epoch")
_SHOWN: Final = ("train_loss", "loss", "validation_loss", "validation_map", "oracle_map", "quality")
"""Beginnings of the columns that tell how training went; not parts of losses, nor single directions."""

Trace = Sequence[Mapping[str, object]]
_LARGEST: Final = 1e300  # of a number whose sum with some others is finite


@dataclass(frozen=True)
class Curve:
    """Validation mAP@all of one row of a table, mean over its cells."""

    method: str
    label: str
    cells: int  # how many curves it is the mean of
    values: tuple[float, ...]  # ``(epochs,)`` after every epoch
    losses: tuple[float, ...] = ()  # ``(epochs,)`` training loss, in all; empty where some epoch has none
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
    """Return a curve per row of every data's tables, from traces by digest; rows without any are left out."""
    tables = {
        data: [curve for group in groups if (curve := _curve(group, trace)) is not None]
        for data, groups in results.groups.items()
    }
    return {data: curves for data, curves in tables.items() if curves}


def _curve(group: RowGroup, trace: Callable[[str], Trace]) -> Curve | None:
    values, losses = [], []
    for record in group.records:
        rows = trace(record.digest) if record.status == "done" else ()
        epochs = [
            (float(value), [part for name, part in row.items() if name.startswith("train_loss")])
            for row in rows
            if _is_usable(value := row.get("validation_map"))
        ]
        if epochs:
            parts = [[each for each in part if isinstance(each, int | float)] for _, part in epochs]
            sums = [math.fsum(part) if all(map(_is_usable, part)) else math.nan for part in parts]
            losses.append(sums if all(parts) else [])
            values.append([value for value, _ in epochs])
    if not values:
        return None
    return Curve(group.key.method, group.label, len(values), _mean(values), _mean(losses), group.usual)


def _is_usable(value: object) -> TypeGuard[int | float]:
    """Return whether a value of a trace is a number that can be summed; those of a diverged loss are not."""
    return isinstance(value, int | float) and -_LARGEST <= value <= _LARGEST


def _mean(series: Sequence[Sequence[float]]) -> tuple[float, ...]:
    # Cells of one row have the same settings, and so the same epochs, unless one was cut short.
    return tuple(map(statistics.fmean, zip(*series, strict=False)))


@dataclass(frozen=True)
class TraceSummary:
    """Summary of a trace: its first, last and selected epochs."""

    columns: tuple[str, ...]  # that are shown
    rows: tuple[tuple[str, Mapping[str, object]], ...]  # of epochs: why one is shown, and its values
    epochs: int  # rows of the whole trace
    left_out: tuple[str, ...]  # columns that are not shown


def trace_summary(trace: Trace, result: Result | None) -> TraceSummary:
    """Return the first and the last epoch of every stage, and of the last stage those that were selected."""
    shown, left_out = list[str](), list[str]()
    for column in dict.fromkeys(column for row in trace for column in row):
        head, _, direction = column.partition("/")
        kept = column in _KEYS or (head in _SHOWN and ">" not in direction)
        (shown if kept else left_out).append(column)
    rows = tuple(
        (", ".join(reasons), {column: row[column] for column in shown if column in row})
        for row, reasons in zip(trace, _reasons(trace, result), strict=True)
        if reasons
    )
    return TraceSummary(tuple(shown), rows, len(trace), tuple(left_out))


def _reasons(trace: Trace, result: Result | None) -> list[list[str]]:
    """Return why each row is worth showing; no reasons where it is not."""
    stages = [row.get("stage") for row in trace]
    reasons: list[list[str]] = [[] for _ in stages]
    for index, stage in enumerate(stages):
        if index == 0 or stages[index - 1] != stage:
            reasons[index].append("first")
        if index + 1 == len(stages) or stages[index + 1] != stage:
            reasons[index].append("last")
    for selected in result.selected if result is not None else ():
        if selected.rule == "last":  # needs no word
            continue
        epochs = selected.epoch if isinstance(selected.epoch, dict) else {"": selected.epoch}
        for modality, epoch in epochs.items():
            last_stage = (index for index, stage in enumerate(stages) if stage == stages[-1])
            for index in [index for index in last_stage if trace[index].get("epoch") == epoch][-1:]:
                reasons[index].append(f"{selected.rule} of {modality}" if modality else selected.rule)
    return reasons
