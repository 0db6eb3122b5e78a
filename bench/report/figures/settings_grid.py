"""A heat map of two settings: numbers in shaded cells, the usual settings framed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.report.figures.lettering import SMALL, apart, shortened, widest
from bench.report.figures.rows import Value
from bench.report.figures.style import FAINT, GREY, INK, TWO_COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELL: Final = (0.62, 0.38)
"""Inches of a heat map's cell, across and down, at most."""
_DARKEST: Final = "#1A66B2"
_TURN: Final = 0.68
"""Where shades become so dark that letters on them are white."""


class Grid(NamedTuple):
    """A heat map.

    Attributes:
        names: of the two settings.
        rows: values of the first.
        columns: values of the second.
        cells: mean and deviation by row and column; None where there is no number.
        usual: rows and columns of the usual settings.
        protocol: id of the evaluation rule.
    """

    names: tuple[str, str]
    rows: list[str]
    columns: list[str]
    cells: list[list[Value]]
    usual: list[tuple[int, int]]
    protocol: str


def draw_grid(grid: Grid) -> Figure:
    """Return the heat map as a figure, at most both columns of a page wide."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    rows, columns = apart(grid.rows, 14), apart(grid.columns, 14)
    across = max(min(_CELL[0], (TWO_COLUMNS - 1.6) / len(columns)), 0.3)
    width = across * len(columns) + widest(rows) + 1.3
    figure = Figure(figsize=(max(width, 3.0), _CELL[1] * len(rows) + 0.85))
    axis = figure.subplots()
    _shade(axis, grid, small=across < 0.45)
    for row, column in grid.usual:
        for colour, thick in (("white", 3.4), (INK, 1.6)):  # seen on every shade
            frame = Rectangle((column + 0.04, row + 0.06), 0.92, 0.88, fill=False)
            frame.set(edgecolor=colour, linewidth=thick)
            axis.add_patch(frame)
    axis.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    axis.set_xticks(
        [place + 0.5 for place in range(len(columns))],
        columns,
        rotation=90 if widest(columns) > across else 0,
    )
    axis.set_yticks([place + 0.5 for place in range(len(rows))], rows)
    axis.set(xlabel=shortened(grid.names[1]), ylabel=shortened(grid.names[0]))
    axis.tick_params(length=0)
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return figure


def _shade(axis: Axes, grid: Grid, *, small: bool) -> None:
    """Fill and print the cells, and explain the shades."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.patches import Rectangle

    means = [value[0] for cells in grid.cells for value in cells if value is not None]
    low, high = min(means, default=0.0), max(means, default=1.0)
    scale = Normalize(low, high if high > low else low + 1e-3)
    shades = LinearSegmentedColormap.from_list("white to blue", ["#FFFFFF", _DARKEST])
    for row, cells in enumerate(grid.cells):
        for column, value in enumerate(cells):
            if value is None:
                axis.add_patch(Rectangle((column, row), 1, 1, fc="white", ec=GREY, hatch="//", lw=0))
                continue
            part = float(scale(value[0]))
            axis.add_patch(Rectangle((column, row), 1, 1, fc=shades(part), ec=FAINT, lw=0.6))
            axis.text(
                column + 0.5,
                row + 0.5,
                _printed(value, short=small),
                ha="center",
                va="center",
                fontsize=SMALL,
                fontweight="bold" if value[0] == high else "normal",
                color="white" if part > _TURN else INK,
                linespacing=1.15,
            )
    bar = axis.figure.colorbar(
        ScalarMappable(scale, shades),
        ax=axis,
        label=f"{grid.protocol}, average",
        pad=0.03,
        ticks=_few_ticks(),
    )
    bar.ax.tick_params(length=0)


def _printed(value: tuple[float, float | None], *, short: bool) -> str:
    mean, deviation = value
    return f"{mean:.3f}" if deviation is None or short else f"{mean:.3f}\n±{deviation:.3f}"


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)
