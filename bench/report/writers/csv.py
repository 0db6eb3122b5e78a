"""Exhibits as CSV: numbers in full precision."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from bench.report.exhibit import TableExhibit, Values


def files(exhibits: Iterable[TableExhibit]) -> dict[str, str]:
    """Return path -> content of the files that exhibits name; rows of one file follow each other."""
    found: dict[str, list[Values]] = {}
    for exhibit in exhibits:
        for values in exhibit.values:
            found.setdefault(values.file, []).append(values)
    return {
        file: text(members[0].fields, (row for values in members for row in values.rows))
        for file, members in found.items()
    }


def table(exhibit: TableExhibit) -> str:
    """Return one exhibit: its values, or else what it shows, with numbers in full."""
    if exhibit.values:
        return text(exhibit.values[0].fields, exhibit.values[0].rows)
    fields = [exhibit.corner, *(column.meaning or column.heading for column in exhibit.columns)]
    rows = (
        [line.label, *(cell.shown if cell.number is None else cell.number for cell in line.cells)]
        for line in exhibit.lines
    )
    return text(fields, rows)


def text(fields: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows under their heads; doubles read back to the same value, None is nothing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows(rows)
    return out.getvalue()
