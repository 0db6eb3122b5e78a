"""How figures look, and which rows they show: one look per method, readable in black and white."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from bench.analysis.labels import Labels
from bench.report.figures.text_fitting import BODY, FONTS, LARGE, SMALL, fitted_apart, widest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Dash = str | tuple[float, tuple[float, ...]]

ONE_COLUMN: Final = 3.4
TWO_COLUMNS: Final = 7.0
"""Widths of figures in inches: of one column of a two-column page, and of both."""
NAME: Final = 1.3
"""Inches that a name of a row, or of a column, may take."""
GREY: Final = "#7F7F7F"
INK: Final = "#222222"
FAINT: Final = "#DDDDDD"
MUTED: Final = "#666666"
"""Of lines and letters; the last for letters that stand back."""

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
_HATCHES: Final = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "----", "oooo")

RC: Final[Mapping[Any, Any]] = {
    "font.family": "sans-serif",
    "font.sans-serif": FONTS,
    "font.size": BODY,
    "text.parse_math": False,  # names may hold dollars
    "text.color": INK,
    "axes.titlesize": BODY,
    "axes.titley": 1.0,  # else every drawing measures all ticks to find it
    "axes.labelsize": LARGE,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "legend.fontsize": BODY,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "lines.markeredgewidth": 0.9,
    "xtick.labelsize": BODY,
    "ytick.labelsize": BODY,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
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
        filled: whether the marker is; else it is white inside.
    """

    colour: str
    marker: str
    dash: Dash
    hatch: str
    filled: bool = True

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
    colour and filling. Methods of a user's own, and reference points, do not change the look of the roster.
    """
    position, _ = labels.order(method)
    if labels.role(method) == "reference":
        return Look(
            GREY, _CROSSES[position % len(_CROSSES)], _DASHES[position % len(_DASHES)], "", filled=False
        )
    if 0 <= position < _ROSTER:
        return look_number(position)
    # A plug-in's position may be any number, and one that is gone has none: its name decides. These bytes
    # of the digest happen to give the methods that come beside the roster markers of their own.
    number = int.from_bytes(hashlib.sha256(method.encode()).digest()[2:6], "big")
    return look_number(_ROSTER + number % (len(COLOURS) * len(_EXTRA_MARKERS) * 2))


_ROSTER: Final = 2 * len(COLOURS)


def look_number(place: int) -> Look:
    """Return the look of what stands at a place of a series, such as a class or a variant."""
    turn, hue = divmod(place, len(COLOURS))
    turned = hue + 3 * turn  # so that what shares a colour does not share the marker
    if place < _ROSTER:
        marker = _MARKERS[turned % len(_MARKERS)]
    else:
        marker = _EXTRA_MARKERS[(place // 2) % len(_EXTRA_MARKERS)]
    return Look(
        COLOURS[hue],
        marker,
        _DASHES[turn % len(_DASHES)],
        _HATCHES[turned % len(_HATCHES)],
        filled=turn % 2 == 0,
    )


def panels(
    columns: int, rows: int = 1, width: float = 3.4, height: float = 2.6, *, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure and its axes, row by row; sizes of one panel in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows))
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    return figure, list(axes.flat)


def blank(width: float, height: float) -> Figure:
    """Return an empty figure, sizes in inches, whose axes stay where they are put."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")
    return figure


def tiles(count: int, below: float, height: float = 1.12) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``count`` small axes in rows, ticks labelled on the outer ones alone.

    Args:
        count: how many.
        below: inches to keep free at the bottom, for what is said of all of them.
        height: of one with its title, in inches.
    """
    # As few places as possible stay empty.
    columns = count if count < 5 else min((5, 4, 3), key=lambda number: -count % number)
    width = TWO_COLUMNS if columns > 2 else ONE_COLUMN
    rows = -(-count // columns)
    whole = rows * height + below + _HEAD
    figure = blank(width, whole)
    top, bottom = 1 - _HEAD / whole, (below + 0.18) / whole
    edges = {"left": 0.5 / width, "right": 1 - 0.06 / width, "top": top - 0.16 / whole, "bottom": bottom}
    grid = figure.add_gridspec(rows, columns, **edges, wspace=0.1, hspace=0.42)
    axes = [figure.add_subplot(grid[divmod(place, columns)]) for place in range(count)]
    for place, axis in enumerate(axes):
        outer = place % columns == 0, place + columns >= count
        axis.tick_params(labelleft=outer[0], labelbottom=outer[1], left=outer[0], bottom=outer[1])
        axis.grid(visible=False, axis="x")
        axis.locator_params(axis="y", nbins=3)
        axis.patch.set_visible(False)
    return figure, axes


_HEAD: Final = 0.24
"""Inches at the top of a figure for `warn`."""


def legend(
    figure: Figure, entries: Sequence[tuple[str, Look]], columns: int = 1, *, lines: bool = True
) -> None:
    """Put a legend outside: in one column to the right, in several below; entries row by row in order.

    Args:
        figure: of `panels`.
        entries: label and look of each.
        columns: how many.
        lines: whether to show the methods' lines, or markers alone.
    """
    from matplotlib.lines import Line2D

    rows = -(-len(entries) // columns)
    places = [row * columns + column for column in range(columns) for row in range(rows)]
    # matplotlib fills columns; people read rows
    ordered = [entries[place] for place in places if place < len(entries)]
    figure.legend(
        [Line2D([], [], **(way.line if lines else {**way.points, "linestyle": ""})) for _, way in ordered],
        [label for label, _ in ordered],
        loc="outside right upper" if columns == 1 else "outside lower center",
        ncols=columns,
        handlelength=2.4 if lines else 1.0,
        columnspacing=1.2,
        labelspacing=0.35,
        borderpad=0.1,
        borderaxespad=0.4,
    )


def legend_columns(labels: Sequence[str], width: float) -> tuple[list[str], int]:
    """Return labels and in how many columns they fit below a figure ``width`` inches wide, lines shown.

    A label has at most a third of the width.
    """
    shown = fitted_apart(labels, width / 3 - _HANDLE)
    return shown, max(1, min(6, len(shown), int((width - 0.1) / (widest(shown) + _HANDLE))))


_HANDLE: Final = 0.46
"""Inches that a line with its gaps takes in a legend."""


def warn(figure: Figure, kind: str, profile: str) -> None:
    """Name in the figure itself what its numbers are not, unless they are those of a paper."""
    words = [
        *(["LOOK-ALIKE: generated data, not the benchmark"] if kind == "look-alike" else []),
        *(["quick profile: small networks, few epochs"] if profile == "quick" else []),
    ]
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


class MethodRow(Protocol):
    """A row of a method, of a table or of something computed from it."""

    @property
    def method(self) -> str:
        """Return the registry name."""

    @property
    def label(self) -> str:
        """Return the method as the tables print it."""

    @property
    def usual(self) -> bool:
        """Return whether it is the method itself with its usual settings, and the last such row."""


SomeRow = TypeVar("SomeRow", bound=MethodRow)


def one_row_each(rows: Iterable[SomeRow], labels: Labels, *, reference_points: bool = True) -> list[SomeRow]:
    """Return one row per method: as it is usually set, or else the first; in the order of the rows.

    Ablations and rows with other settings have figures of their own, and look the same as their method.

    Args:
        rows: in the roster's order.
        labels: titles and roles.
        reference_points: whether to keep methods of the role ``reference``, such as chance.
    """
    chosen: dict[str, SomeRow] = {}
    for row in rows:
        if labels.role(row.method) == "reference" and not reference_points:
            continue
        if row.method not in chosen or (row.usual and not chosen[row.method].usual):
            chosen[row.method] = row
    return list(chosen.values())


def short_names(rows: Sequence[MethodRow], labels: Labels) -> list[str]:
    """Return short names for `one_row_each` of the methods: titles, with a star where not as usually set."""
    titles = Counter(labels.title(row.method) for row in rows)
    names = []
    for row in rows:
        title = labels.title(row.method)
        name = title if titles[title] == 1 else f"{title} ({row.method})"
        names.append(name if row.usual else f"{name}*")
    return names


def star_note(rows: Sequence[MethodRow]) -> str:
    """Return the sentence for a caption that explains the star of `short_names`; empty without one."""
    starred = any(not row.usual for row in rows)
    return " *: with other settings than usual, or an ablation; see the tables." if starred else ""
