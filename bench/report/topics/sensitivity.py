"""Settings: a table of the values of one setting, or a grid of two; part of the page of ablations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from bench.analysis.sensitivity import Sensitivity
from bench.analysis.tables import AVERAGE, direction_name
from bench.report.cells import (
    STUDY_FIELDS,
    data_values,
    digests,
    entry_cell,
    entry_values,
    seeds_cell,
    setting_text,
    shown_columns,
    spread_cell,
    top_two,
)
from bench.report.exhibit import Cell, Column, Line, TableExhibit, Values, data_subject
from bench.report.figures.settings import heading, sensitivity_stem, uneven_seeds
from bench.report.report_data import ReportData
from bench.report.text import data_name

FIELDS: Final = (
    *(*STUDY_FIELDS, "setting", "value", "other_setting", "other_value", "usual"),
    *("query", "gallery", "mean", "deviation", "seeds", "validation_map", "validation_deviation"),
    *("reason", "records"),
)
_USUAL: Final = "u"
_NOT_RUN: Final = Cell("not run", missing=True)


def exhibits(data: ReportData) -> list[TableExhibit]:
    """Return a table per curve and grid; those of further protocols are in the CSV file alone."""
    first = [one for one in data.sensitivities if data.is_first(one.protocol)]
    found = [_curve(one) if len(one.settings) == 1 else _grid(one) for one in first]
    if found:
        rows = [row for one in data.sensitivities for row in _values(one)]
        found[0] = replace(found[0], values=(Values("ablations/sensitivity.csv", FIELDS, rows),))
    return found


def _curve(one: Sensitivity) -> TableExhibit:
    shown = shown_columns(one.columns)
    tops = {
        column: top_two((point.row.entries[column] for point in one.points), one.protocol)[:1]
        for column in shown
    }
    lines = [
        Line(
            setting_text(point.values[0]) + (" (usual)" if point.usual else ""),
            (
                *(entry_cell(point.row.entries[column], tops[column]) for column in shown),
                spread_cell(point.validation, ".3f", point.row.entries[AVERAGE].records, "not traced"),
                seeds_cell([point.row.entries[AVERAGE]]),
            ),
        )
        for point in one.points
    ]
    columns = [Column(direction_name(column), direction=direction_name(column)) for column in shown]
    note = "validation: highest mAP@all on the validation rows along the epochs, mean over directions."
    return _exhibit(one, one.settings[0], [*columns, Column("validation"), Column("seeds")], lines, note)


def _grid(one: Sensitivity) -> TableExhibit:
    points = {tuple(map(setting_text, point.values)): point for point in one.points}
    tops = top_two((point.row.entries[AVERAGE] for point in one.points), one.protocol)[:1]
    across = one.values(1)

    def cell(*values: Any) -> Cell:
        point = points.get(tuple(map(setting_text, values)))
        if point is None:
            return _NOT_RUN
        return entry_cell(point.row.entries[AVERAGE], tops, _USUAL if point.usual else "")

    lines = [
        Line(setting_text(value), tuple(cell(value, other) for other in across)) for value in one.values(0)
    ]
    columns = [Column(f"{one.settings[1]}={setting_text(value)}", direction="average") for value in across]
    usual = f" {_USUAL}: the usual settings." if any(point.usual for point in one.points) else ""
    return _exhibit(one, one.settings[0], columns, lines, f"Averages over directions.{usual}")


def _exhibit(
    one: Sensitivity, corner: str, columns: Sequence[Column], lines: Sequence[Line], note: str
) -> TableExhibit:
    entries = [point.row.entries[AVERAGE] for point in one.points]
    reasons = sorted({entry.reason for entry in entries if entry.reason})
    return TableExhibit(
        name=sensitivity_stem(one),
        caption=f"{heading(one)} — {data_name(one.data)}, {one.protocol}, selection {one.selection}",
        corner=corner,
        columns=tuple(columns),
        lines=tuple(replace(line, search=one.title) for line in lines),
        notes=tuple(text for text in (note, uneven_seeds(one), *reasons) if text),
        subject=data_subject(one.data, one.protocol),
    )


def _values(one: Sensitivity) -> Iterator[tuple[object, ...]]:
    head = (*data_values(one.data), one.protocol, one.selection, one.method, one.title)
    for point in one.points:
        settings: list[str | None] = [None] * 4  # of a second setting that does not vary, nothing
        settings[: 2 * len(one.settings)] = [
            word
            for name, value in zip(one.settings, point.values, strict=True)
            for word in (name, json.dumps(value, sort_keys=True))
        ]
        for column in one.columns:
            entry = point.row.entries[column]
            validation = point.validation if column == AVERAGE else None
            yield (
                *(*head, *settings, "usual" if point.usual else "", *column, *entry_values(entry)),
                *((None, None) if validation is None else validation[:2]),
                *(entry.reason, digests(entry.records)),
            )
