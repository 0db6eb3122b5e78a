"""What mAP costs: training time, retrieval time and memory against it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.analysis.costs import ScoreAndCost, pareto_front, score_and_cost
from bench.analysis.tables import Table
from bench.report.figures.choice import names_of, one_each, remark
from bench.report.figures.picture import Picture
from bench.report.figures.style import (
    GREY,
    ONE_COLUMN,
    TWO_COLUMNS,
    Look,
    legend,
    legend_columns,
    look,
    number_ticks,
    panels,
)
from bench.report.material import Material
from bench.report.text import data_name, stem_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MEBIBYTE: Final = 2**20


class _Cost(NamedTuple):
    """One kind of cost.

    Attributes:
        name: in the caption.
        axis: label of the axis, with the unit.
        values: per method, in the order of the prices; None where unknown.
    """

    name: str
    axis: str
    values: list[float | None]


def pictures(material: Material) -> list[Picture]:
    """Return a figure per data on which at least two methods have a number and a cost."""
    records = {record.digest: record for record in material.records}
    found = []
    for table in material.plain_tables:
        if table.protocol == material.protocols[0]:
            rows = one_each(table.rows, material.labels, reference_points=False)
            prices = [price for row in rows if (price := score_and_cost(row, records)) is not None]
            kinds = [kind for kind in _kinds(prices) if sum(value is not None for value in kind.values) > 1]
            if kinds:
                found.append(_picture(table, prices, kinds, material))
    return found


def _kinds(prices: Sequence[ScoreAndCost]) -> list[_Cost]:
    return [
        _Cost("training time", "training, s", [price.fit for price in prices]),
        _Cost("retrieval time", "retrieval, s", [price.evaluate for price in prices]),
        _Cost("peak memory", "peak memory, MiB", [_mebibytes(price.memory) for price in prices]),
        _Cost("GPU memory", "peak GPU memory, MiB", [_mebibytes(price.device_memory) for price in prices]),
    ]


def _picture(table: Table, prices: list[ScoreAndCost], kinds: list[_Cost], material: Material) -> Picture:
    data = table.data
    names = names_of(prices, material.labels)
    fronts = "; ".join(f"{kind.name}: {', '.join(_best(kind, prices, names))}" for kind in kinds)
    return Picture(
        stem=f"costs_{stem_of(data)}",
        section="Time and memory",
        title=f"What mAP costs: {data_name(data)}",
        caption=(
            f"{data_name(data)}. {table.protocol}, mean over directions and seeds, selection "
            f"{table.selection}, against wall-clock seconds of fitting, of embedding and ranking the test "
            "split (for all directions, median over seeds), and the worker's peak memory, libraries "
            "included; logarithmic. Stepped line: no other method is both cheaper and better. Reference "
            "points, such as chance, are left out. Seconds are of "
            f"the recorded runs, of whatever ran beside them.{remark(prices)}"
        ),
        alt=f"Scatter plots of {len(prices)} methods. None is both cheaper and better than these: {fronts}.",
        data=data,
        draw=partial(
            _draw,
            [price.score for price in prices],
            kinds,
            names,
            [look(price.method, material.labels) for price in prices],
        ),
    )


def _draw(scores: list[float], kinds: list[_Cost], names: list[str], looks: list[Look]) -> Figure:
    width = ONE_COLUMN if len(kinds) == 1 else TWO_COLUMNS
    labels, columns = legend_columns(names, width)
    beneath = 0.16 * -(-len(names) // columns)
    figure, axes = panels(len(kinds), width=width / len(kinds), height=2.3 + beneath)
    for axis, kind in zip(axes, kinds, strict=True):
        _scatter(axis, kind, scores, looks)
        axis.set(xlabel=kind.axis, ylabel="mAP" if axis is axes[0] else None)
        axis.sharey(axes[0])
        if axis is not axes[0]:
            axis.tick_params(labelleft=False)
    legend(figure, list(zip(labels, looks, strict=True)), columns, lines=False)
    return figure


def _scatter(axis: Axes, kind: _Cost, scores: Sequence[float], looks: Sequence[Look]) -> None:
    axis.set_xscale("log")
    points = [
        (cost, score, way)
        for cost, score, way in zip(kind.values, scores, looks, strict=True)
        if cost is not None
    ]
    best = [points[place] for place in pareto_front([(cost, score) for cost, score, _ in points])]
    axis.margins(0.08)
    for cost, score, way in points:
        axis.plot(cost, score, **way.points, linestyle="")
    low, high = axis.get_xlim()
    bottom, _ = axis.get_ylim()
    costs, heights = [point[0] for point in best], [point[1] for point in best]
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


def _best(kind: _Cost, prices: Sequence[ScoreAndCost], names: Sequence[str]) -> list[str]:
    known = [
        (cost, price.score, name)
        for cost, price, name in zip(kind.values, prices, names, strict=True)
        if cost is not None
    ]
    return [known[place][2] for place in pareto_front([(cost, score) for cost, score, _ in known])]


def _mebibytes(size: float | None) -> float | None:
    return None if size is None else size / _MEBIBYTE
