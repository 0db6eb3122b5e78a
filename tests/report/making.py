"""Tables and records for the tests of reports."""

from __future__ import annotations

from typing import Any

from bench.analysis import AVERAGE, Entry, Row, Table
from bench.analysis.groups import Data

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
