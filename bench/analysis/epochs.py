"""A training trace in short: of every stage the first and the last epoch, and those that were selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.records.schema import Result

_KEYS: Final = ("stage", "epoch")
_TOLD: Final = ("train_loss", "loss", "validation_loss", "validation_map", "oracle_map", "quality")
"""Beginnings of the columns that tell how training went; not parts of losses, nor single directions."""

Trace = Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class Brief:
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


def brief_of(trace: Trace, result: Result | None) -> Brief:
    """Return the first and the last epoch of every stage, and of the last stage those that were selected."""
    every = tuple(dict.fromkeys(column for row in trace for column in row))
    told = tuple(column for column in every if column in _KEYS or _is_told(column))
    wanted = _wanted(trace, result)
    rows = tuple(
        (", ".join(reasons), {column: row[column] for column in told if column in row})
        for row, reasons in zip(trace, wanted, strict=True)
        if reasons
    )
    return Brief(told, rows, len(trace), tuple(column for column in every if column not in told))


def _is_told(column: str) -> bool:
    head, _, direction = column.partition("/")
    return head in _TOLD and ">" not in direction


def _wanted(trace: Trace, result: Result | None) -> list[list[str]]:
    """Return why each row is worth showing; no reasons where it is not."""
    reasons: list[list[str]] = [[] for _ in trace]
    stages = [row.get("stage") for row in trace]
    for place, stage in enumerate(stages):
        if place == 0 or stages[place - 1] != stage:
            reasons[place].append("first")
        if place + 1 == len(stages) or stages[place + 1] != stage:
            reasons[place].append("last")
    for rule, modality, epoch in _chosen(result):
        places = [
            place
            for place, row in enumerate(trace)
            if row.get("epoch") == epoch and stages[place] == stages[-1]
        ]
        for place in places[-1:]:
            reasons[place].append(f"{rule} of {modality}" if modality else rule)
    return reasons


def _chosen(result: Result | None) -> list[tuple[str, str, int]]:
    """Return (rule, modality or nothing, epoch) of what was selected; the last epoch needs no word."""
    found = []
    for item in result.selected if result is not None else ():
        if item.rule == "last":
            continue
        epochs = item.epoch if isinstance(item.epoch, dict) else {"": item.epoch}
        found += [(item.rule, modality, epoch) for modality, epoch in epochs.items()]
    return found
