"""Time and memory: each method's share of the time, its costs by dataset, and mAP against them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from bench.analysis.costs import ScoreAndCost, costs_of, pareto_front, score_and_cost, shares_of
from bench.analysis.tables import Table
from bench.report.cells import number_cells
from bench.report.exhibit import (
    FigureExhibit,
    Line,
    Part,
    Subject,
    Topic,
    data_figure,
    data_table,
    plain_table,
)
from bench.report.figures import style
from bench.report.report_data import ReportData
from bench.report.text import data_name, data_stem, file_stem, made_by, made_by_stem, measure_name

_MEBIBYTE: Final = 2**20
_INTRODUCTION: Final = (
    "Wall-clock seconds in the worker, of whatever ran beside it (median of fitting and evaluating, sum of "
    "all); peak memory is the worker's largest resident size, libraries included."
)


def parts(data: ReportData) -> list[Part]:
    """Return every method's share of each profile's time, then a table per dataset."""
    exhibits = []
    for (profile, device, harness), shares in shares_of(data.results).items():
        made = made_by(device, harness)
        lines = []
        for one in shares:
            cells = number_cells("d .1f .1%", one.cells, one.seconds, one.share)
            lines.append(Line(one.label, tuple(cells), one.label))
        exhibits.append(
            plain_table(
                file_stem("shares", profile, *made_by_stem(device, harness)),
                f"Share of time, {profile} profile, {made}",
                ("Method", "cells", "seconds", "share"),
                lines,
                title="Share of time",
                subject=Subject(profile=profile, made=made),
                fold="all",
            )
        )
    for about, costs in costs_of(data.results).items():
        lines = []
        for cost in costs:
            numbers = cost.cells, cost.fit, cost.evaluate, cost.total, *map(_mebibytes, cost.peaks)
            cells = number_cells("d ,.2f ,.2f ,.1f ,.0f ,.0f", *numbers)
            lines.append(Line(cost.label, tuple(cells), cost.label))
        name = f"costs_{data_stem(about)}"
        headings = ("Method", "cells", "fit s", "evaluate s", "all s", "peak MiB", "GPU peak MiB")
        exhibits.append(data_table(name, data_name(about), about, headings, lines, fold="all"))
    return [Part(text=(_INTRODUCTION,), exhibits=exhibits)]


def _mebibytes(size: float | None) -> float | None:
    return None if size is None else size / _MEBIBYTE


class _Axis(NamedTuple):
    """One kind of cost: its name, the label of its axis, and a value per method, None where unknown."""

    name: str
    label: str
    values: list[float | None]


def figures(data: ReportData) -> list[Part]:
    """Return a figure per data on which at least two methods have a number and a cost."""
    found = []
    for table in (table for table in data.first_tables if not table.lower_is_better):
        rows = style.one_row_each(table.rows, data.labels, reference_points=False)
        costs = [cost for row in rows if (cost := score_and_cost(row, data.results.by_digest)) is not None]
        axes = [
            _Axis("training time", "training, s", [cost.fit for cost in costs]),
            _Axis("retrieval time", "retrieval, s", [cost.evaluate for cost in costs]),
            _Axis("peak memory", "peak memory, MiB", [_mebibytes(cost.memory) for cost in costs]),
            _Axis("GPU memory", "peak GPU memory, MiB", [_mebibytes(cost.device_memory) for cost in costs]),
        ]
        known = [axis for axis in axes if sum(value is not None for value in axis.values) > 1]
        if known:
            found.append(_figure(table, costs, known, data))
    return [Part("Against mAP", exhibits=found)]


def _figure(table: Table, costs: list[ScoreAndCost], axes: list[_Axis], data: ReportData) -> FigureExhibit:
    names = style.short_names(costs, data.labels)
    measure = measure_name(table.protocol)
    scores = [cost.score for cost in costs]
    best = {axis.name: [names[index] for index in pareto_front(axis.values, scores)] for axis in axes}
    fronts = "; ".join(f"{name}: {', '.join(members)}" for name, members in best.items())
    looks = [style.look(cost.method, data.labels) for cost in costs]
    return data_figure(
        "costs",
        table.data,
        f"What {measure} costs",
        f"{table.protocol}, mean over directions and seeds, selection "
        f"{table.selection}, against wall-clock seconds of fitting, of embedding and ranking the test "
        "split (for all directions, median over seeds), and the worker's peak memory, libraries "
        "included; logarithmic. Stepped line: no other method is both cheaper and better. Reference "
        "points, such as chance, are left out. Seconds are of the recorded runs, of whatever ran beside "
        f"them.{style.star_note(costs)}",
        f"Scatter plots of {len(costs)} methods. None is both cheaper and better than these: {fronts}.",
        partial(_draw, measure, scores, axes, names, looks),
    )


def _draw(
    measure: str, scores: list[float], kinds: list[_Axis], names: list[str], looks: list[style.Look]
) -> style.Figure:
    width = style.ONE_COLUMN if len(kinds) == 1 else style.TWO_COLUMNS
    labels, columns = style.legend_columns(names, width)
    beneath = 0.16 * -(-len(names) // columns)
    figure, axes = style.panels(len(kinds), width=width / len(kinds), height=2.3 + beneath, sharey=True)
    # Set before the stepped lines are drawn, which begin at the lower end.
    edge = 0.08 * (max(scores) - min(scores)) or 0.01
    axes[0].set_ylim(min(scores) - edge, max(scores) + edge)
    for axis, kind in zip(axes, kinds, strict=True):
        _scatter(axis, kind, scores, looks)
        axis.set(xlabel=kind.label, ylabel=measure if axis is axes[0] else None)
    style.legend(figure, list(zip(labels, looks, strict=True)), columns, lines=False)
    return figure


def _scatter(axis: style.Axes, kind: _Axis, scores: Sequence[float], looks: Sequence[style.Look]) -> None:
    axis.set_xscale("log")
    axis.margins(0.08)
    for cost, score, way in zip(kind.values, scores, looks, strict=True):
        if cost is not None:
            axis.plot(cost, score, **way.points, linestyle="")
    low, high = axis.get_xlim()
    best = pareto_front(kind.values, scores)
    costs, heights = [kind.values[index] or 0.0 for index in best], [scores[index] for index in best]
    x, y = [costs[0], *costs, high], [axis.get_ylim()[0], *heights, heights[-1]]
    axis.step(x, y, where="post", color=style.GREY, linewidth=0.8, zorder=1)
    axis.set_xlim(low, high)
    style.number_ticks(axis.xaxis)


TOPIC: Final = Topic("costs", "Time and memory", parts, figures, order=120)
