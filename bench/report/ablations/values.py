"""Ablations and sensitivity as CSV: every number in full precision."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from bench.analysis.ablations import Ablation, Difference
from bench.analysis.sensitivity import Sensitivity
from bench.analysis.tables import AVERAGE, Row, Spread
from bench.report.tables.values import csv_of, data_values

_TABLE = (
    *("dataset", "data_kind", "profile", "fingerprint", "device", "harness"),
    *("protocol", "selection", "method", "label"),
)
COMPONENTS = (
    *(*_TABLE, "variant", "changes", "query", "gallery", "mean", "deviation", "seeds"),
    *("difference", "difference_deviation", "shared_seeds"),
    *("p", "p_holm", "low", "high", "effect", "significance", "reason", "records"),
)
CHOICES = (*_TABLE, "setting", "modality", "quality", "quality_deviation", "fits", "chosen")
SENSITIVITY = (
    *(*_TABLE, "setting", "value", "other_setting", "other_value", "usual"),
    *("query", "gallery", "mean", "deviation", "seeds", "validation_map", "validation_deviation"),
    *("reason", "records"),
)


def ablation_values(ablations: Sequence[Ablation], sensitivities: Sequence[Sensitivity]) -> dict[str, str]:
    """Return file name -> content; no file without any line."""
    lines = {
        "components.csv": (COMPONENTS, [line for one in ablations for line in _components(one)]),
        "choices.csv": (CHOICES, [line for one in ablations for line in _choices(one)]),
        "sensitivity.csv": (SENSITIVITY, [line for one in sensitivities for line in _points(one)]),
    }
    return {name: csv_of(fields, found) for name, (fields, found) in lines.items() if found}


def _components(ablation: Ablation) -> Iterator[tuple[object, ...]]:
    head = (*_head(ablation), ablation.method)
    for column in ablation.columns:
        yield (
            *head,
            ablation.label,
            "full",
            "{}",
            *_numbers(ablation.full, column),
            *_difference(None),
            *_rest(ablation.full, column),
        )
        for one in ablation.components:
            yield (
                *(*head, one.label, one.variant, json.dumps(one.changes, sort_keys=True)),
                *_numbers(one.row, column),
                *_difference(one.differences.get(column)),
                *_rest(one.row, column),
            )


def _difference(difference: Difference | None) -> tuple[object, ...]:
    if difference is None:
        return (None,) * 9
    test = difference.comparison
    tested: tuple[object, ...] = (None,) * 6
    if test is not None:
        tested = (
            test.p,
            test.adjusted,
            test.interval.low,
            test.interval.high,
            test.effect,
            test.mark,
        )
    return (*difference.spread, *tested)


def _choices(ablation: Ablation) -> Iterator[tuple[object, ...]]:
    head = (*_head(ablation), ablation.method, ablation.label, ablation.choice[0])
    for modality in dict.fromkeys([*ablation.quality, *(one.modality for one in ablation.choices)]):
        spread: Spread | tuple[None, None, None] = ablation.quality.get(modality, (None, None, None))
        if ablation.choice[0]:
            yield *head, modality, *spread, ablation.chosen.get(modality, 0) if ablation.chosen else None


def _points(sensitivity: Sensitivity) -> Iterator[tuple[object, ...]]:
    head = (*_head(sensitivity), sensitivity.method, sensitivity.title)
    for point in sensitivity.points:
        varying = [
            word
            for name, value in zip(sensitivity.settings, point.values, strict=True)
            for word in (name, json.dumps(value, sort_keys=True))
        ]
        for column in sensitivity.columns:
            validation = point.validation if column == AVERAGE else None
            yield (
                *(*head, *varying, *[None] * (4 - len(varying)), "usual" if point.usual else ""),
                *_numbers(point.row, column),
                *(validation[:2] if validation is not None else (None, None)),
                *_rest(point.row, column),
            )


def _head(one: Ablation | Sensitivity) -> tuple[object, ...]:
    return *data_values(one.data), one.protocol, one.selection


def _numbers(row: Row, column: tuple[str, str]) -> tuple[object, ...]:
    entry = row.entries[column]
    return *column, entry.mean, entry.deviation, entry.seeds


def _rest(row: Row, column: tuple[str, str]) -> tuple[object, ...]:
    entry = row.entries[column]
    return entry.reason, " ".join(entry.records)
