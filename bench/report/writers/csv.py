"""Exhibits as CSV: numbers in full precision."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from bench.report.exhibit import TableExhibit, Values


def files(exhibits: Iterable[TableExhibit]) -> dict[str, str]:
    """Return path -> content of the files that exhibits name; rows of one file are joined."""
    found: dict[str, list[Values]] = {}
    for exhibit in exhibits:
        for values in exhibit.values:
            found.setdefault(values.file, []).append(values)
    return {
        file: text(members[0].fields, (row for values in members for row in values.rows))
        for file, members in found.items()
    }


def text(fields: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a header and rows; doubles read back to the same value, None is an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows(rows)
    return out.getvalue()
