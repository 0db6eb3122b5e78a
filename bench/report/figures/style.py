"""How figures look: one look per method, readable in black and white; texts that fit into them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from bench.analysis.convergence import Curve
from bench.analysis.costs import ScoreAndCost
from bench.analysis.labels import Labels
from bench.analysis.per_query import PerQueryRow
from bench.analysis.tables import Row
from bench.report.text import visible

if TYPE_CHECKING:  # for all modules that draw
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure

Dash = str | tuple[float, tuple[float, ...]]

FONTS: Final = ("DejaVu Sans", "Verdana")
"""The first comes with matplotlib: the same letters on every machine; a browser without it takes the next."""
SMALL: Final = 6.0
BODY: Final = 7.0
LARGE: Final = 8.0
"""Sizes in points: of numbers in cells and remarks; of ticks and legends; of axes and headings."""
ONE_COLUMN: Final = 3.4
TWO_COLUMNS: Final = 7.0
"""Widths of figures in inches: of one column of a two-column page, and of both."""
NAME: Final = 1.3
"""Inches that a name of a row, or of a column, may take."""
GREY: Final = "#7F7F7F"
INK: Final = "#222222"
FAINT: Final = "#DDDDDD"
MUTED: Final = "#666666"
"""Of lines and letters; the last for less important letters."""

COLOURS: Final = (
    *("#0055AA", "#CC1100", "#009966", "#DD9944"),
    *("#551155", "#9988EE", "#881133", "#996688"),
)
"""Searched for: far apart with normal sight and with each kind of colour-blindness, every one of another
lightness, and none too light on white."""
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
_EXTRA_MARKERS: Final = ("<", "p", ">", "h", "d")
_SIZES: Final = {"*": 6.5, "P": 5.2, "X": 5.2, "D": 4.0, "d": 5.2, "^": 4.8, "v": 4.8, "<": 4.8, ">": 4.8}
"""Sizes of markers, in points, at which they cover about the same."""
_CROSSES: Final = ("x", "+", "1", "2")
_DASHES: Final[tuple[Dash, ...]] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))

RC: Final[Mapping[Any, Any]] = {
    "font.family": "sans-serif",
    "font.sans-serif": FONTS,
    **dict.fromkeys(
        ("font.size", "axes.titlesize", "legend.fontsize", "xtick.labelsize", "ytick.labelsize"), BODY
    ),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width", "hatch.linewidth"), 0.6),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 2.5),
    "text.parse_math": False,  # names may hold dollars
    "axes.titley": 1.0,  # else every drawing measures all ticks to find it
    "axes.labelsize": LARGE,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "lines.markeredgewidth": 0.9,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "bench",  # ids of an SVG are random without it
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
"""Settings of matplotlib under which figures are drawn and saved."""


class Look(NamedTuple):
    """How a method is drawn."""

    colour: str  # as hexadecimal RGB
    marker: str  # matplotlib's name
    dash: Dash  # line style
    filled: bool = True  # whether the marker is; else it is white inside

    @property
    def points(self) -> dict[str, Any]:
        """Return matplotlib's settings of a line's markers."""
        face = self.colour if self.filled else "white"
        return {
            "marker": self.marker,
            "markersize": _SIZES.get(self.marker, 4.5),
            "markerfacecolor": face,
            "markeredgecolor": self.colour,
        }

    @property
    def line(self) -> dict[str, Any]:
        """Return matplotlib's settings of a line with markers."""
        return {"color": self.colour, "linestyle": self.dash, **self.points}


def look(method: str, labels: Labels) -> Look:
    """Return how a method is drawn in every figure.

    The roster's first 16 differ in marker and filling (without any colour), in colour and marker, and in
    colour and filling. Plug-ins and reference points do not change the look of the roster.
    """
    position, _ = labels.order(method)
    if labels.role(method) == "reference":
        cross, dash = _CROSSES[position % len(_CROSSES)], _DASHES[position % len(_DASHES)]
        return Look(GREY, cross, dash, filled=False)
    if 0 <= position < _ROSTER:
        return look_number(position)
    # A plug-in's position may be any number, and a removed one has none: its name decides. These bytes
    # of the digest happen to give the extra methods of this repository different markers.
    number = int.from_bytes(hashlib.sha256(method.encode()).digest()[2:6], "big")
    return look_number(_ROSTER + number % (len(COLOURS) * len(_EXTRA_MARKERS) * 2))


_ROSTER: Final = 2 * len(COLOURS)


def look_number(index: int) -> Look:
    """Return the look of the element ``index`` of a series, such as a class or a variant."""
    turn, hue = divmod(index, len(COLOURS))
    if index < _ROSTER:
        marker = _MARKERS[(hue + 3 * turn) % len(_MARKERS)]  # methods of one colour have different markers
    else:
        marker = _EXTRA_MARKERS[(index // 2) % len(_EXTRA_MARKERS)]
    return Look(COLOURS[hue], marker, _DASHES[turn % len(_DASHES)], filled=turn % 2 == 0)


def panels(
    columns: int, rows: int = 1, width: float = 3.4, height: float = 2.6, **more: Any
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure and its axes, row by row; sizes of one panel in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows))
    return figure, list(figure.subplots(rows, columns, squeeze=False, **more).flat)


def blank(width: float, height: float) -> Figure:
    """Return an empty figure, sizes in inches, whose axes stay where they are put."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")
    return figure


def tiles(count: int, below: float, height: float = 1.12) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``count`` small axes in rows, ticks labelled on the outer ones alone.

    ``below`` inches stay free at the bottom, for a common legend; ``height`` is that of one with
    its title, in inches.
    """
    # as few empty cells as possible
    columns = count if count < 5 else min((5, 4, 3), key=lambda number: -count % number)
    width = TWO_COLUMNS if columns > 2 else ONE_COLUMN
    rows = -(-count // columns)
    whole = rows * height + below + _HEAD
    figure = blank(width, whole)
    top, bottom = 1 - _HEAD / whole, (below + 0.18) / whole
    edges = {"left": 0.5 / width, "right": 1 - 0.06 / width, "top": top - 0.16 / whole, "bottom": bottom}
    grid = figure.add_gridspec(rows, columns, **edges, wspace=0.1, hspace=0.42)
    axes = [figure.add_subplot(grid[divmod(index, columns)]) for index in range(count)]
    for index, axis in enumerate(axes):
        outer = index % columns == 0, index + columns >= count
        axis.tick_params(labelleft=outer[0], labelbottom=outer[1], left=outer[0], bottom=outer[1])
        axis.grid(visible=False, axis="x")
        axis.locator_params(axis="y", nbins=3)
        axis.patch.set_visible(False)
    return figure, axes


_HEAD: Final = 0.24  # inches at the top of a figure for `warn`


def legend(figure: Figure, entries: Sequence[tuple[str, Look]], columns: int, *, lines: bool = True) -> None:
    """Put a legend below a figure of `panels`, entries row by row in order; ``lines`` or markers alone."""
    from matplotlib.lines import Line2D

    rows = -(-len(entries) // columns)
    indices = [row * columns + column for column in range(columns) for row in range(rows)]
    # matplotlib fills columns; readers go row by row
    ordered = [entries[index] for index in indices if index < len(entries)]
    figure.legend(
        [Line2D([], [], **(way.line if lines else {**way.points, "linestyle": ""})) for _, way in ordered],
        [label for label, _ in ordered],
        loc="outside lower center",
        ncols=columns,
        handlelength=2.4 if lines else 1.0,
        columnspacing=1.2,
        labelspacing=0.35,
        borderpad=0.1,
        borderaxespad=0.4,
    )


def legend_columns(labels: Sequence[str], width: float) -> tuple[list[str], int]:
    """Return labels and the number of columns in which they fit below a figure of ``width`` inches.

    A label has at most a third of the width.
    """
    shown = fitted_apart(labels, width / 3 - _HANDLE)
    return shown, max(1, min(6, len(shown), int((width - 0.1) / (widest(shown) + _HANDLE))))


_HANDLE: Final = 0.46  # inches that a line with its gaps takes in a legend


def warn(figure: Figure, kind: str, profile: str) -> None:
    """Add a warning to the figure if its data are look-alikes or its profile is quick."""
    words = ["LOOK-ALIKE: generated data, not the benchmark"] if kind == "look-alike" else []
    words += ["quick profile: small networks, few epochs"] if profile == "quick" else []
    if words:
        figure.suptitle(" · ".join(words), fontsize=SMALL, color=MUTED, x=0.99, ha="right")


def number_ticks(axis: Any) -> None:
    """Label a logarithmic axis with a few plain numbers; to be called when its limits are set."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

    low, high = axis.get_view_interval()
    if high / low < 4:
        axis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10)))
    else:
        axis.set_major_locator(FixedLocator(_round_numbers(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))
    axis.set_minor_formatter(NullFormatter())


def _round_numbers(low: float, high: float, most: int = 4) -> list[float]:
    """Return at most so many numbers with one digit between two ends, about as far apart as factors go."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits, step in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3)):
        numbers = [digit * 10.0**power for power in exponents if power % step == 0 for digit in digits]
        inside = [number for number in numbers if low <= number <= high]
        if len(inside) <= most:
            break
    return inside


SomeRow = TypeVar("SomeRow", Row, PerQueryRow, ScoreAndCost, Curve)


def one_row_each(rows: Iterable[SomeRow], labels: Labels, *, reference_points: bool = True) -> list[SomeRow]:
    """Return one row per method: as it is usually set, or else the first; in the order of the rows.

    Ablations and rows with other settings have other figures, in which they look like their method.
    Reference points are methods such as chance.
    """
    chosen: dict[str, SomeRow] = {}
    for row in rows:
        if labels.role(row.method) == "reference" and not reference_points:
            continue
        if row.method not in chosen or (row.usual and not chosen[row.method].usual):
            chosen[row.method] = row
    return list(chosen.values())


def short_names(rows: Sequence[SomeRow], labels: Labels) -> list[str]:
    """Return short names for `one_row_each` of the methods: titles, with a star where not as usually set."""
    titles = [labels.title(row.method) for row in rows]
    return [
        (title if titles.count(title) == 1 else f"{title} ({row.method})") + ("" if row.usual else "*")
        for row, title in zip(rows, titles, strict=True)
    ]


def star_note(rows: Sequence[SomeRow]) -> str:
    """Return the sentence for a caption that explains the star of `short_names`; empty without one."""
    starred = any(not row.usual for row in rows)
    return " *: with other settings than usual, or an ablation; see the tables." if starred else ""


def shortened(text: str, letters: int = 24) -> str:
    """Return text in one line of at most ``letters`` characters, an ellipsis in place of the rest."""
    shown = visible(text)
    return shown if len(shown) <= letters else f"{shown[: letters - 1].rstrip()}…"


def apart(texts: Sequence[str], letters: int = 24) -> list[str]:
    """Return texts `shortened`, those numbered that would then be the same."""
    return _numbered([shortened(text, letters) for text in texts])


def fitted(text: str, inches: float, size: float = BODY) -> str:
    """Return text in one line no wider than ``inches``, an ellipsis in place of the rest.

    To be called while a figure is drawn: it measures the font's letters.
    """
    shown = visible(text)
    if width_of(shown, size) <= inches:
        return shown
    for letters in range(min(len(shown), 200) - 1, 0, -1):
        if width_of(tried := shortened(shown, letters), size) <= inches:
            return tried
    return "…"


def fitted_apart(texts: Iterable[str], inches: float, size: float = BODY) -> list[str]:
    """Return texts `fitted`, those numbered that would then be the same."""
    return _numbered([fitted(text, inches, size) for text in texts])


def widest(texts: Iterable[str], size: float = BODY) -> float:
    """Return the width of the widest text, in inches."""
    return max((width_of(text, size) for text in texts), default=0.0)


@lru_cache(maxsize=4096)
def width_of(text: str, size: float = BODY) -> float:
    """Return how wide a text in one line is, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=FONTS[0], size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72


def _numbered(shown: Sequence[str]) -> list[str]:
    return [
        f"{shortened(one, max(2, len(one) - 2))} {shown[: index + 1].count(one)}"
        if shown.count(one) > 1
        else one
        for index, one in enumerate(shown)
    ]
