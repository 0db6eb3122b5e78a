"""Tables and records for the tests of reports."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from bench.analysis import AVERAGE, Entry, Row, Table
from bench.analysis.groups import Data
from bench.report.exhibit import Part, TableExhibit
from bench.report.topics.map_tables import table_exhibit
from bench.report.writers import markdown
from bench.report.writers.csv import files as csv_files

IT, TI = ("image", "text"), ("text", "image")
HOSTILE = r"a_b & 100% $x^2$ #1 {y} ~z\n <b>&amp;</b> |*c*| [d] `e`"
"""What Markdown, HTML and LaTeX each read as something else."""


def entry(mean: float | None, deviation: float | None = None, reason: str = "") -> Entry:
    return Entry(mean, deviation, 0 if mean is None else 3, ("f" * 20,), reason)


def row(label: str, *means: float | None, role: str = "baseline", pairing: str = "", **more: Any) -> Row:
    """Return a row of three columns; a missing number's reason is ``failed: why``."""
    values = [entry(mean, reason="" if mean is not None else "failed: why") for mean in means]
    return Row("method", label, pairing, role, dict(zip((IT, TI, AVERAGE), values, strict=True)), **more)


def table(*rows: Row, **changes: Any) -> Table:
    """Return a table; ``changes`` are fields of it or of its data."""
    data = Data("real", "quick", "emoji", "0123456789abcdef", "cpu", "")
    data = data._replace(**{key: changes.pop(key) for key in data._fields if key in changes})
    fields: dict[str, Any] = {
        "data": data,
        "protocol": "map@all",
        "selection": "best",
        "columns": (IT, TI, AVERAGE),
        "rows": rows,
    }
    return Table(**(fields | changes))


def exhibit(*rows: Row, **changes: Any) -> TableExhibit:
    """Return the exhibit of such a table."""
    return table_exhibit(table(*rows, **changes))


def page_of(parts: Sequence[Part]) -> str:
    """Return parts of a topic as a Markdown page."""
    return markdown.page([("Title", parts)])


def csv_of(parts: Sequence[Part]) -> list[dict[str, str]]:
    """Return the rows of the only CSV file of a topic's parts."""
    (text,) = csv_files([table for part in parts for table in part.tables]).values()
    return list(csv.DictReader(io.StringIO(text)))
