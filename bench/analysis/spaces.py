"""Which methods' common spaces are drawn side by side, by a rule that knows no names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.analysis.tables import AVERAGE, Row, Table
from bench.analysis.views import SELECTION, Views
from bench.records.schema import Record
from bench.records.snapshot import Snapshot, Space

LEAST_POINTS = 10
"""Rows below which a map says nothing."""


class Shown(NamedTuple):
    """One cell of a row, and what is drawn of it.

    Attributes:
        row: of the table.
        why: why it was chosen, in a few words.
        record: the row's cell of the lowest seed.
        view: of that cell.
        space: of that view.
        score: mAP of the row, mean over directions and seeds.
    """

    row: Row
    why: str
    record: Record
    view: Snapshot
    space: Space
    score: float


def chosen_spaces(
    table: Table, rows: Sequence[Row], views: Views, records: Mapping[str, Record], reference: str
) -> list[Shown]:
    """Return at most three of the rows whose cells keep a sample of a space of all modalities.

    These are the reference; of the others that compete, the one with the highest average; and of the rest the
    highest of those without epochs, which are the linear ones.

    Args:
        table: of one data and protocol.
        rows: of the table, one for each method.
        views: of records.
        records: by digest.
        reference: name of the method that the others are compared with.
    """
    modalities = {name for direction in table.columns if direction != AVERAGE for name in direction}
    if table.selection != SELECTION:
        return []
    found = [shown for row in rows if (shown := _shown(row, views, records, modalities))]
    found.sort(key=lambda shown: -shown.score)  # stable: the roster's order decides between equals
    chosen = [one._replace(why="the reference") for one in found if one.row.method == reference][:1]
    others = [one for one in found if one.row.method != reference and one.row.role != "reference"]
    chosen += [one._replace(why="highest mAP of the others") for one in others[:1]]
    closed = [one for one in others[1:] if one.record.result and one.record.result.selection == "none"]
    return chosen + [one._replace(why="highest of the rest without epochs") for one in closed[:1]]


def _shown(row: Row, views: Views, records: Mapping[str, Record], modalities: set[str]) -> Shown | None:
    score = row.entries[AVERAGE].mean
    cells = {digest: records[digest] for entry in row.entries.values() for digest in entry.records}
    if score is None or not cells:
        return None
    record = min(cells.values(), key=lambda record: (record.identity.seed, record.digest))
    view = views(record.digest)
    if view is None or view.space is None or set(view.space.rows) != modalities:
        return None
    if sum(map(len, view.space.rows.values())) < LEAST_POINTS:
        return None
    return Shown(row, "", record, view, view.space, score)
