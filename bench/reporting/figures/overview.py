"""The tables as shaded grids: all methods on all datasets, and in all directions of a dataset with many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.analysis.across import one_version_each
from bench.analysis.groups import Data
from bench.analysis.tables import AVERAGE, Direction, Row, Table
from bench.reporting.figures.choice import one_each
from bench.reporting.figures.heat import Cell, Heat, draw_heat
from bench.reporting.figures.picture import Picture
from bench.reporting.figures.style import warn
from bench.reporting.material import Material
from bench.reporting.text import data_name, file_stem, stem_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST: Final = 20
"""Columns up to which directions are shown beside averages."""
_SHADES: Final = (
    "Shaded from the lowest to the highest number of each column, which is bold; reference points, at the "
    "bottom, do not compete."
)

Column = tuple[Table, Direction]


def pictures(material: Material) -> list[Picture]:
    """Return a grid per kind and profile with several datasets, and one per data of many directions."""
    chosen = [table for table in material.plain_tables if table.protocol == material.protocols[0]]
    groups: dict[tuple[str, str], list[Table]] = defaultdict(list)
    for table in chosen:
        groups[table.kind, table.profile].append(table)
    found = []
    for members in groups.values():
        tables, omitted = one_version_each(members)
        if len(tables) > 1:
            found.append(_of_datasets(tables, omitted, material))
    return [*found, *(_of_directions(table, material) for table in chosen if len(table.columns) > 3)]


def _of_datasets(tables: Sequence[Table], omitted: Sequence[str], material: Material) -> Picture:
    first = tables[0]
    columns = _columns(tables)
    heads = [_heading(table, direction) for table, direction in columns]
    unlike = "" if first.kind == "real" else " — LOOK-ALIKES, generated data, not the benchmarks"
    left_out = f" Left out: {'; '.join(omitted)}." if omitted else ""
    return Picture(
        stem=file_stem("overview", first.kind, first.profile, first.protocol, first.selection),
        section="mAP",
        title=f"All methods on {len(tables)} datasets: {first.profile} profile{unlike}",
        caption=(
            f"{first.protocol} of {', '.join(table.dataset for table in tables)}{unlike}; {first.profile} "
            f"profile, selection {first.selection}, mean over seeds. {_SHADES}{left_out}"
        ),
        alt=f"Grid of mAP. Highest: {_highest(columns, heads, material)}.",
        data=None,
        draw=partial(_draw, _grid(columns, heads, material), first.kind, first.profile),
    )


def _of_directions(table: Table, material: Material) -> Picture:
    data = Data(table.kind, table.profile, table.dataset, table.fingerprint)
    columns = [(table, direction) for direction in table.columns]
    heads = [("", _arrow(direction)) for direction in table.columns]
    return Picture(
        stem=f"directions_{stem_of(data)}",
        section="mAP",
        title=f"All methods in {len(columns) - 1} directions: {data_name(data)}",
        caption=(
            f"{data_name(data)}. {table.protocol}, selection {table.selection}, mean over seeds. {_SHADES}"
        ),
        alt=f"Grid of mAP. Highest: {_highest(columns, heads, material)}.",
        data=data,
        draw=partial(_draw, _grid(columns, heads, material), table.kind, table.profile),
    )


def _columns(tables: Sequence[Table]) -> list[Column]:
    wide = [len(table.columns) == 3 for table in tables]
    if sum(3 if whole else 1 for whole in wide) > _MOST:
        wide = [False] * len(tables)
    return [
        (table, direction)
        for table, whole in zip(tables, wide, strict=True)
        for direction in (table.columns if whole else (AVERAGE,))
    ]


def _heading(table: Table, direction: Direction) -> tuple[str, str]:
    if len(table.columns) > 3:
        return "", f"{table.dataset} {_arrow(direction)}"
    return table.dataset, _arrow(direction)


def _grid(columns: Sequence[Column], heads: list[tuple[str, str]], material: Material) -> Heat:
    by_column = [_rows(table, material) for table, _ in columns]
    methods = sorted({name for rows in by_column for name in rows}, key=material.naming.order)
    filled = [
        _column(methods, rows, direction) for rows, (_, direction) in zip(by_column, columns, strict=True)
    ]
    labels = [next(rows[name].label for rows in by_column if name in rows) for name in methods]
    return Heat(labels, heads, list(zip(*filled, strict=True)))


def _rows(table: Table, material: Material) -> dict[str, Row]:
    return {row.method: row for row in one_each(table.rows, material.naming)}


def _column(methods: Sequence[str], rows: dict[str, Row], direction: Direction) -> list[Cell]:
    means = {name: row.entries[direction].mean for name, row in rows.items()}
    scale = [mean for name, mean in means.items() if mean is not None and rows[name].role != "reference"]
    low, high = min(scale, default=0.0), max(scale, default=1.0)
    cells = []
    for name in methods:
        mean = means.get(name)
        if mean is None:
            cells.append(Cell("—", None, pale=True))
            continue
        reference = rows[name].role == "reference"
        shade = 0.0 if reference or high <= low else (mean - low) / (high - low)
        cells.append(Cell(_number(mean), shade, bold=not reference and mean == high, pale=reference))
    return cells


def _highest(columns: Sequence[Column], heads: Sequence[tuple[str, str]], material: Material) -> str:
    said = []
    for (table, direction), head in zip(columns, heads, strict=True):
        rows = [row for row in _rows(table, material).values() if row.role != "reference"]
        known = [(row.entries[direction].mean, row.label) for row in rows]
        best = max(
            ((mean, label) for mean, label in known if mean is not None), default=None, key=lambda one: one[0]
        )
        if direction == AVERAGE and best is not None:
            said.append(f"{' '.join(part for part in head if part)}: {best[1]}, {best[0]:.3f}")
    return "; ".join(said) or "none"


def _draw(heat: Heat, kind: str, profile: str) -> Figure:
    figure = draw_heat(heat)
    warn(figure, kind, profile)
    return figure


def _arrow(direction: Direction) -> str:
    return "average" if direction == AVERAGE else f"{direction[0]}→{direction[1]}"


def _number(mean: float) -> str:
    return f"{mean:.3f}".removeprefix("0")
