"""Precision along recall and along the ranking: all methods of one data, a column per direction."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import compress
from typing import Final

import numpy as np

from bench.analysis.snapshots import CurvedRow, MeanCurves, curved_rows
from bench.analysis.tables import AVERAGE, Direction, Table, direction_name
from bench.report.exhibit import FigureExhibit, Part, Topic, data_figure
from bench.report.figures import style
from bench.report.report_data import ReportData
from bench.report.text import seed_range

_APART: Final = 2  # directions up to which each has a column; of more, their mean is shown
_COLUMNS: Final = 5  # of the legend


def figures(data: ReportData) -> list[Part]:
    """Return a figure per data whose records hold curves."""
    found = []
    for table in data.first_tables:
        rows, without = curved_rows(table, data.snapshots)
        labels = {row.label for row in style.one_row_each([one.row for one in rows], data.labels)}
        if shown := [one for one in rows if one.row.label in labels]:
            found.append(_figure(table, shown, without, data))
    return [Part(exhibits=found)]


def _figure(table: Table, rows: list[CurvedRow], without: Sequence[str], data: ReportData) -> FigureExhibit:
    count = len(table.directions)
    seeds = seed_range(row.seeds for row in rows)
    directions = table.directions if count <= _APART else (AVERAGE,)
    over = f", mean over {count} directions" if count > _APART else ""
    records = {digest for row in table.rows for entry in row.entries.values() for digest in entry.records}
    missing = f" Not drawn, as some record keeps no curves: {', '.join(without)}." if without else ""
    missing += data.snapshots.unread(sorted(records))
    return data_figure(
        "curves",
        table.data,
        "Precision-recall and precision at k",
        f"Interpolated precision at {len(rows[0].curves[AVERAGE].levels)} levels of "
        f"recall, and precision among the first k items, k logarithmic. Means over queries and "
        f"{seeds}{over}; selection {table.selection}; ties in expectation, as in mAP. A query "
        f"without relevant items counts 0. Reference points do not stretch the axes.{missing}",
        _alt(rows, directions, count),
        partial(_draw, rows, directions, [style.look(one.row.method, data.labels) for one in rows], count),
    )


def _alt(rows: Sequence[CurvedRow], directions: Sequence[Direction], many: int) -> str:
    """Return the alternative text: the best method at the first item and at full recall."""
    count = len(rows)
    rows = [row for row in rows if row.row.role != "reference"] or rows
    sentences = [f"Curves of {count} methods."]
    for direction in directions:
        first = max(rows, key=lambda row: float(row.curves[direction].precision[0]))
        last = max(rows, key=lambda row: float(row.curves[direction].interpolated[-1]))
        sentences.append(
            f"{_heading(direction, many)}: the first item is most often right with {first.row.label} "
            f"({first.curves[direction].precision[0]:.3f}); at full recall {last.row.label} is most precise "
            f"({last.curves[direction].interpolated[-1]:.3f})."
        )
    return " ".join(sentences)


def _heading(direction: Direction, many: int) -> str:
    if direction == AVERAGE:
        return f"mean over {many} directions"
    return direction_name(direction)


def _draw(
    rows: list[CurvedRow], directions: Sequence[Direction], looks: list[style.Look], many: int
) -> style.Figure:
    alone = len(directions) == 1
    columns, count = (2, 1) if alone else (len(directions), 2)
    beneath = 0.17 * -(-len(rows) // _COLUMNS) / count
    height = (2.4 if alone else 2.9) + beneath
    figure, axes = style.panels(columns, count, width=style.TWO_COLUMNS / columns, height=height)
    hidden = [True] * len(rows)
    for index, axis in enumerate(axes):
        by_rank, column = divmod(index, len(directions))
        curves = [row.curves[directions[column]] for row in rows]
        lines = [(one.ranks, one.precision) if by_rank else (one.levels, one.interpolated) for one in curves]
        bounded = [y for (_, y), row in zip(lines, rows, strict=True) if row.row.role != "reference"]
        within = np.concatenate(bounded or [y for _, y in lines])  # reference points do not stretch the axis
        edge = max(0.04 * float(np.ptp(within)), 0.01)
        low, high = max(float(within.min()) - edge, -0.01), min(float(within.max()) + edge, 1.01)
        shown = [float(np.median(y)) >= low for _, y in lines]
        hidden = [was and not now for was, now in zip(hidden, shown, strict=True)]
        drawn = compress(zip(lines, looks, strict=True), shown)
        for number, ((x, y), way) in enumerate(drawn):  # markers are few, and not where the neighbours' are
            step = max(1, len(x) // 2)
            marks = {"markersize": 0.85 * way.line["markersize"], "markeredgewidth": 0.8}
            axis.plot(x, y, **{**way.line, **marks}, markevery=(number % step, step), linewidth=0.9)
        if by_rank:
            _label_ranks(axis, curves[0], named=column == 0)
        else:
            axis.set(xlabel="recall", xlim=(-0.01, 1.01), ylabel="" if column else "interpolated precision")
        axis.set(ylim=(low, high), title=style.shortened(_heading(directions[column], many), 60))
    names = style.apart([one.row.label for one in rows], 18)
    below = [f"{name} (below)" if is_below else name for name, is_below in zip(names, hidden, strict=True)]
    style.legend(figure, list(zip(below, looks, strict=True)), _COLUMNS)
    return figure


def _label_ranks(axis: style.Axes, curves: MeanCurves, *, named: bool) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axis.set(xlabel="first k items", xscale="log", ylabel="precision at k" if named else "")
    axis.xaxis.set_major_locator(FixedLocator(curves.ranks.tolist()))
    axis.xaxis.set_major_formatter(FixedFormatter([f"{k:,}" for k in curves.ranks.tolist()]))
    axis.xaxis.set_minor_locator(NullLocator())


TOPIC: Final = Topic("curves", "Precision and recall", figures=figures, file="-", order=70)
