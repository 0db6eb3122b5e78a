"""Significance marks in mAP tables: where a row differs from the reference, and how far that carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bench.analysis.paired import ALPHA, Comparison, Family
from bench.analysis.tables import Direction, Row, Table

HOLDS: Final = "a"
"""Differs over queries, and the interval over seeds and queries leaves zero out."""

MODELS_ONLY: Final = "b"
"""The trained models differ over queries, but the interval holds zero."""


def mark_of(comparison: Comparison) -> str:
    """Return the mark of the row that a reference is compared with; empty where they are not told apart."""
    if not comparison.differs:
        return ""
    return HOLDS if comparison.holds else MODELS_ONLY


def marked(tables: Sequence[Table], families: Sequence[Family]) -> list[Table]:
    """Return the tables with marks from the families that compare with a reference."""
    found = {(one.field.data, one.field.protocol, one.field.selection): one for one in families}
    return [_marked(table, found.get((table.data, table.protocol, table.selection))) for table in tables]


def marks_note(table: Table) -> str:
    """Return what the marks of a table say, in words."""
    one_seed = any(entry.seeds == 1 for row in table.rows for entry in row.entries.values())
    return (
        f"{HOLDS}: differs from {table.reference} in this column (randomization test over queries, "
        f"Holm-adjusted p ≤ {ALPHA}), and the 95 % interval over seeds and queries leaves zero out; "
        f"{MODELS_ONLY}: these trained models differ, but the interval holds zero."
        + (" With one seed the interval lacks the variation over seeds." if one_seed else "")
    )


def _marked(table: Table, family: Family | None) -> Table:
    if family is None or not family.comparisons:
        return table
    marks = {(one.second, one.direction): mark_of(one) for one in family.comparisons}
    rows = tuple(_marked_row(row, marks) for row in table.rows)
    return replace(table, rows=rows, reference=family.reference)


def _marked_row(row: Row, marks: dict[tuple[str, Direction], str]) -> Row:
    entries = {
        direction: replace(entry, mark=marks.get((row.label, direction), ""))
        for direction, entry in row.entries.items()
    }
    return replace(row, entries=entries)
