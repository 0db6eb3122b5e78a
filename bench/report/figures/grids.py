"""Numbers in grids of shaded cells: all methods on all datasets, or in all directions of one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any, Final, NamedTuple

from bench.analysis.across_datasets import BlockKey, block_key, one_version_each
from bench.analysis.labels import Labels
from bench.analysis.tables import AVERAGE, Direction, Row, Table, direction_name
from bench.report.exhibit import FigureExhibit, block_subject, data_figure
from bench.report.figures import style
from bench.report.report_data import ReportData
from bench.report.text import block_rule, block_stem, kind_remark

_MOST: Final = 20  # columns up to which directions are shown beside averages
_PAIR: Final = 3  # columns of a table of two modalities: both directions and their average
_SHADES: Final = (
    "Shaded from the lowest to the highest number of each column, which is bold; reference points, at the "
    "bottom, do not compete."
)
_BLUE: Final = (0x00, 0x55, 0xAA)
_RED: Final = (0xCC, 0x11, 0x00)
_STEPS: Final = 12
"""Shades on each side of white: so few that cells of one shade are one shape, which makes small files."""
_BOLD: Final = 1.16  # how much wider than plain letters bold ones with a gap are at most
_ROW: Final = 0.165
_WIDEST: Final = 0.42
_GAP: Final = 0.06
"""Inches: height of a row, width of a cell at most, and between names and cells."""


class Shaded(NamedTuple):
    """A cell: its text, a shade from -1, red, over 0, white, to 1, blue, and how it is printed."""

    text: str
    shade: float | None
    bold: bool = False
    pale: bool = False
    framed: bool = False


NOTHING: Final = Shaded("—", None, pale=True)


class Grid(NamedTuple):
    """A grid."""

    rows: Sequence[str]  # their names
    # their names, each after the name of its group, which may be empty; the columns of a group are adjacent
    columns: Sequence[tuple[str, str]]
    cells: Sequence[Sequence[Shaded]]  # by row, then by column


class _Column(NamedTuple):
    """A column of a grid: group and name, direction, the rows of its table by method."""

    head: tuple[str, str]
    direction: Direction
    rows: dict[str, Row]
    lower_is_better: bool


def dataset_grids(data: ReportData) -> list[FigureExhibit]:
    """Return a grid per kind and profile with several datasets."""
    groups: dict[BlockKey, list[Table]] = defaultdict(list)
    for table in data.first_tables:
        groups[block_key(table)].append(table)
    chosen = [(key, *one_version_each(members), data.labels) for key, members in groups.items()]
    return [_of_datasets(*each) for each in chosen if len(each[1]) > 1]


def direction_grids(data: ReportData) -> list[FigureExhibit]:
    """Return a grid per data of many directions."""
    return [_of_directions(table, data.labels) for table in data.first_tables if len(table.columns) > _PAIR]


def _of_datasets(
    key: BlockKey, tables: Sequence[Table], omitted: Sequence[str], labels: Labels
) -> FigureExhibit:
    kind = kind_remark(key.kind)
    left_out = f" Left out: {'; '.join(omitted)}." if omitted else ""
    width = sum(_PAIR if len(table.columns) == _PAIR else 1 for table in tables)
    columns = []
    for table in tables:
        if len(table.columns) == _PAIR and width <= _MOST:
            columns += _columns(table, labels, table.data.dataset)
        else:
            average = _columns(table, labels)[-1]
            columns.append(average._replace(head=("", f"{table.data.dataset} average")))
    grid, star = _grid(columns, labels)
    datasets = ", ".join(table.data.dataset for table in tables)
    return FigureExhibit(
        block_stem("overview", key),
        f"All methods on {len(tables)} datasets: {key.profile} profile{kind}",
        f"{key.protocol} of {datasets}{kind}; {block_rule(key)}; mean over seeds. {_SHADES}{left_out}{star}",
        f"Grid of {key.protocol}. Best averages: {_highest(columns, grid)}.",
        block_subject(key),
        partial(draw_grid, grid),
    )


def _of_directions(table: Table, labels: Labels) -> FigureExhibit:
    columns = _columns(table, labels)
    grid, star = _grid(columns, labels)
    return data_figure(
        "directions",
        table.data,
        f"All methods in {len(columns) - 1} directions",
        f"{table.protocol}, selection {table.selection}, mean over seeds. {_SHADES}{star}",
        f"Grid of {table.protocol}. Best average: {_highest(columns, grid)}.",
        partial(draw_grid, grid),
    )


def _columns(table: Table, labels: Labels, group: str = "") -> list[_Column]:
    rows = {row.method: row for row in style.one_row_each(table.rows, labels)}
    lower = table.lower_is_better
    return [_Column((group, direction_name(one)), one, rows, lower) for one in table.columns]


def _grid(columns: Sequence[_Column], labels: Labels) -> tuple[Grid, str]:
    """Return the grid, and the sentence on its rows for the caption."""
    methods = sorted({name for column in columns for name in column.rows}, key=labels.order)
    shown = [
        # a row with a star, if the method has any
        min((column.rows[name] for column in columns if name in column.rows), key=lambda row: row.usual)
        for name in methods
    ]
    cells = list(zip(*(_cells(methods, column) for column in columns), strict=True))
    return Grid(
        style.short_names(shown, labels), [column.head for column in columns], cells
    ), style.star_note(shown)


def _cells(methods: Sequence[str], column: _Column) -> list[Shaded]:
    means = {name: row.entries[column.direction].mean for name, row in column.rows.items()}
    others = {name for name, row in column.rows.items() if row.role == "reference" or row.other_modalities}
    competing = [mean for name, mean in means.items() if mean is not None and name not in others]
    worst, best = min(competing, default=0.0), max(competing, default=1.0)
    if column.lower_is_better:
        worst, best = best, worst
    cells = []
    for name in methods:
        mean = means.get(name)
        if mean is None:
            cells.append(NOTHING)
            continue
        reference = name in others
        shade = 0.0 if reference or best == worst else (mean - worst) / (best - worst)
        printed = f"{mean:.3f}"
        bold = not reference and printed == f"{best:.3f}"  # equal printed numbers share a rank, as in tables
        cells.append(Shaded(printed.removeprefix("0"), shade, bold=bold, pale=reference))
    return cells


def _highest(columns: Sequence[_Column], grid: Grid) -> str:
    texts = []
    for index, column in enumerate(columns):
        best = [name for name, cells in zip(grid.rows, grid.cells, strict=True) if cells[index].bold]
        if column.direction == AVERAGE and best:
            texts.append(f"{' '.join(part for part in column.head if part)}: {', '.join(best)}")
    return "; ".join(texts) or "none"


def draw_grid(grid: Grid) -> style.Figure:
    """Return the grid as a figure as wide as it needs, at most both columns of a page."""
    names = style.fitted_apart(grid.rows, style.NAME)
    heads = [style.fitted(head, style.NAME) for _, head in grid.columns]
    left = _GAP + style.widest(names) + _GAP
    cell = min(_WIDEST, (style.TWO_COLUMNS - left - _GAP) / len(heads))
    grouped = [head for (group, _), head in zip(grid.columns, heads, strict=True) if group]
    over = style.widest(grouped) + _GAP
    above = max(style.widest(heads) + _GAP, over + 0.26 if grouped else 0.0) + 0.2
    across, down = cell * len(heads), _ROW * len(names)
    # never so narrow that a warning above does not fit
    width, height = max(left + across + _GAP, 3.0), above + down + _GAP
    figure = style.blank(width, height)
    axis = figure.add_axes((left / width, _GAP / height, across / width, down / height))
    axis.set(xlim=(0, len(heads)), ylim=(len(names), 0))
    axis.axis("off")
    _shade(axis, grid)
    _print(axis, grid, cell)
    for index, name in enumerate(names):
        axis.text(-_GAP / cell, index + 0.5, name, ha="right", va="center_baseline", fontsize=style.BODY)
    for index, head in enumerate(heads):
        axis.text(index + 0.5, -_GAP / _ROW, head, ha="center", va="bottom", rotation=90, fontsize=style.BODY)
    _head_groups(axis, grid, over / _ROW, cell)
    return figure


def _shade(axis: style.Axes, grid: Grid) -> None:
    from matplotlib.patches import PathPatch, Rectangle
    from matplotlib.path import Path

    squares: dict[int, list[Path]] = defaultdict(list)
    for y, cells in enumerate(grid.cells):
        for x, cell in enumerate(cells):
            if cell.shade is not None:
                corners = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1), (x, y)]
                squares[round(_STEPS * cell.shade)].append(Path(corners, closed=True))
            if cell.framed:
                frame = Rectangle((x + 0.03, y + 0.05), 0.94, 0.9, fill=False, zorder=3)
                frame.set(edgecolor=style.INK, linewidth=1.2)
                axis.add_artist(frame)
    for step, shapes in sorted(squares.items()):
        # never so dark that black letters are hard to read
        pale = 0.65 * abs(step / _STEPS)
        colour = tuple(1 - pale * (1 - part / 255) for part in (_BLUE if step >= 0 else _RED))
        shape = Path.make_compound_path(*shapes)
        axis.add_artist(PathPatch(shape, facecolor=colour, edgecolor="white", linewidth=0.6))


def _print(axis: style.Axes, grid: Grid, room: float) -> None:
    width = _BOLD * style.widest({cell.text for row in grid.cells for cell in row}, style.SMALL)
    size = min(style.SMALL, style.SMALL * room / width)
    middle: dict[str, Any] = {"ha": "center", "va": "center_baseline", "fontsize": size}
    for row, cells in enumerate(grid.cells):
        for column, cell in enumerate(cells):
            weight, colour = "bold" if cell.bold else "normal", style.MUTED if cell.pale else style.INK
            axis.text(column + 0.5, row + 0.5, cell.text, fontweight=weight, color=colour, **middle)


def _head_groups(axis: style.Axes, grid: Grid, over: float, cell: float) -> None:
    """Write the groups' names above their columns, ``over`` rows above the cells, with a line under each."""
    start = 0
    for group, members in groupby(group for group, _ in grid.columns):
        count = len(list(members))
        if group:
            ends = [start + 0.1, start + count - 0.1]
            axis.plot(ends, [-over - 0.3] * 2, color=style.INK, linewidth=0.6, clip_on=False)
            name = style.fitted(group, count * cell)
            axis.text(start + count / 2, -over - 0.45, name, ha="center", va="bottom", fontsize=style.BODY)
        start += count
