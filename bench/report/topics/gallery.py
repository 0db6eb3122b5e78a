"""Gallery: queries of one modality with their first results of another, right and wrong ones marked."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from bench.analysis.snapshots import GalleryExample, Item, Query, Result, gallery_examples
from bench.analysis.tables import Table
from bench.report.exhibit import FigureExhibit, Part, Topic, data_subject
from bench.report.figures import style
from bench.report.report_data import ReportData
from bench.report.text import data_name, data_stem, file_stem, visible

_MOST: Final = 8  # queries of a figure; there is no room for more on a page
_DIRECTIONS: Final = 6
"""Directions of a dataset that are drawn, the first in its order; two modalities have two."""
_RIGHT, _WRONG = style.COLOURS[0], style.COLOURS[1]
_QUERY: Final = 1.5
"""Inches for the query; the results share the rest of the width."""
_EDGE: Final = 0.04
_FRAME: Final = 0.03
"""Inches around the figure, and around a result."""
_HEAD: Final = 0.32
_GAP: Final = 0.08
_SPACING: Final = 1.1
_LINE: Final = 1.2 * _SPACING * style.SMALL / 72
"""Inches of a line of text: matplotlib's lines are 1.2 times as high as their letters."""


class _Box(NamedTuple):
    """A rectangle of the figure, in inches from the lower left corner."""

    x: float
    y: float
    width: float
    height: float

    def inside(self, edge: float) -> _Box:
        """Return the rectangle without an edge."""
        return _Box(self.x + edge, self.y + edge, self.width - 2 * edge, self.height - 2 * edge)


def figures(data: ReportData) -> list[Part]:
    """Return a figure per direction of each data whose records keep pictures or texts of its rows."""
    found = []
    for table in data.first_tables:
        rows = style.one_row_each(table.rows, data.labels)
        shown = gallery_examples(table, rows, data.snapshots, data.results.by_digest, data.labels.reference)
        found += [_figure(table, gallery) for gallery in shown[:_DIRECTIONS]]
    return [Part(exhibits=found)]


def _figure(table: Table, gallery: GalleryExample) -> FigureExhibit:
    queries = gallery.queries[:_MOST]
    right = sum(result.right for query in queries for result in query.results)
    shown = sum(len(query.results) for query in queries)
    where = f"{gallery.query} to {gallery.gallery}"
    return FigureExhibit(
        file_stem("gallery", data_stem(table.data), gallery.query, gallery.gallery),
        f"First results of {gallery.row.label}, {where}: {data_name(table.data)}",
        f"{data_name(table.data)}. {gallery.row.label}, seed {gallery.record.identity.seed}, selection "
        f"{table.selection}. Left: a query ({gallery.query}), its class, and its average precision over the "
        f"whole gallery. Right of it: its first results ({gallery.gallery}), best first. Solid frame and "
        "tick: of the query's class; dashed frame and cross: not. The queries are the same for every "
        "method, drawn from the data alone: a row of each class in turn, the largest first.",
        f"{len(queries)} queries, {where}, with their first results; {right} of {shown} are right.",
        data_subject(table.data),
        partial(_draw, gallery, queries),
    )


def _draw(gallery: GalleryExample, queries: Sequence[Query]) -> style.Figure:
    lines = 2 if gallery.shows_text else 1
    columns = -(-max(len(query.results) for query in queries) // lines)
    width = (style.TWO_COLUMNS - _QUERY - _EDGE) / columns
    tile = 3 * _LINE + 0.16 if gallery.shows_text else width
    height = max(lines * tile, 0.56)
    whole = _HEAD + len(queries) * (height + 2 * _GAP)
    figure = style.blank(style.TWO_COLUMNS, whole)
    axis = figure.add_axes((0.0, 0.0, 1.0, 1.0), xlim=(0, style.TWO_COLUMNS), ylim=(0, whole))
    axis.axis("off")
    for index, query in enumerate(queries):
        bottom = whole - _HEAD - (index + 1) * (height + 2 * _GAP) + _GAP
        if index:
            over = bottom + height + _GAP
            axis.plot([_EDGE, style.TWO_COLUMNS - _EDGE], [over, over], color=style.GREY, linewidth=0.3)
        _show_query(axis, query, _Box(_EDGE, bottom, _QUERY - _EDGE - 0.08, height))
        for rank, result in enumerate(query.results):
            line, column = divmod(rank, columns)
            box = _Box(_QUERY + column * width, bottom + height - (line + 1) * tile, width, tile)
            _show_result(axis, result, box)
    heads = f"query: {gallery.query}", f"first results: {gallery.gallery}, best first"
    for left, head in zip((_EDGE, _QUERY + _FRAME), heads, strict=True):
        text = style.fitted(head, 2.6, style.SMALL)
        axis.text(left, whole - _HEAD + 0.04, text, fontsize=style.SMALL, color=style.MUTED)
    return figure


def _show_query(axis: style.Axes, query: Query, box: _Box) -> None:
    """Draw a query with its class and AP: the picture beside the words, or the text above them."""
    left, room = box.x, box.width
    text: list[str] = []
    if query.item.picture is not None:
        side = min(box.height, 0.56)
        _put_picture(axis, query.item, _Box(box.x, box.y + (box.height - side) / 2, side, side))
        left, room = box.x + side + 0.06, box.width - side - 0.06
    else:
        text = _wrapped(query.item.text, room, 3)
    words = [*_wrapped(query.item.class_name, room, 2), f"AP {query.ap:.3f}"]
    middle = box.y + box.height / 2
    if text:  # the words below the picture, paler
        _write(axis, text, left, middle + len(words) * _LINE / 2, style.INK)
    _write(axis, words, left, middle - len(text) * _LINE / 2, style.MUTED if text else style.INK)


def _show_result(axis: style.Axes, result: Result, box: _Box) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Circle, Rectangle

    inner = box.inside(_FRAME)
    colour = _RIGHT if result.right else _WRONG
    if result.item.picture is not None:
        _put_picture(axis, result.item, inner.inside(0.04))
    else:
        words = _wrapped(result.item.text or result.item.class_name, inner.width - 0.22, 3)
        _write(axis, words, inner.x + 0.05, inner.y + inner.height / 2, style.INK)
    line: dict[str, Any] = {"linewidth": 1.3 if result.right else 0.9, "edgecolor": colour}
    line["linestyle"] = "-" if result.right else (0, (2, 1.6))
    # `add_artist`: the limits are set, and `add_patch` and `plot` would look for those of every mark
    axis.add_artist(Rectangle((inner.x, inner.y), inner.width, inner.height, fill=False, **line))
    # a tick or a cross, as lines: not every viewer has letters for them
    x, y, r = inner.x + inner.width - 0.07, inner.y + inner.height - 0.07, 0.036
    axis.add_artist(Circle((x, y), 0.062, facecolor="white", edgecolor="none", zorder=3))
    tick = [([x - r, x - 0.3 * r, x + r], [y, y - 0.8 * r, y + r])]
    cross = [([x - r, x + r], [y - r, y + r]), ([x - r, x + r], [y + r, y - r])]
    for across, up in tick if result.right else cross:
        axis.add_artist(Line2D(across, up, color=colour, linewidth=1.1, solid_capstyle="round", zorder=4))


def _put_picture(axis: style.Axes, item: Item, box: _Box) -> None:
    """Draw a picture into a box, as large as it fits."""
    assert item.picture is not None
    height, width = item.picture.shape[:2]
    scale = min(box.width / width, box.height / height)
    x = box.x + (box.width - scale * width) / 2
    y = box.y + (box.height - scale * height) / 2
    extent = (x, x + scale * width, y, y + scale * height)
    axis.imshow(item.picture, extent=extent, interpolation="none", aspect="auto")


def _write(axis: style.Axes, lines: Sequence[str], x: float, middle: float, colour: str) -> None:
    look: dict[str, Any] = {"linespacing": _SPACING, "fontsize": style.SMALL, "color": colour}
    axis.text(x, middle, "\n".join(lines), va="center", **look)


def _wrapped(text: str, inches: float, lines: int) -> list[str]:
    """Return text in lines no wider than ``inches``."""
    letters = max(4, int(inches * 72 / (0.56 * style.SMALL)))
    found = textwrap.wrap(visible(text), letters, max_lines=lines, placeholder="…")
    return [style.fitted(line, inches, style.SMALL) for line in found]


TOPIC: Final = Topic("gallery", "First results", figures=figures, file="-", order=90)
