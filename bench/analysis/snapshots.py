"""Snapshots of cells for figures: curves, galleries and common spaces, by row of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.analysis.tables import AVERAGE, Direction, Row, Table
from bench.contract.errors import DataError
from bench.records.schema import Record
from bench.records.snapshot import Curves, Snapshot, Space

SELECTION = "best"
"""The rule whose state snapshots show; in closed form there is one state for every rule."""
LEAST_POINTS = 10
"""Rows below which a map of the common space is not drawn."""

Vector = NDArray[np.float64]


class Snapshots:
    """Snapshots by record's digest, read on first use.

    One that cannot be read costs itself only: it is as if the record had none.

    Attributes:
        problems: digest -> why its snapshot cannot be read, of those used so far.
    """

    def __init__(self, read: Callable[[str], Snapshot | None]) -> None:
        """Read snapshots with ``read``, which may raise `DataError`."""
        self.problems: dict[str, str] = {}
        self._read = read
        self._known: dict[str, Snapshot | None] = {}

    def __call__(self, digest: str) -> Snapshot | None:
        """Return a record's snapshot; None where it has none that can be read."""
        if digest not in self._known:
            try:
                self._known[digest] = self._read(digest)
            except DataError as error:
                self._known[digest] = None
                self.problems[digest] = str(error)
        return self._known[digest]

    def unread(self, digests: Iterable[str]) -> str:
        """Return which of some records have snapshots that cannot be read, as sentences for a caption."""
        return "".join(f" Left out: {self.problems[each]}." for each in digests if each in self.problems)


@dataclass(frozen=True, eq=False)
class MeanCurves:
    """Curves of one row, in one direction or over all of them."""

    ranks: NDArray[np.int32]  # ``(k,)``, the same for all rows of the data
    precision: Vector  # ``(k,)`` among the first so many items
    levels: Vector  # ``(l,)`` of recall
    interpolated: Vector  # ``(l,)`` precision there


@dataclass(frozen=True, eq=False)
class CurvedRow:
    """A table's row with its curves."""

    row: Row
    seeds: int  # how many cells a direction's curves rest on, at least
    curves: dict[Direction, MeanCurves]  # by direction, and under `AVERAGE` the mean over directions


def curved_rows(table: Table, snapshots: Snapshots) -> tuple[list[CurvedRow], list[str]]:
    """Return the rows that have curves in every direction of the table, and the labels of the others.

    Rows without any number are in neither. Curves belong to the rule that snapshots show: for other
    selections there are none.
    """
    found: list[CurvedRow] = []
    without: list[str] = []
    for row in table.rows if table.selection == SELECTION else ():
        cells = {
            direction: [
                curves
                for snapshot in filter(None, map(snapshots, row.entries[direction].records))
                for curves in snapshot.curves
                if (curves.query, curves.gallery) == direction
            ]
            for direction in table.directions
        }
        if all(cells.values()):
            means = {direction: mean_curves(members) for direction, members in cells.items()}
            means[AVERAGE] = mean_curves(list(means.values()))
            found.append(CurvedRow(row, min(map(len, cells.values())), means))
        elif any(row.entries[direction].records for direction in table.directions):
            without.append(row.label)
    return found, without


def mean_curves(members: Sequence[Curves | MeanCurves]) -> MeanCurves:
    """Return the mean of curves, at the ranks and levels that all of them have."""
    ranks = reduce(np.intersect1d, (curves.ranks for curves in members))
    levels = reduce(np.intersect1d, (curves.levels for curves in members))
    at_ranks = [curves.precision[np.isin(curves.ranks, ranks)] for curves in members]
    at_levels = [curves.interpolated[np.isin(curves.levels, levels)] for curves in members]
    return MeanCurves(ranks, np.mean(at_ranks, axis=0), levels, np.mean(at_levels, axis=0))


class Item(NamedTuple):
    """What is shown of a test row: its picture or its text, and its class."""

    class_name: str  # name of its class, or ``class 3`` where it has none
    text: str  # empty where the dataset shows none
    picture: NDArray[np.uint8] | None  # ``(height, width, 3)`` uint8; None where the dataset shows none


class Result(NamedTuple):
    """One of the first results of a query; ``right`` where it shares a class with the query."""

    item: Item
    right: bool


class Query(NamedTuple):
    """A query, its average precision over the whole gallery, and its first results, best first."""

    item: Item
    ap: float
    results: list[Result]


class GalleryExample(NamedTuple):
    """Some queries of one direction of one cell: that of the lowest seed of a table's row.

    ``query`` and ``gallery`` are modalities; ``queries`` are in the order of the record, classes in turn;
    ``shows_text`` is whether the results are texts rather than pictures.
    """

    row: Row
    record: Record
    query: str
    gallery: str
    queries: list[Query]
    shows_text: bool


def gallery_examples(
    table: Table, rows: Sequence[Row], snapshots: Snapshots, records: Mapping[str, Record], reference: str
) -> list[GalleryExample]:
    """Return the galleries of the reference's cell, or of the highest row's where the reference has none.

    There is one for each direction in which the dataset shows both queries and results as texts or pictures.
    """

    def order(row: Row) -> tuple[bool, bool, float]:
        mean = row.entries[AVERAGE].mean
        return row.method != reference, row.role == "reference", 1.0 if mean is None else -mean

    for row in sorted(rows, key=order) if table.selection == SELECTION else ():
        record = _first_cell(row, records)
        snapshot = None if record is None else snapshots(record.digest)
        if record is None or snapshot is None:
            continue
        details = snapshot.details
        shown = {name for name, each in details.items() if each.texts is not None or each.pixels is not None}
        examples = []
        for gallery in snapshot.galleries:
            if {gallery.query, gallery.gallery} <= shown:
                queries = []
                ranked = zip(gallery.rows, gallery.ap, gallery.results, gallery.relevant, strict=True)
                for number, ap, found, relevant in ranked:
                    results = [
                        Result(_item(snapshot, gallery.gallery, int(result)), bool(right))
                        for result, right in zip(found, relevant, strict=True)
                    ]
                    queries.append(Query(_item(snapshot, gallery.query, int(number)), float(ap), results))
                texts = details[gallery.gallery].pixels is None
                examples.append(GalleryExample(row, record, gallery.query, gallery.gallery, queries, texts))
        if examples:
            return examples
    return []


def _first_cell(row: Row, records: Mapping[str, Record]) -> Record | None:
    """Return the row's cell of the lowest seed."""
    cells = {digest: records[digest] for entry in row.entries.values() for digest in entry.records}
    return min(cells.values(), key=lambda record: (record.identity.seed, record.digest), default=None)


def _item(snapshot: Snapshot, modality: str, row: int) -> Item:
    details = snapshot.details[modality]
    index = int(np.flatnonzero(details.rows == row)[0])
    number = int(details.classes[index])
    name = snapshot.class_names[number] if snapshot.class_names else f"class {number}"
    return Item(name, details.texts[index] if details.texts else "", details.picture(index))


class SpaceExample(NamedTuple):
    """One cell of a row, that of the lowest seed, and what is drawn of it.

    ``why`` is the reason of the choice in a few words; ``score`` is the row's mAP over directions and seeds.
    """

    row: Row
    why: str
    record: Record
    view: Snapshot
    space: Space
    score: float


def space_examples(
    table: Table, rows: Sequence[Row], snapshots: Snapshots, records: Mapping[str, Record], reference: str
) -> list[SpaceExample]:
    """Return at most three of the rows whose cells keep a sample of a space of all modalities.

    These are the reference; of the others that compete, the one with the highest average; and of the rest the
    highest of those without epochs, which are the linear ones. ``rows`` are of the table, one per method.
    """
    modalities = {name for direction in table.directions for name in direction}
    found = []
    for row in rows if table.selection == SELECTION else ():
        score, record = row.entries[AVERAGE].mean, _first_cell(row, records)
        snapshot = None if score is None or record is None else snapshots(record.digest)
        if score is None or record is None or snapshot is None or snapshot.space is None:
            continue
        sample = snapshot.space.rows
        if set(sample) == modalities and sum(map(len, sample.values())) >= LEAST_POINTS:
            found.append(SpaceExample(row, "", record, snapshot, snapshot.space, score))
    sign = 1 if table.lower_is_better else -1
    found.sort(key=lambda shown: sign * shown.score)  # stable: the roster's order decides between equals
    chosen = [shown._replace(why="the reference") for shown in found if shown.row.method == reference][:1]
    rest = [shown for shown in found if shown.row.method != reference and shown.row.role != "reference"]
    chosen += [shown._replace(why="highest mAP of the others") for shown in rest[:1]]
    closed = [shown for shown in rest[1:] if shown.record.result and shown.record.result.selection == "none"]
    return chosen + [shown._replace(why="highest of the rest without epochs") for shown in closed[:1]]
