"""Time and memory: each method's share of the time, its costs by dataset, and mAP against them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.analysis.costs import Cost, ScoreAndCost, costs_of, pareto_front, score_and_cost, shares_of
from bench.analysis.tables import Table
from bench.report.cells import number_cell
from bench.report.exhibit import (
    Cell,
    FigureExhibit,
    Line,
    Part,
    Subject,
    TableExhibit,
    Topic,
    data_subject,
    plain_table,
)
from bench.report.figures.style import (
    GREY,
    ONE_COLUMN,
    TWO_COLUMNS,
    Look,
    legend,
    legend_columns,
    look,
    number_ticks,
    one_row_each,
    panels,
    short_names,
    star_note,
)
from bench.report.report_data import ReportData
from bench.report.text import data_name, data_stem, file_stem, made_by, made_by_stem

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MEBIBYTE: Final = 2**20
_INTRODUCTION: Final = (
    "Wall-clock seconds in the worker, of whatever ran beside it (median of fitting and evaluating, sum of "
    "all); peak memory is the worker's largest resident size, libraries included."
)


def parts(data: ReportData) -> list[Part]:
    """Return every method's share of each profile's time, then a table per dataset."""
    shares = [
        _share_exhibit(
            *key, [Line(one.label, _share(one.cells, one.seconds, one.share), one.label) for one in found]
        )
        for key, found in shares_of(data.results).items()
    ]
    tables = [
        plain_table(
            f"costs_{data_stem(one)}",
            data_name(one),
            ("Method", "cells", "fit s", "evaluate s", "all s", "peak MiB", "GPU peak MiB"),
            [Line(cost.label, _cost(cost), cost.label) for cost in costs],
            title=one.dataset,
            subject=data_subject(one),
            fold="all",
        )
        for one, costs in costs_of(data.results).items()
    ]
    return [Part(text=(_INTRODUCTION,), exhibits=[*shares, *tables])]


def _share_exhibit(profile: str, device: str, harness: str, lines: Sequence[Line]) -> TableExhibit:
    made = made_by(device, harness)
    return plain_table(
        file_stem("shares", profile, *made_by_stem(device, harness)),
        f"Share of time, {profile} profile, {made}",
        ("Method", "cells", "seconds", "share"),
        lines,
        title="Share of time",
        subject=Subject(profile=profile, made=made),
        fold="all",
    )


def _share(cells: int, seconds: float, share: float) -> tuple[Cell, ...]:
    return number_cell(cells, "d"), number_cell(seconds, ".1f"), number_cell(share, ".1%")


def _cost(cost: Cost) -> tuple[Cell, ...]:
    return (
        *(number_cell(cost.cells, "d"), number_cell(cost.fit), number_cell(cost.evaluate)),
        *(number_cell(cost.total, ",.1f"), number_cell(_mebibytes(cost.memory), ",.0f")),
        number_cell(_mebibytes(cost.device_memory), ",.0f"),
    )


def _mebibytes(size: float | None) -> float | None:
    return None if size is None else size / _MEBIBYTE


class _Axis(NamedTuple):
    """One kind of cost: its name, the label of its axis, and a value per method, None where unknown."""

    name: str
    label: str
    values: list[float | None]

    def front(self, scores: Sequence[float]) -> list[int]:
        """Return the methods that no other beats in both cost and score, the cheapest first."""
        known = [place for place, value in enumerate(self.values) if value is not None]
        points = [(self.values[place] or 0.0, scores[place]) for place in known]
        return [known[place] for place in pareto_front(points)]


def figures(data: ReportData) -> list[Part]:
    """Return a figure per data on which at least two methods have a number and a cost."""
    found = []
    for table in data.first_tables:
        rows = one_row_each(table.rows, data.labels, reference_points=False)
        costs = [cost for row in rows if (cost := score_and_cost(row, data.by_digest)) is not None]
        axes = [axis for axis in _axes(costs) if sum(value is not None for value in axis.values) > 1]
        if axes:
            found.append(_figure(table, costs, axes, data))
    return [Part("Against mAP", exhibits=found)] if found else []


def _axes(costs: Sequence[ScoreAndCost]) -> list[_Axis]:
    return [
        _Axis("training time", "training, s", [cost.fit for cost in costs]),
        _Axis("retrieval time", "retrieval, s", [cost.evaluate for cost in costs]),
        _Axis("peak memory", "peak memory, MiB", [_mebibytes(cost.memory) for cost in costs]),
        _Axis("GPU memory", "peak GPU memory, MiB", [_mebibytes(cost.device_memory) for cost in costs]),
    ]


def _figure(table: Table, costs: list[ScoreAndCost], axes: list[_Axis], data: ReportData) -> FigureExhibit:
    names = short_names(costs, data.labels)
    scores = [cost.score for cost in costs]
    fronts = "; ".join(
        f"{axis.name}: {', '.join(names[place] for place in axis.front(scores))}" for axis in axes
    )
    return FigureExhibit(
        f"costs_{data_stem(table.data)}",
        f"What mAP costs: {data_name(table.data)}",
        f"{data_name(table.data)}. {table.protocol}, mean over directions and seeds, selection "
        f"{table.selection}, against wall-clock seconds of fitting, of embedding and ranking the test "
        "split (for all directions, median over seeds), and the worker's peak memory, libraries "
        "included; logarithmic. Stepped line: no other method is both cheaper and better. Reference "
        "points, such as chance, are left out. Seconds are of the recorded runs, of whatever ran beside "
        f"them.{star_note(costs)}",
        f"Scatter plots of {len(costs)} methods. None is both cheaper and better than these: {fronts}.",
        data_subject(table.data),
        partial(_draw, scores, axes, names, [look(cost.method, data.labels) for cost in costs]),
    )


def _draw(scores: list[float], kinds: list[_Axis], names: list[str], looks: list[Look]) -> Figure:
    width = ONE_COLUMN if len(kinds) == 1 else TWO_COLUMNS
    labels, columns = legend_columns(names, width)
    beneath = 0.16 * -(-len(names) // columns)
    figure, axes = panels(len(kinds), width=width / len(kinds), height=2.3 + beneath, sharey=True)
    for axis, kind in zip(axes, kinds, strict=True):
        _scatter(axis, kind, scores, looks)
        axis.set(xlabel=kind.label, ylabel="mAP" if axis is axes[0] else None)
    legend(figure, list(zip(labels, looks, strict=True)), columns, lines=False)
    return figure


def _scatter(axis: Axes, kind: _Axis, scores: Sequence[float], looks: Sequence[Look]) -> None:
    axis.set_xscale("log")
    axis.margins(0.08)
    for cost, score, way in zip(kind.values, scores, looks, strict=True):
        if cost is not None:
            axis.plot(cost, score, **way.points, linestyle="")
    low, high = axis.get_xlim()
    bottom, _ = axis.get_ylim()
    best = kind.front(scores)
    costs, heights = [kind.values[place] or 0.0 for place in best], [scores[place] for place in best]
    axis.step(
        [costs[0], *costs, high],
        [bottom, *heights, heights[-1]],
        where="post",
        color=GREY,
        linewidth=0.8,
        zorder=1,
    )
    axis.set_xlim(low, high)
    number_ticks(axis.xaxis)


TOPIC: Final = Topic("costs", "Time and memory", parts, figures)
