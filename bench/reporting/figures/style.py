"""How figures look: one look per method everywhere, readable in black and white and by the colour-blind."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.analysis.naming import Naming

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Dash = str | tuple[float, tuple[float, ...]]

_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7A5195", "#4D4D4D")
"""Okabe and Ito's palette, its yellow and black replaced: lines in yellow do not show on white."""
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "p", "*")
_DASHES: Final[tuple[Dash, ...]] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
_HATCHES: Final = ("", "//", "..", "xx", "\\\\", "++", "--", "oo")
_GREY: Final = "#8C8C8C"

RC: Final[Mapping[Any, Any]] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "hatch.linewidth": 0.6,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "bench",  # ids of an SVG are random without it
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
"""Settings of matplotlib under which figures are drawn and saved."""


class Look(NamedTuple):
    """How a method is drawn.

    Attributes:
        colour: as hexadecimal RGB.
        marker: matplotlib's name.
        dash: line style.
        hatch: of bars.
    """

    colour: str
    marker: str
    dash: Dash
    hatch: str


def look(method: str, naming: Naming) -> Look:
    """Return how a method is drawn in every figure; no two of the first 24 in the roster look alike.

    Methods of a user's own, and reference points, do not change the look of the roster.
    """
    position, _ = naming.order(method)
    if naming.role(method) == "reference":
        return Look(_GREY, "_", _DASHES[position % len(_DASHES)], "")
    # a plug-in's position may be any number, and one that is gone has none: its name decides then
    place = (
        position
        if 0 <= position < 100
        else int.from_bytes(hashlib.sha256(method.encode()).digest()[:4], "big")
    )
    return look_number(place)


def look_number(place: int) -> Look:
    """Return the look of what stands at a place of a series, such as a class or a variant."""
    return Look(
        _COLOURS[place % len(_COLOURS)],
        _MARKERS[place % len(_MARKERS)],
        _DASHES[place // len(_COLOURS) % len(_DASHES)],
        _HATCHES[place % len(_HATCHES)],
    )


def panels(columns: int, rows: int = 1, width: float = 3.4, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """Return an empty figure and its axes, row by row; sizes of one panel in inches.

    To be called by `Picture.draw`, under `RC`: see `bench.reporting.figures.saving`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows))
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [axis for row in axes for axis in row]
