"""From a table of numbers to a sheet: headings, what stands out, marks, reasons and notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bench.analysis.comparisons import marks_note
from bench.analysis.labels import abbreviations
from bench.analysis.tables import AVERAGE, Direction, Entry, Row, Table, direction_name
from bench.report.tables.sheet import Cell, Column, Line, Place, Sheet
from bench.report.text import caption, file_stem, made_by_stem

PSEUDO_PAIRS = "†"
PSEUDO_PAIRS_NOTE = f"{PSEUDO_PAIRS} trained on class-matched pseudo-pairs, since the data has no pairs."
ONE_SEED_NOTE = (
    "A number from one seed has no deviation: how much it varies from seed to seed is not known; "
    "run more with: python -m bench run --seeds 5"
)
REFERENCE_NOTE = "Reference points do not compete with the methods: {}."
NO_DIRECTION: Final = "‡"
"""Marks numbers that rest on embeddings of norm zero."""
NO_DIRECTION_NOTE: Final = (
    f"{NO_DIRECTION} some test rows have no direction, as their embeddings are zero: their similarity to "
    "everything is 0, and ties count by their expectation. They are {}."
)
STUDIES_NOTE = (
    "Variants and other settings of a method do not compete either, nor are they tested here: the best of "
    "them would be chosen on test data. What they are worth: ablations.md."
)
_FEW = 2
"""Directions that can be written out; more are abbreviated and grouped by the modality of the queries."""


def sheet_of(table: Table) -> Sheet:
    """Return how a table of mAP is shown: its directions, their average, and the number of seeds.

    The best number of a column stands out, and the second; what is printed alike is ranked alike. Only
    `Table.competing` rows take part.
    """
    competing = table.competing
    tops = {column: top_two(row.entries[column] for row in competing) for column in table.columns}
    lines = tuple(
        Line(
            row.label + (f" {PSEUDO_PAIRS}" if row.pairing else ""),
            (*_cells(row, table.columns, tops if row in competing else {}), Cell(_seeds(row))),
        )
        for row in table.rows
    )
    return Sheet(
        name=stem(table),
        caption=caption(table),
        corner="Method",
        columns=(*_columns(table.columns), Column("seeds")),
        lines=lines,
        notes=tuple(_notes(table)),
    )


def stem(table: Table) -> str:
    """Return the name of a table's files, without an ending."""
    return file_stem(
        *(table.dataset, table.kind, table.profile, table.protocol, table.selection),
        *(table.data.fingerprint[:8], *made_by_stem(table.data.device, table.data.harness)),
    )


def top_two(entries: Iterable[Entry]) -> list[str]:
    """Return the two highest means as they are printed."""
    means = {f"{entry.mean:.3f}" for entry in entries if entry.mean is not None}
    return sorted(means, reverse=True)[:2]


def cell_of(entry: Entry, tops: Sequence[str], mark: str = "") -> Cell:
    """Return an entry's cell; ``tops`` are the means that stand out, none for a row that does not compete."""
    if entry.mean is None:
        return Cell(entry.brief or "no result", missing=True, records=entry.records)
    mean = f"{entry.mean:.3f}"
    places: tuple[Place, ...] = ("best", "second")
    place = places[tops.index(mean)] if mean in tops else ""
    spread = "" if entry.deviation is None else f"{entry.deviation:.3f}"
    mark += NO_DIRECTION if entry.zeros else ""
    return Cell(mean, place, mark, number=entry.mean, records=entry.records, spread=spread)


def directions_note(rows: Iterable[Row]) -> list[str]:
    """Return the note on embeddings without a direction; nothing where there are none."""
    found = [
        f"{row.label}: {', '.join(one.words for one in row.zeros)}"
        for row in rows
        if any(entry.zeros for entry in row.entries.values())
    ]
    return [NO_DIRECTION_NOTE.format("; ".join(found))] if found else []


def _cells(row: Row, columns: Sequence[Direction], tops: Mapping[Direction, Sequence[str]]) -> list[Cell]:
    entries = ((column, row.entries[column]) for column in columns)
    return [cell_of(entry, tops.get(column, ()), entry.mark) for column, entry in entries]


def _columns(directions: Sequence[Direction]) -> list[Column]:
    if sum(direction != AVERAGE for direction in directions) <= _FEW:
        return [Column(direction_name(direction)) for direction in directions]
    short = abbreviations(_modalities(directions))
    return [
        Column("average")
        if direction == AVERAGE
        else Column(
            f"{short[direction[0]]}→{short[direction[1]]}",
            direction_name(direction),
            f"{direction[0]} queries",
        )
        for direction in directions
    ]


def _modalities(directions: Sequence[Direction]) -> list[str]:
    return list(dict.fromkeys(query for query, gallery in directions if (query, gallery) != AVERAGE))


def _seeds(row: Row) -> str:
    counts = sorted({entry.seeds for entry in row.entries.values()})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]}-{counts[-1]}"


def _notes(table: Table) -> list[str]:
    notes = []
    if len(table.columns) > _FEW + 1:
        short = abbreviations(_modalities(table.columns))
        named = ", ".join(f"{letters} {name}" for name, letters in short.items())
        notes.append(f"Columns are query→gallery: {named}; the average is over all {len(table.columns) - 1}.")
    if any(row.pairing for row in table.rows):
        notes.append(PSEUDO_PAIRS_NOTE)
    points = [row.label for row in table.rows if row.role == "reference"]
    if points:
        notes.append(REFERENCE_NOTE.format(", ".join(points)))
    if any(row not in table.competing and row.role != "reference" for row in table.rows):
        notes.append(STUDIES_NOTE)
    if table.reference:
        notes.append(marks_note(table))
    notes += directions_note(table.rows)
    if any(entry.seeds == 1 for row in table.rows for entry in row.entries.values()):
        notes.append(ONE_SEED_NOTE)
    for row in table.rows:
        known = " ".join(row.lacking)
        reasons = {entry.reason for entry in row.entries.values() if entry.reason}
        said = [*row.lacking, *sorted(reason for reason in reasons if reason not in known)]
        if row.near is not None and row.role != "reference":
            said.append(f"{row.near.words}; {row.near.advice}")
        notes += [f"{row.label}: {reason}" for reason in said]
    return notes
