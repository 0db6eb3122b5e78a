"""Queries of one cell with their first results, as people can read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.analysis.tables import AVERAGE, Row, Table
from bench.analysis.views import SELECTION, Views
from bench.records.schema import Record
from bench.records.snapshot import Gallery, Snapshot


class Item(NamedTuple):
    """What is shown of a test row: its picture or its text, and its class.

    Attributes:
        class_name: name of its class, or ``class 3`` where it has none.
        text: empty where the dataset shows none.
        picture: ``(height, width, 3)`` uint8; None where the dataset shows none.
    """

    class_name: str
    text: str
    picture: NDArray[np.uint8] | None


class Result(NamedTuple):
    """One of the first results of a query; ``right`` where it shares a class with the query."""

    item: Item
    right: bool


class Query(NamedTuple):
    """A query, its average precision over the whole gallery, and its first results, best first."""

    item: Item
    ap: float
    results: list[Result]


class Wall(NamedTuple):
    """Some queries of one direction of one cell.

    Attributes:
        row: of the table.
        record: the row's cell of the lowest seed.
        query: modality of the queries.
        gallery: modality of the gallery.
        queries: in the order of the record: classes in turn.
        shows_text: whether the results are texts rather than pictures.
    """

    row: Row
    record: Record
    query: str
    gallery: str
    queries: list[Query]
    shows_text: bool


def walls_of(
    table: Table, rows: Sequence[Row], views: Views, records: Mapping[str, Record], reference: str
) -> list[Wall]:
    """Return the galleries of the reference's cell, or of the highest row's where the reference has none.

    There is one for each direction in which the dataset shows both queries and results as texts or pictures.
    """
    if table.selection != SELECTION:
        return []
    ranked = sorted(rows, key=lambda row: (row.method != reference, row.role == "reference", -_score(row)))
    for row in ranked:
        cells = {digest: records[digest] for entry in row.entries.values() for digest in entry.records}
        for record in sorted(cells.values(), key=lambda record: (record.identity.seed, record.digest))[:1]:
            view = views(record.digest)
            walls = [] if view is None else [_wall(row, record, view, one) for one in _shown(view)]
            if walls:
                return walls
    return []


def _score(row: Row) -> float:
    mean = row.entries[AVERAGE].mean
    return -1.0 if mean is None else mean


def _shown(view: Snapshot) -> list[Gallery]:
    seen = {
        name
        for name, details in view.details.items()
        if details.texts is not None or details.pixels is not None
    }
    return [one for one in view.galleries if {one.query, one.gallery} <= seen]


def _wall(row: Row, record: Record, view: Snapshot, gallery: Gallery) -> Wall:
    queries = []
    for place, number in enumerate(gallery.rows):
        results = [
            Result(_item(view, gallery.gallery, int(result)), bool(right))
            for result, right in zip(gallery.results[place], gallery.relevant[place], strict=True)
        ]
        queries.append(Query(_item(view, gallery.query, int(number)), float(gallery.ap[place]), results))
    texts = view.details[gallery.gallery].pixels is None
    return Wall(row, record, gallery.query, gallery.gallery, queries, texts)


def _item(view: Snapshot, modality: str, row: int) -> Item:
    details = view.details[modality]
    place = int(np.flatnonzero(details.rows == row)[0])
    number = int(details.classes[place])
    name = view.class_names[number] if view.class_names else f"class {number}"
    return Item(name, details.texts[place] if details.texts else "", details.picture(place))
