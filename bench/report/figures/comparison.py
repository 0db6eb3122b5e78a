"""The reference against each other method, with intervals: a dot for each, or a grid for many directions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.analysis.comparisons import Comparison, Family
from bench.analysis.statistics import ALPHA, LEVEL
from bench.analysis.tables import AVERAGE, Direction, direction_name
from bench.report.figures.choice import names_of, one_each, remark
from bench.report.figures.heat import Cell, Heat, draw_heat
from bench.report.figures.lettering import BODY, SMALL, fitted, fitted_apart, widest
from bench.report.figures.picture import Picture
from bench.report.figures.style import COLOURS, GREY, INK, MUTED, NAME, TWO_COLUMNS, blank
from bench.report.material import Material
from bench.report.text import data_name, stem_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW: Final = 6
"""Directions up to which every interval is drawn."""
_NUMBERED: Final = 2
"""Directions up to which the numbers stand beside the intervals."""
_ABOVE, _BELOW = COLOURS[0], COLOURS[1]
_ROW: Final = 0.165
_FAR: Final = 3.0
"""Differences are off the axis beyond this many times the median of how far intervals reach."""
_TEST: Final = f"(randomization test over queries, p <= {ALPHA} after Holm)"
_DOTS: Final = (
    f"with {LEVEL:.0%} intervals over seeds and queries. Filled: differs {_TEST} and the interval leaves out "
    "zero; grey filling: differs with these models alone; empty: not told apart. Arrows: beyond the axis"
)
_CELLS: Final = (
    f"Shaded and bold: differs {_TEST} and the {LEVEL:.0%} interval over seeds and queries leaves out zero, "
    "blue above and red below; black: differs with these models alone; grey: not told apart"
)


def pictures(material: Material) -> list[Picture]:
    """Return a figure per data on which the reference can be compared with another method."""
    return [
        picture
        for family in material.families
        if family.table.protocol == material.protocols[0]
        and (picture := _picture(family, material)) is not None
    ]


def _directions(comparisons: Sequence[Comparison], family: Family, material: Material) -> list[Direction]:
    """Return the directions that were compared, in the order of the table."""
    directions = next(table.directions for table in material.plain_tables if table.data == family.table.data)
    compared = {one.direction for one in comparisons}
    return [direction for direction in directions if direction in compared]


def _picture(family: Family, material: Material) -> Picture | None:
    field, labels = family.table, material.labels
    members = one_each(field.rows, labels, reference_points=False)
    names = dict(zip([member.label for member in members], names_of(members, labels), strict=True))
    reference = names.pop(family.reference, family.reference)
    comparisons = [one for one in family.comparisons if one.second in names and one.direction != AVERAGE]
    if not comparisons:
        return None
    directions = _directions(comparisons, family, material)
    few = len(directions) <= _FEW
    held = [one.difference > 0 for one in comparisons if one.holds]
    return Picture(
        stem=f"differences_{stem_of(field.data)}",
        section="Differences",
        title=f"{reference} against each method: {data_name(field.data)}",
        caption=(
            f"{data_name(field.data)}. {field.protocol} of {reference} minus that of each other method on "
            f"the same queries{', ' if few else '. '}{_DOTS if few else _CELLS}. Selection "
            f"{field.selection}; {_seeds(comparisons)}.{remark(members)}"
        ),
        alt=(
            f"Of {len(comparisons)} differences between {reference} and another method, {sum(held)} hold "
            f"above zero and {len(held) - sum(held)} below; {len(comparisons) - len(held)} do not hold."
        ),
        data=field.data,
        draw=partial(_draw_dots, reference, comparisons, names, directions)
        if few
        else partial(_draw_grid, comparisons, names, directions),
    )


def _seeds(comparisons: Sequence[Comparison]) -> str:
    counts = [len(one.seeds) for one in comparisons]
    said = f"seeds: {' to '.join(map(str, sorted({min(counts), max(counts)})))}"
    return f"{said}; intervals of one seed lack what seeds vary" if min(counts) == 1 else said


def _draw_grid(comparisons: list[Comparison], names: dict[str, str], directions: list[Direction]) -> Figure:
    found = {(one.second, one.direction): one for one in comparisons}
    most = max((abs(one.difference) for one in comparisons if one.holds), default=1.0)
    cells = [[_cell(found.get((other, direction)), most) for direction in directions] for other in names]
    return draw_heat(Heat(list(names.values()), [("", direction_name(one)) for one in directions], cells))


def _cell(one: Comparison | None, most: float) -> Cell:
    if one is None:
        return Cell("—", None, pale=True)
    shade = one.difference / most if one.holds else 0.0
    return Cell(_signed(one.difference), shade, bold=one.holds, pale=not one.differs)


def _draw_dots(
    reference: str, comparisons: list[Comparison], names: dict[str, str], directions: list[Direction]
) -> Figure:
    figure, axes = _frame(fitted_apart(names.values(), NAME), directions)
    limits = _limits(comparisons)
    for axis, direction in zip(axes, directions, strict=True):
        own = {one.second: one for one in comparisons if one.direction == direction}
        found = [own.get(label) for label in names]
        _dots(axis, found, limits)
        room = axis.get_position().width * figure.get_figwidth()
        axis.set_title(fitted(direction_name(direction), room), loc="left", pad=3)
        axis.set_xlabel(f"{fitted(reference, 0.6)} minus the other", labelpad=2, fontsize=BODY)
        if len(directions) <= _NUMBERED:
            _numbers(axis, found)
    return figure


def _frame(names: Sequence[str], directions: Sequence[Direction]) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes for each direction, with room for numbers beside few of them."""
    count = len(directions)
    columns = count if count <= _NUMBERED else -(-count // 2)
    left, numbers = 0.15 + widest(names), 1.12 if count <= _NUMBERED else 0.0
    across = (TWO_COLUMNS - left - 0.05) / columns
    height, between = _ROW * (len(names) + 0.2), 0.58
    whole = 0.2 + (height + between) * -(-count // columns)
    figure = blank(TWO_COLUMNS, whole)
    axes = []
    for place in range(count):
        row, column = divmod(place, columns)
        bottom = whole - 0.4 - height - row * (height + between)
        start, width = left + column * across, across - numbers - 0.12
        box = (start / TWO_COLUMNS, bottom / whole, width / TWO_COLUMNS, height / whole)
        axis = figure.add_axes(box)
        axis.set(yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6))
        axis.set_yticklabels(names if column == 0 else [])
        axes.append(axis)
    return figure, axes


def _dots(axis: Axes, found: Sequence[Comparison | None], limits: tuple[float, float]) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = limits
    axis.set_xlim(low, high)
    axis.xaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10)))
    axis.axvline(0.0, color=INK, linewidth=0.7)
    axis.grid(visible=False, axis="y")
    axis.tick_params(axis="y", length=0)
    for place, one in enumerate(found):
        if one is None:
            continue
        colour = (_ABOVE if one.difference > 0 else _BELOW) if one.holds else GREY
        if not low <= one.difference <= high:
            edge, marker = (high, ">") if one.difference > 0 else (low, "<")
            axis.plot(edge, place, marker=marker, color=colour, clip_on=False)
            continue
        ends = max(one.interval.low, low), min(one.interval.high, high)
        axis.plot(ends, [place] * 2, color=colour, linewidth=1.1, solid_capstyle="butt")
        face = colour if one.holds else "#C8C8C8" if one.differs else "white"
        axis.plot(one.difference, place, marker="o", color=colour, markerfacecolor=face)


def _limits(found: Sequence[Comparison]) -> tuple[float, float]:
    """Return the ends of the axis: all intervals are on it but those that would squeeze the others."""
    ends = [(one.interval.low, one.interval.high) for one in found]
    reach = [max(abs(low), abs(high)) for low, high in ends]
    far = _FAR * statistics.median(reach)
    near = [end for end, size in zip(ends, reach, strict=True) if size <= far]
    low, high = min(0.0, *(end[0] for end in near)), max(0.0, *(end[1] for end in near))
    room = 0.05 * (high - low) or 0.01
    return low - room, high + room


def _numbers(axis: Axes, found: Sequence[Comparison | None]) -> None:
    """Write each difference and its interval to the right of its row."""
    for place, one in enumerate(found):
        if one is not None:
            said = f"{_signed(one.difference)} [{_signed(one.interval.low)}, {_signed(one.interval.high)}]"
            axis.annotate(
                said,
                (1.0, place),
                xycoords=("axes fraction", "data"),
                xytext=(8, 0),
                textcoords="offset points",
                va="center_baseline",
                fontsize=SMALL,
                fontweight="bold" if one.holds else "normal",
                color=INK if one.differs else MUTED,
            )


def _signed(number: float) -> str:
    """Return a number below one with its sign and three decimals."""
    digits = f"{abs(number):.3f}".removeprefix("0")
    sign = "" if digits == ".000" else "+" if number > 0 else "\N{MINUS SIGN}"
    return f"{sign}{digits}"
