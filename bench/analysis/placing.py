"""How one row stands among the others of its table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.analysis.tables import Direction, Entry, Row, Table


@dataclass(frozen=True)
class Placing:
    """One row's place in one column.

    Attributes:
        column: direction, or the average.
        entry: the row's own number, over all its seeds.
        rank: 1 is best; equal numbers share the better rank; None where there is no number.
        of: rows with a number in this column.
        best: label of the best of the other rows.
        best_mean: its number; None where no other row has one.
    """

    column: Direction
    entry: Entry
    rank: int | None
    of: int
    best: str
    best_mean: float | None


def row_of(table: Table, digest: str) -> Row | None:
    """Return the row that a record's numbers are part of; None if it has none in this table."""
    for row in table.rows:
        if any(entry.mean is not None and digest in entry.records for entry in row.entries.values()):
            return row
    return None


def placings(table: Table, row: Row) -> list[Placing]:
    """Return a row's place in every column that has a number for it.

    Reference points do not compete, except that one of them is itself the row.
    """
    rivals = [other for other in table.rows if other is not row and other.role != "reference"]
    return [
        _placing(column, row.entries[column], rivals)
        for column in table.columns
        if row.entries[column].mean is not None
    ]


def references(table: Table, row: Row, column: Direction) -> dict[str, float]:
    """Return what the reference points other than the row reach in a column, by label."""
    return _means([other for other in table.rows if other is not row and other.role == "reference"], column)


def _means(rows: Iterable[Row], column: Direction) -> dict[str, float]:
    found = {row.label: row.entries[column].mean for row in rows}
    return {label: mean for label, mean in found.items() if mean is not None}


def _placing(column: Direction, entry: Entry, rivals: list[Row]) -> Placing:
    numbers = _means(rivals, column)
    assert entry.mean is not None
    better = sum(mean > entry.mean for mean in numbers.values())
    best = max(numbers, key=lambda label: numbers[label], default="")
    return Placing(column, entry, better + 1, len(numbers) + 1, best, numbers.get(best))
