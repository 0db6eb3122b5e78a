"""The tables as shaded grids: all methods on all datasets, and in all directions of a dataset with many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.analysis.across_datasets import BlockKey, block_key, one_version_each
from bench.analysis.labels import Labels
from bench.analysis.tables import AVERAGE, Direction, Row, Table, direction_name
from bench.report.figures.choice import names_of, one_each, remark
from bench.report.figures.heat import Cell, Heat, draw_heat
from bench.report.figures.picture import Picture
from bench.report.figures.style import warn
from bench.report.material import Material
from bench.report.text import data_name, file_stem, made_by, made_by_stem, stem_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST: Final = 20
"""Columns up to which directions are shown beside averages."""
_PAIR: Final = 3
"""Columns of a table of two modalities: both directions and their average."""
_SHADES: Final = (
    "Shaded from the lowest to the highest number of each column, which is bold; reference points, at the "
    "bottom, do not compete."
)


class _Column(NamedTuple):
    """One column of a grid.

    Attributes:
        head: group and name.
        direction: whose numbers it shows.
        rows: of its table, by method.
    """

    head: tuple[str, str]
    direction: Direction
    rows: dict[str, Row]


def pictures(material: Material) -> list[Picture]:
    """Return a grid per kind and profile with several datasets, and one per data of many directions."""
    chosen = [table for table in material.plain_tables if table.protocol == material.protocols[0]]
    groups: dict[BlockKey, list[Table]] = defaultdict(list)
    for table in chosen:
        groups[block_key(table)].append(table)
    found = []
    for members in groups.values():
        tables, omitted = one_version_each(members)
        if len(tables) > 1:
            found.append(_of_datasets(tables, omitted, material))
    return [*found, *(_of_directions(table, material) for table in chosen if len(table.columns) > _PAIR)]


def _of_datasets(tables: Sequence[Table], omitted: Sequence[str], material: Material) -> Picture:
    first = tables[0]
    unlike = "" if first.kind == "real" else " — LOOK-ALIKES, generated data, not the benchmarks"
    left_out = f" Left out: {'; '.join(omitted)}." if omitted else ""
    columns = _columns_of_datasets(tables, material.labels)
    heat, remarks = _grid(columns, material.labels)
    return Picture(
        stem=file_stem(
            *("overview", first.kind, first.profile, first.protocol, first.selection),
            *made_by_stem(first.data.device, first.data.harness),
        ),
        section="mAP",
        title=f"All methods on {len(tables)} datasets: {first.profile} profile{unlike}",
        caption=(
            f"{first.protocol} of {', '.join(table.dataset for table in tables)}{unlike}; {first.profile} "
            f"profile, selection {first.selection}, {made_by(first.data.device, first.data.harness)}; mean "
            f"over seeds. {_SHADES}{left_out}{remarks}"
        ),
        alt=f"Grid of mAP. Highest averages: {_highest(columns, heat)}.",
        data=None,
        draw=partial(_draw, heat, first.kind, first.profile),
    )


def _of_directions(table: Table, material: Material) -> Picture:
    data = table.data
    rows = _rows(table, material.labels)
    columns = [_Column(("", direction_name(direction)), direction, rows) for direction in table.columns]
    heat, remarks = _grid(columns, material.labels)
    return Picture(
        stem=f"directions_{stem_of(data)}",
        section="mAP",
        title=f"All methods in {len(columns) - 1} directions: {data_name(data)}",
        caption=(
            f"{data_name(data)}. {table.protocol}, selection {table.selection}, mean over seeds. "
            f"{_SHADES}{remarks}"
        ),
        alt=f"Grid of mAP. Highest average: {_highest(columns, heat)}.",
        data=data,
        draw=partial(_draw, heat, table.kind, table.profile),
    )


def _columns_of_datasets(tables: Sequence[Table], labels: Labels) -> list[_Column]:
    """Return averages, and both directions beside them where there are two and room for them."""
    width = sum(_PAIR if len(table.columns) == _PAIR else 1 for table in tables)
    columns = []
    for table in tables:
        rows = _rows(table, labels)
        if len(table.columns) == _PAIR and width <= _MOST:
            columns += [_Column((table.dataset, direction_name(one)), one, rows) for one in table.columns]
        else:
            columns.append(_Column(("", f"{table.dataset} average"), AVERAGE, rows))
    return columns


def _rows(table: Table, labels: Labels) -> dict[str, Row]:
    return {row.method: row for row in one_each(table.rows, labels)}


def _grid(columns: Sequence[_Column], labels: Labels) -> tuple[Heat, str]:
    """Return the grid and what a caption has to add."""
    methods = sorted({name for column in columns for name in column.rows}, key=labels.order)
    shown = [
        # a row that has to be remarked upon, if a method has any
        min((column.rows[name] for column in columns if name in column.rows), key=lambda row: row.usual)
        for name in methods
    ]
    cells = zip(*(_cells(methods, column) for column in columns), strict=True)
    heads = [column.head for column in columns]
    return Heat(names_of(shown, labels), heads, list(cells)), remark(shown)


def _cells(methods: Sequence[str], column: _Column) -> list[Cell]:
    means = {name: row.entries[column.direction].mean for name, row in column.rows.items()}
    competing = [
        mean for name, mean in means.items() if mean is not None and column.rows[name].role != "reference"
    ]
    low, high = min(competing, default=0.0), max(competing, default=1.0)
    cells = []
    for name in methods:
        mean = means.get(name)
        if mean is None:
            cells.append(Cell("—", None, pale=True))
            continue
        reference = column.rows[name].role == "reference"
        shade = 0.0 if reference or high <= low else (mean - low) / (high - low)
        cells.append(Cell(_number(mean), shade, bold=not reference and mean == high, pale=reference))
    return cells


def _highest(columns: Sequence[_Column], heat: Heat) -> str:
    said = []
    for place, column in enumerate(columns):
        best = [name for name, cells in zip(heat.rows, heat.cells, strict=True) if cells[place].bold]
        if column.direction == AVERAGE and best:
            said.append(f"{' '.join(part for part in column.head if part)}: {', '.join(best)}")
    return "; ".join(said) or "none"


def _draw(heat: Heat, kind: str, profile: str) -> Figure:
    figure = draw_heat(heat)
    warn(figure, kind, profile)
    return figure


def _number(mean: float) -> str:
    return f"{mean:.3f}".removeprefix("0")
