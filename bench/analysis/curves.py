"""Precision along the ranking and along recall, as means over the cells of a table's row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from bench.analysis.tables import AVERAGE, Direction, Row, Table
from bench.analysis.views import SELECTION, Views
from bench.records.snapshot import Curves

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MeanCurves:
    """Curves of one row, in one direction or over all of them.

    Attributes:
        ranks: ``(k,)``, the same for all rows of the data.
        precision: ``(k,)`` among the first so many items.
        levels: ``(l,)`` of recall.
        interpolated: ``(l,)`` precision there.
    """

    ranks: NDArray[np.int32]
    precision: Vector
    levels: Vector
    interpolated: Vector


@dataclass(frozen=True, eq=False)
class CurvedRow:
    """A table's row with its curves.

    Attributes:
        row: of the table.
        seeds: how many cells a direction's curves rest on, at least.
        curves: by direction, and under `AVERAGE` the mean over directions.
    """

    row: Row
    seeds: int
    curves: dict[Direction, MeanCurves]

    @property
    def method(self) -> str:
        """Return the registry name."""
        return self.row.method

    @property
    def label(self) -> str:
        """Return the method as the tables print it."""
        return self.row.label

    @property
    def usual(self) -> bool:
        """Return whether it is the method itself with its usual settings, and the last such row."""
        return self.row.usual


def curved_rows(table: Table, views: Views) -> tuple[list[CurvedRow], list[str]]:
    """Return the rows that have curves in every direction of the table, and the labels of the others.

    Rows without any number are in neither. Curves belong to the rule that views show: for other selections
    there are none.
    """
    found: list[CurvedRow] = []
    without: list[str] = []
    directions = [direction for direction in table.columns if direction != AVERAGE]
    if table.selection != SELECTION:
        return [], []
    for row in table.rows:
        digests = {direction: row.entries[direction].records for direction in directions}
        if not any(digests.values()):
            continue
        cells = {direction: _curves(views, digests[direction], direction) for direction in directions}
        if all(cells.values()):
            found.append(_row(row, cells))
        else:
            without.append(row.label)
    return found, without


def _curves(views: Views, digests: Iterable[str], direction: Direction) -> list[Curves]:
    return [
        curves
        for view in views.of(digests)
        for curves in view.curves
        if (curves.query, curves.gallery) == direction
    ]


def _row(row: Row, cells: dict[Direction, list[Curves]]) -> CurvedRow:
    means = {direction: mean_curves(members) for direction, members in cells.items()}
    means[AVERAGE] = mean_curves(list(means.values()))
    return CurvedRow(row, min(map(len, cells.values())), means)


def mean_curves(members: Sequence[Curves | MeanCurves]) -> MeanCurves:
    """Return the mean of curves, at the ranks and levels that all of them have."""
    ranks = reduce(np.intersect1d, (one.ranks for one in members))
    levels = reduce(np.intersect1d, (one.levels for one in members))
    at_ranks = [one.precision[np.isin(one.ranks, ranks)] for one in members]
    at_levels = [one.interpolated[np.isin(one.levels, levels)] for one in members]
    return MeanCurves(ranks, np.mean(at_ranks, axis=0), levels, np.mean(at_levels, axis=0))
