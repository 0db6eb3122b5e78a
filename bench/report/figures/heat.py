"""Numbers in a grid of shaded cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from bench.report.figures.lettering import BODY, SMALL, fitted, fitted_apart, widest
from bench.report.figures.style import INK, MUTED, NAME, TWO_COLUMNS, blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE: Final = (0x00, 0x55, 0xAA)
_RED: Final = (0xCC, 0x11, 0x00)
_STEPS: Final = 12
"""Shades on each side of white: so few that cells of one shade are one shape, which makes small files."""
_BOLD: Final = 1.16
"""How much wider than plain letters bold ones with a gap are at most."""
_ROW: Final = 0.165
_WIDEST: Final = 0.42
_GAP: Final = 0.06
"""Inches: height of a row, width of a cell at most, and between names and cells."""


@dataclass(frozen=True)
class Cell:
    """One number.

    Attributes:
        text: what to print.
        shade: from -1, red, over 0, white, to 1, blue; None without a number.
        bold: whether to stress it.
        pale: whether to print it in grey.
    """

    text: str
    shade: float | None
    bold: bool = False
    pale: bool = False


@dataclass(frozen=True)
class Heat:
    """A grid.

    Attributes:
        rows: their names.
        columns: their names, each after the name of its group, which may be empty; groups stand together.
        cells: by row, then by column.
    """

    rows: Sequence[str]
    columns: Sequence[tuple[str, str]]
    cells: Sequence[Sequence[Cell]]


def draw_heat(heat: Heat) -> Figure:
    """Return the grid as a figure as wide as it needs, at most both columns of a page."""
    names = fitted_apart(heat.rows, NAME)
    heads = [fitted(head, NAME) for _, head in heat.columns]
    left = _GAP + widest(names) + _GAP
    cell = min(_WIDEST, (TWO_COLUMNS - left - _GAP) / len(heads))
    grouped = [head for (group, _), head in zip(heat.columns, heads, strict=True) if group]
    over = widest(grouped) + _GAP
    above = max(widest(heads) + _GAP, over + 0.26 if grouped else 0.0) + 0.2
    across, down = cell * len(heads), _ROW * len(names)
    # never so narrow that a remark above does not fit
    width, height = max(left + across + _GAP, 3.0), above + down + _GAP
    figure = blank(width, height)
    axis = figure.add_axes((left / width, _GAP / height, across / width, down / height))
    axis.set(xlim=(0, len(heads)), ylim=(len(names), 0))
    axis.axis("off")
    _shade(axis, heat)
    _print(axis, heat, cell)
    for place, name in enumerate(names):
        axis.text(-_GAP / cell, place + 0.5, name, ha="right", va="center_baseline", fontsize=BODY)
    for place, head in enumerate(heads):
        axis.text(place + 0.5, -_GAP / _ROW, head, ha="center", va="bottom", rotation=90, fontsize=BODY)
    _head_groups(axis, heat, over / _ROW, cell)
    return figure


def _shade(axis: Axes, heat: Heat) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    squares: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row, cells in enumerate(heat.cells):
        for column, cell in enumerate(cells):
            if cell.shade is not None:
                squares[round(_STEPS * cell.shade)].append((column, row))
    for step, corners in sorted(squares.items()):
        shapes = [
            Path([(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1), (x, y)], closed=True) for x, y in corners
        ]
        shape = Path.make_compound_path(*shapes)
        axis.add_patch(PathPatch(shape, facecolor=_colour(step / _STEPS), edgecolor="white", linewidth=0.6))


def _print(axis: Axes, heat: Heat, room: float) -> None:
    texts = {cell.text for cells in heat.cells for cell in cells}
    size = min(SMALL, SMALL * room / (_BOLD * widest(texts, SMALL)))
    cells = [(row, column, cell) for row, cells in enumerate(heat.cells) for column, cell in enumerate(cells)]
    # Those that look alike one after another: their style is then said once in a file.
    for row, column, cell in sorted(cells, key=lambda one: (one[2].pale, one[2].bold)):
        axis.text(
            column + 0.5,
            row + 0.5,
            cell.text,
            ha="center",
            va="center_baseline",
            fontsize=size,
            fontweight="bold" if cell.bold else "normal",
            color=MUTED if cell.pale else INK,
        )


def _head_groups(axis: Axes, heat: Heat, over: float, cell: float) -> None:
    """Write the groups' names above their columns, ``over`` rows above the cells, with a line under each."""
    start = 0
    for group, members in groupby(group for group, _ in heat.columns):
        count = len(list(members))
        if group:
            name = fitted(group, count * cell)
            axis.plot(
                [start + 0.1, start + count - 0.1], [-over - 0.3] * 2, color=INK, linewidth=0.6, clip_on=False
            )
            axis.text(start + count / 2, -over - 0.45, name, ha="center", va="bottom", fontsize=BODY)
        start += count


def _colour(shade: float) -> tuple[float, ...]:
    full = _BLUE if shade >= 0 else _RED
    # never so dark that black letters are hard to read
    return tuple(1 - 0.65 * abs(shade) * (1 - part / 255) for part in full)
