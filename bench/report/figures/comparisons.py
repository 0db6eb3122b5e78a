"""Significance in figures: the reference against each method with intervals, and critical differences.

Critical-difference diagrams show average ranks over datasets and what Nemenyi's test does not tell apart
(Demšar 2006).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from bench.analysis.across_datasets import DatasetTests
from bench.analysis.comparisons import Comparison, Family
from bench.analysis.labels import Labels
from bench.analysis.statistics import ALPHA, cliques
from bench.analysis.tables import AVERAGE, Direction, direction_name
from bench.report.exhibit import FigureExhibit, block_subject, data_figure
from bench.report.figures import style
from bench.report.figures.grids import NOTHING, Grid, Shaded, draw_grid
from bench.report.report_data import ReportData
from bench.report.text import CONFIDENCE, block_rule, block_stem, kind_remark

_FEW: Final = 6  # directions up to which every interval is drawn
_NUMBERED: Final = 2  # directions up to which the numbers are printed beside the intervals
_ABOVE, _BELOW = style.COLOURS[0], style.COLOURS[1]
_ROW: Final = 0.165
_FAR: Final = 3.0
"""Differences beyond this many times the median reach of intervals are off the axis."""
_TEST: Final = f"(permutation test over queries, p ≤ {ALPHA} after Holm)"
_BESIDE: Final[dict[str, Any]] = {
    "xycoords": ("axes fraction", "data"),
    "xytext": (8, 0),
    "textcoords": "offset points",
    "va": "center_baseline",
    "fontsize": style.SMALL,
}
_DOTS: Final = (
    f"with {CONFIDENCE} intervals over seeds and queries. Filled: differs {_TEST} and the interval excludes "
    "zero; grey filling: differs with these models alone; empty: no significant difference. Arrows: "
    "beyond the axis"
)
_CELLS: Final = (
    f"Shaded and bold: differs {_TEST} and the {CONFIDENCE} interval over seeds and queries excludes zero, "
    "blue above and red below; black: differs with these models alone; grey: no significant difference"
)


def difference_figures(data: ReportData) -> list[FigureExhibit]:
    """Return a figure per data on which the reference can be compared with another method."""
    order = {table.data: table.directions for table in data.first_tables}
    families = [one for one in data.families if one.table.data in order and data.is_first(one.table.protocol)]
    figures = (_differences(one, order[one.table.data], data.labels) for one in families)
    return [figure for figure in figures if figure is not None]


def _differences(family: Family, order: Sequence[Direction], labels: Labels) -> FigureExhibit | None:
    table = family.table
    members = style.one_row_each(table.rows, labels, reference_points=False)
    names = dict(zip([member.label for member in members], style.short_names(members, labels), strict=True))
    reference = names.pop(family.reference, family.reference)
    comparisons = [one for one in family.comparisons if one.second in names and one.direction != AVERAGE]
    if not comparisons:
        return None
    compared = {one.direction for one in comparisons}
    directions = [direction for direction in order if direction in compared]
    few = len(directions) <= _FEW
    held = [one.difference > 0 for one in comparisons if one.holds]
    counts = [len(one.seeds) for one in comparisons]
    seeds = f"seeds: {' to '.join(map(str, sorted({min(counts), max(counts)})))}"
    seeds += "; intervals of one seed lack what seeds vary" if min(counts) == 1 else ""
    return data_figure(
        "differences",
        table.data,
        f"{reference} against each method",
        f"{table.protocol} of {reference} minus that of each other method on "
        f"the same queries{', ' if few else '. '}{_DOTS if few else _CELLS}. Selection "
        f"{table.selection}; {seeds}.{style.star_note(members)}",
        f"Of {len(comparisons)} differences between {reference} and another method, {sum(held)} hold "
        f"above zero and {len(held) - sum(held)} below; {len(comparisons) - len(held)} do not hold.",
        partial(_draw_dots, reference, comparisons, names, directions)
        if few
        else partial(_draw_cells, comparisons, names, directions),
    )


def _draw_cells(
    comparisons: list[Comparison], names: dict[str, str], directions: list[Direction]
) -> style.Figure:
    most = max((abs(one.difference) for one in comparisons if one.holds), default=1.0)
    found = {}
    for one in comparisons:
        shade = one.difference / most if one.holds else 0.0
        shaded = Shaded(_signed(one.difference), shade, bold=one.holds, pale=not one.differs)
        found[one.second, one.direction] = shaded
    cells = [[found.get((other, direction), NOTHING) for direction in directions] for other in names]
    return draw_grid(Grid(list(names.values()), [("", direction_name(one)) for one in directions], cells))


def _draw_dots(
    reference: str, comparisons: list[Comparison], names: dict[str, str], directions: list[Direction]
) -> style.Figure:
    figure, axes = _frame(style.fitted_apart(names.values(), style.NAME), directions)
    # All intervals are on the axis but those that would squeeze the others.
    ends = [(one.interval.low, one.interval.high) for one in comparisons]
    reach = [max(abs(low), abs(high)) for low, high in ends]
    near = [end for end, size in zip(ends, reach, strict=True) if size <= _FAR * statistics.median(reach)]
    low, high = min(0.0, *(end[0] for end in near)), max(0.0, *(end[1] for end in near))
    edge = 0.05 * (high - low) or 0.01
    for axis, direction in zip(axes, directions, strict=True):
        of_direction = {one.second: one for one in comparisons if one.direction == direction}
        found = [of_direction.get(label) for label in names]
        _dots(axis, found, (low - edge, high + edge))
        room = axis.get_position().width * figure.get_figwidth()
        axis.set_title(style.fitted(direction_name(direction), room), loc="left", pad=3)
        axis.set_xlabel(f"{style.fitted(reference, 0.6)} minus the other", labelpad=2, fontsize=style.BODY)
        if len(directions) <= _NUMBERED:
            _numbers(axis, found)
    return figure


def _frame(names: Sequence[str], directions: Sequence[Direction]) -> tuple[style.Figure, list[style.Axes]]:
    """Return a figure with axes for each direction; few directions have room for numbers beside them."""
    count = len(directions)
    columns = count if count <= _NUMBERED else -(-count // 2)
    left, numbers = 0.15 + style.widest(names), 1.12 if count <= _NUMBERED else 0.0
    across = (style.TWO_COLUMNS - left - 0.05) / columns
    height, between = _ROW * (len(names) + 0.2), 0.58
    whole = 0.2 + (height + between) * -(-count // columns)
    figure = style.blank(style.TWO_COLUMNS, whole)
    axes = []
    for index in range(count):
        row, column = divmod(index, columns)
        bottom = whole - 0.4 - height - row * (height + between)
        start, width = left + column * across, across - numbers - 0.12
        box = (start / style.TWO_COLUMNS, bottom / whole, width / style.TWO_COLUMNS, height / whole)
        axis = figure.add_axes(box)
        axis.set(yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6))
        axis.set_yticklabels(names if column == 0 else [])
        axes.append(axis)
    return figure, axes


def _dots(axis: style.Axes, found: Sequence[Comparison | None], limits: tuple[float, float]) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = limits
    axis.set_xlim(low, high)
    axis.xaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10)))
    axis.axvline(0.0, color=style.INK, linewidth=0.7)
    axis.grid(visible=False, axis="y")
    axis.tick_params(axis="y", length=0)
    for index, one in enumerate(found):
        if one is None:
            continue
        colour = (_ABOVE if one.difference > 0 else _BELOW) if one.holds else style.GREY
        if not low <= one.difference <= high:
            edge, marker = (high, ">") if one.difference > 0 else (low, "<")
            axis.plot(edge, index, marker=marker, color=colour, clip_on=False)
            continue
        ends = max(one.interval.low, low), min(one.interval.high, high)
        axis.plot(ends, [index] * 2, color=colour, linewidth=1.1, solid_capstyle="butt")
        face = colour if one.holds else "#C8C8C8" if one.differs else "white"
        axis.plot(one.difference, index, marker="o", color=colour, markerfacecolor=face)


def _numbers(axis: style.Axes, found: Sequence[Comparison | None]) -> None:
    """Write each difference and its interval to the right of its row."""
    for index, one in enumerate(found):
        if one is not None:
            text = f"{_signed(one.difference)} [{_signed(one.interval.low)}, {_signed(one.interval.high)}]"
            weight, colour = "bold" if one.holds else "normal", style.INK if one.differs else style.MUTED
            axis.annotate(text, (1.0, index), fontweight=weight, color=colour, **_BESIDE)


def _signed(number: float) -> str:
    """Return a number below one with its sign and three decimals."""
    digits = f"{abs(number):.3f}".removeprefix("0")
    sign = "" if digits == ".000" else "+" if number > 0 else "\N{MINUS SIGN}"
    return f"{sign}{digits}"


_SPACE: Final = "\N{EN SPACE}"
_NAME_LINE: Final = 0.17
"""Inches from one name to the next."""
_BAR: Final = 0.09  # inches from one bar to the next


def critical_diagrams(data: ReportData) -> list[FigureExhibit]:
    """Return a diagram per kind of clean data and profile; none where too few datasets tell methods apart."""
    return [
        _diagram(tests, data.labels)
        for block, tests in data.dataset_tests
        if tests is not None
        and data.is_first(block.about.protocol, block.about.condition)
        and can_distinguish(tests)
    ]


def can_distinguish(tests: DatasetTests) -> bool:
    """Return whether the best and the worst possible average ranks would differ by Nemenyi's test."""
    return tests.critical_difference < len(tests.block.methods) - 1


def _diagram(tests: DatasetTests, labels: Labels) -> FigureExhibit:
    block, key = tests.block, tests.block.about
    kind = kind_remark(key.kind)
    order = np.argsort(tests.average_ranks, kind="stable")
    ranked = ", ".join(f"{block.methods[index]} {tests.average_ranks[index]:.2f}" for index in order)
    return FigureExhibit(
        block_stem("critical", key),
        f"Average ranks over {len(block.datasets)} datasets: {key.profile} profile{kind}",
        f"Average ranks by {key.protocol} over {', '.join(block.datasets)}{kind}; {block_rule(key)}; 1 is "
        f"best. Bars join methods that Nemenyi's test does not tell apart at the level {ALPHA} (critical "
        f"difference {tests.critical_difference:.2f}).",
        f"Average ranks: {ranked}.",
        block_subject(key),
        partial(_draw_diagram, tests, [style.look(name, labels) for name in block.names]),
    )


def _draw_diagram(tests: DatasetTests, looks: list[style.Look]) -> style.Figure:
    ranks, names = tests.average_ranks, style.fitted_apart(tests.block.methods, style.NAME)
    bars: list[tuple[int, tuple[float, float]]] = []  # each on the first level on which it overlaps no other
    for group in map(list, cliques(ranks, tests.critical_difference)):
        low, high = float(min(ranks[group])), float(max(ranks[group]))
        taken = {level for level, other in bars if other[1] >= low and other[0] <= high}
        bars.append((min({*range(len(bars) + 1)} - taken), (low, high)))
    above = 0.62
    below = above + _BAR * (1 + max((level for level, _ in bars), default=-1)) + 0.16
    height = below + _NAME_LINE * math.ceil(len(names) / 2) + 0.08
    figure = style.blank(style.TWO_COLUMNS, height)
    axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    # in inches from the top left corner, so that nothing depends on how many methods there are
    axis.set(xlim=(0, style.TWO_COLUMNS), ylim=(height, 0))
    axis.axis("off")
    side = 0.28 + style.widest(f"{name}{_SPACE}00.00" for name in names)

    def at(rank: float) -> float:
        return side + (style.TWO_COLUMNS - 2 * side) * (rank - 1) / (len(names) - 1)

    _ruler(axis, at, len(names), above, tests.critical_difference)
    for level, (first, last) in bars:
        ends, down = [at(first) - 0.03, at(last) + 0.03], above + 0.1 + _BAR * level
        axis.plot(ends, [down] * 2, color=style.INK, linewidth=2.6, solid_capstyle="butt")
    # The better half of the names is at the left, the best on top; the others are at the right.
    half = math.ceil(len(names) / 2)
    for position, index in enumerate(np.argsort(ranks, kind="stable")):
        left = position < half
        down = below + _NAME_LINE * ((position if left else len(names) - 1 - position) + 0.5)
        end = side - 0.08 if left else style.TWO_COLUMNS - side + 0.08
        across = at(float(ranks[index]))
        axis.plot([across, across, end], [above, down, down], color=style.GREY, linewidth=0.7, zorder=1)
        axis.plot(end, down, linestyle="", **looks[index].points)
        words = [names[index], f"{ranks[index]:.2f}"]
        text, shift = _SPACE.join(words if left else words[::-1]), -0.08 if left else 0.08
        ha = "right" if left else "left"
        axis.text(end + shift, down, text, ha=ha, va="center_baseline", fontsize=style.BODY)
    return figure


def _ruler(axis: style.Axes, at: Callable[[float], float], most: int, down: float, difference: float) -> None:
    axis.plot([at(1), at(most)], [down] * 2, color=style.INK, linewidth=0.8)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if at(1 + step) - at(1) > 0.17)
    for rank in range(1, most + 1):
        axis.plot([at(rank)] * 2, [down - 0.05, down], color=style.INK, linewidth=0.8)
        if (rank - 1) % step == 0:
            axis.text(at(rank), down - 0.08, str(rank), ha="center", va="bottom")
    ends = [at(1), at(1 + difference)]
    axis.plot(ends, [down - 0.27] * 2, color=style.INK, linewidth=0.8, marker="|", markersize=5)
    text = f"critical difference {difference:.2f}"
    axis.text(ends[1] + 0.08, down - 0.27, text, va="center_baseline", fontsize=style.SMALL)
