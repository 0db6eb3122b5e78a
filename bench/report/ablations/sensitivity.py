"""Sensitivity as tables: a line per value of one setting, or a grid of two."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from bench.analysis.sensitivity import Point, Sensitivity
from bench.analysis.tables import AVERAGE
from bench.report.ablations.components import FEW, in_words
from bench.report.tables.arranging import cell_of, top_two
from bench.report.tables.sheet import Cell, Column, Line, Sheet
from bench.report.text import data_name, file_stem, made_by_stem

USUAL = "u"
USUAL_NOTE = f"{USUAL}: the usual settings."
_NOT_RUN = Cell("not run", missing=True)


def sensitivity_sheet(sensitivity: Sensitivity) -> Sheet:
    """Return the table of a curve or of a grid."""
    return _curve(sensitivity) if len(sensitivity.settings) == 1 else _grid(sensitivity)


def stem(sensitivity: Sensitivity) -> str:
    """Return the name of files about a curve or grid, without an ending; unlike any other's."""
    data = sensitivity.data
    # Two titles may be spelled alike in the name of a file.
    mark = hashlib.sha256(repr((sensitivity.title, sensitivity.settings)).encode()).hexdigest()[:6]
    return file_stem(
        *("sensitivity", sensitivity.method, *sensitivity.settings, data.dataset, data.kind, data.profile),
        *(sensitivity.protocol, sensitivity.selection, data.fingerprint[:8]),
        *(*made_by_stem(data.device, data.harness), mark),
    )


def heading(sensitivity: Sensitivity) -> str:
    """Return what varies in which method, in one line of plain text."""
    return f"{sensitivity.title} by {' and '.join(sensitivity.settings)}"


def uneven(sensitivity: Sensitivity) -> str:
    """Return a sentence where points rest on different numbers of seeds; else nothing."""
    counts = sorted({point.row.entries[AVERAGE].seeds for point in sensitivity.points} - {0})
    if len(counts) < 2:
        return ""
    return f"Points rest on {counts[0]} to {counts[-1]} seeds: what differs may be the seeds."


def _curve(sensitivity: Sensitivity) -> Sheet:
    directions = [column for column in sensitivity.columns if column != AVERAGE]
    shown = [*(directions if len(directions) <= FEW else ()), AVERAGE]
    points = sensitivity.points
    tops = {column: top_two(point.row.entries[column] for point in points)[:1] for column in shown}
    lines = [
        Line(
            in_words(point.values[0]) + (" (usual)" if point.usual else ""),
            (
                *(cell_of(point.row.entries[column], tops[column]) for column in shown),
                _validation(point),
                Cell(str(point.row.entries[AVERAGE].seeds)),
            ),
        )
        for point in points
    ]
    names = ["average" if column == AVERAGE else f"{column[0]}→{column[1]}" for column in shown]
    return _sheet(
        sensitivity,
        sensitivity.settings[0],
        [*map(Column, names), Column("validation"), Column("seeds")],
        lines,
        ["validation: highest mAP@all on the validation rows along the epochs, mean over directions."],
    )


def _grid(sensitivity: Sensitivity) -> Sheet:
    found = {tuple(map(in_words, point.values)): point for point in sensitivity.points}
    tops = top_two(point.row.entries[AVERAGE] for point in sensitivity.points)[:1]
    across = sensitivity.values(1)

    def cell(*values: Any) -> Cell:
        point = found.get(tuple(map(in_words, values)))
        return _NOT_RUN if point is None else _average(point, tops)

    lines = [
        Line(in_words(value), tuple(cell(value, other) for other in across))
        for value in sensitivity.values(0)
    ]
    first, second = sensitivity.settings
    columns = [Column(f"{second}={in_words(value)}") for value in across]
    return _sheet(sensitivity, first, columns, lines, ["Averages over directions."])


def _sheet(
    sensitivity: Sensitivity,
    corner: str,
    columns: Sequence[Column],
    lines: Sequence[Line],
    notes: Sequence[str],
) -> Sheet:
    reasons = sorted(
        {
            point.row.entries[AVERAGE].reason
            for point in sensitivity.points
            if point.row.entries[AVERAGE].reason
        }
    )
    marked = len(sensitivity.settings) > 1 and any(point.usual for point in sensitivity.points)
    return Sheet(
        name=stem(sensitivity),
        caption=(
            f"{heading(sensitivity)} — {data_name(sensitivity.data)}, {sensitivity.protocol}, selection "
            f"{sensitivity.selection}"
        ),
        corner=corner,
        columns=tuple(columns),
        lines=tuple(lines),
        notes=tuple(
            note for note in (*notes, USUAL_NOTE if marked else "", uneven(sensitivity), *reasons) if note
        ),
    )


def _average(point: Point, tops: Sequence[str]) -> Cell:
    return cell_of(point.row.entries[AVERAGE], tops, USUAL if point.usual else "")


def _validation(point: Point) -> Cell:
    spread = point.validation
    if spread is None:
        return Cell("not traced", missing=True)
    deviation = "" if spread.deviation is None else f"{spread.deviation:.3f}"
    records = point.row.entries[AVERAGE].records
    return Cell(f"{spread.mean:.3f}", number=spread.mean, records=records, spread=deviation)
