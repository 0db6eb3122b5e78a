"""Critical-difference diagrams: average ranks over datasets, and who cannot be told apart (Demšar 2006)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.analysis.across_datasets import DatasetTests
from bench.analysis.statistics import ALPHA, Array, cliques
from bench.report.figures.lettering import BODY, SMALL, fitted_apart, widest
from bench.report.figures.picture import Picture
from bench.report.figures.style import GREY, INK, NAME, TWO_COLUMNS, Look, blank, look, warn
from bench.report.material import Material
from bench.report.text import file_stem, made_by, made_by_stem

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SPACE: Final = "\N{EN SPACE}"
_LINE: Final = 0.17
"""Inches from one name to the next."""
_BAR: Final = 0.09
"""Inches from one bar to the next."""


def pictures(material: Material) -> list[Picture]:
    """Return a diagram per kind of data and profile; none where so few datasets can tell no methods apart."""
    return [
        _picture(standing, material)
        for block, standing in material.standings
        if standing is not None and block.protocol == material.protocols[0] and can_tell(standing)
    ]


def can_tell(standing: DatasetTests) -> bool:
    """Return whether the best and the worst possible average ranks would differ by Nemenyi's test."""
    return standing.critical_difference < len(standing.block.methods) - 1


def _picture(standing: DatasetTests, material: Material) -> Picture:
    block = standing.block
    unlike = "" if block.kind == "real" else " — LOOK-ALIKES, generated data, not the benchmarks"
    order = np.argsort(standing.average_ranks, kind="stable")
    ranked = ", ".join(f"{block.methods[place]} {standing.average_ranks[place]:.2f}" for place in order)
    return Picture(
        stem=file_stem(
            *("critical", block.kind, block.profile, block.protocol, block.selection),
            *made_by_stem(block.about.device, block.about.harness),
        ),
        section="Ranks over datasets",
        title=f"Average ranks over {len(block.datasets)} datasets: {block.profile} profile{unlike}",
        caption=(
            f"Average ranks by {block.protocol} over {', '.join(block.datasets)}{unlike}; {block.profile} "
            f"profile, selection {block.selection}, {made_by(block.about.device, block.about.harness)}; 1 is "
            f"best. Bars join methods that Nemenyi's test does not tell apart at the level {ALPHA} "
            f"(critical difference {standing.critical_difference:.2f})."
        ),
        alt=f"Average ranks: {ranked}.",
        data=None,
        draw=partial(_draw, standing, _looks(standing, material)),
    )


def _looks(standing: DatasetTests, material: Material) -> list[Look]:
    return [look(name, material.labels) for name in standing.block.names]


def _draw(standing: DatasetTests, looks: list[Look]) -> Figure:
    ranks, names = standing.average_ranks, fitted_apart(standing.block.methods, NAME)
    levels = _stacked([(min(ranks[list(group)]), max(ranks[list(group)])) for group in _groups(standing)])
    depth = max((level for level, _ in levels), default=-1) + 1
    lines = math.ceil(len(names) / 2)
    bars, above = _BAR * depth + 0.16, 0.62
    height = above + bars + _LINE * lines + 0.08
    figure = blank(TWO_COLUMNS, height)
    axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    # in inches from the top left corner, so that nothing depends on how many methods there are
    axis.set(xlim=(0, TWO_COLUMNS), ylim=(height, 0))
    axis.axis("off")
    scale = _Scale(len(names), 0.28 + widest(f"{name}{_SPACE}00.00" for name in names))
    _ruler(axis, scale, above, standing.critical_difference)
    for level, (first, last) in levels:
        down = above + 0.1 + _BAR * level
        ends = [scale.at(first) - 0.03, scale.at(last) + 0.03]
        axis.plot(ends, [down] * 2, color=INK, linewidth=2.6, solid_capstyle="butt")
    _names(axis, scale, (above, above + bars), ranks, names, looks)
    warn(figure, standing.block.kind, standing.block.profile)
    return figure


class _Scale:
    """Where ranks stand across the figure; the best at the left."""

    def __init__(self, most: int, side: float) -> None:
        self.most = most
        self.side = side

    def at(self, rank: float) -> float:
        """Return inches from the left."""
        return self.side + (TWO_COLUMNS - 2 * self.side) * (rank - 1) / (self.most - 1)


def _groups(standing: DatasetTests) -> list[tuple[int, ...]]:
    return cliques(standing.average_ranks, standing.critical_difference)


def _stacked(spans: Sequence[tuple[float, float]]) -> list[tuple[int, tuple[float, float]]]:
    """Return each span with the first level on which it meets no other."""
    placed: list[tuple[int, tuple[float, float]]] = []
    for span in spans:
        taken = {level for level, other in placed if other[1] >= span[0] and other[0] <= span[1]}
        placed.append((next(level for level in range(len(spans)) if level not in taken), span))
    return placed


def _ruler(axis: Axes, scale: _Scale, down: float, difference: float) -> None:
    axis.plot([scale.at(1), scale.at(scale.most)], [down] * 2, color=INK, linewidth=0.8)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if scale.at(1 + step) - scale.at(1) > 0.17)
    for rank in range(1, scale.most + 1):
        axis.plot([scale.at(rank)] * 2, [down - 0.05, down], color=INK, linewidth=0.8)
        if (rank - 1) % step == 0:
            axis.text(scale.at(rank), down - 0.08, str(rank), ha="center", va="bottom")
    ends = [scale.at(1), scale.at(1 + difference)]
    axis.plot(ends, [down - 0.27] * 2, color=INK, linewidth=0.8, marker="|", markersize=5)
    axis.text(
        ends[1] + 0.08,
        down - 0.27,
        f"critical difference {difference:.2f}",
        va="center_baseline",
        fontsize=SMALL,
    )


def _names(
    axis: Axes,
    scale: _Scale,
    downs: tuple[float, float],
    ranks: Array,
    names: Sequence[str],
    looks: Sequence[Look],
) -> None:
    """Write the better half of the names at the left, the best on top, and the others at the right."""
    order = np.argsort(ranks, kind="stable")
    half = math.ceil(len(order) / 2)
    for position, place in enumerate(order):
        left = position < half
        line = position if left else len(order) - 1 - position
        down = downs[1] + _LINE * (line + 0.5)
        end = scale.side - 0.08 if left else TWO_COLUMNS - scale.side + 0.08
        across = scale.at(float(ranks[place]))
        axis.plot([across, across, end], [downs[0], down, down], color=GREY, linewidth=0.7, zorder=1)
        axis.plot(end, down, linestyle="", **looks[place].points)
        side, shift = ("right", -0.08) if left else ("left", 0.08)
        said = (
            f"{names[place]}{_SPACE}{ranks[place]:.2f}"
            if left
            else f"{ranks[place]:.2f}{_SPACE}{names[place]}"
        )
        axis.text(end + shift, down, said, ha=side, va="center_baseline", fontsize=BODY)
