"""Rows of a figure about a method's variants: their names, numbers and marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.analysis.ablations import Ablation
from bench.analysis.tables import AVERAGE, Direction, Entry, Row, Spread
from bench.report.figures.lettering import shortened
from bench.report.figures.style import INK, Look
from bench.report.text import data_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SECTION: Final = "Ablations and settings"
ROW: Final = 0.235
"""Inches of a row."""
AROUND: Final = 0.95
"""Inches of all that is not rows: axes, legend, remark."""

Value = tuple[float, float | None] | None
"""Mean and deviation over seeds; None without a number."""


class Bar(NamedTuple):
    """One row of a figure.

    Attributes:
        label: what stands beside it.
        values: one per bar or point.
        difference: from the method itself, on average; None for itself or without a shared seed.
        own: whether it is the method itself.
        quality: S_k; None where there is none.
        chosen: whether the method chose so in most of its fits.
    """

    label: str
    values: tuple[Value, ...]
    difference: Spread | None
    own: bool = False
    quality: Spread | None = None
    chosen: bool = False


def own_bar(ablation: Ablation, label: str, drawn: Sequence[Direction]) -> Bar:
    """Return the row of the method itself."""
    return Bar(label, values_of(ablation.full, drawn), None, own=True)


def values_of(row: Row, drawn: Sequence[Direction]) -> tuple[Value, ...]:
    """Return a table's row as what bars show."""
    return tuple(value_of(row.entries[direction]) for direction in drawn)


def value_of(entry: Entry) -> Value:
    """Return the number of a table as a bar or a point shows it."""
    return None if entry.mean is None else (entry.mean, entry.deviation)


def arrow(direction: Direction) -> str:
    """Return a direction's name."""
    return "average" if direction == AVERAGE else f"{direction[0]}→{direction[1]}"


def averaged(ablation: Ablation) -> str:
    """Return what averages are over."""
    return f"average over {len(ablation.columns) - 1} directions"


def about(ablation: Ablation) -> str:
    """Return the sentences of a caption on data, rules and seeds."""
    seeds = ablation.full.entries[AVERAGE].seeds
    return (
        f"{data_name(ablation.data)}. {ablation.protocol}, selection {ablation.selection}, {seeds} "
        f"{'seed' if seeds == 1 else 'seeds'} of the method itself."
    )


def name_rows(axis: Axes, bars: Sequence[Bar]) -> None:
    """Label the rows, the first on top; the method itself stands out."""
    axis.set_yticks(range(len(bars)), [shortened(bar.label, 40) for bar in bars])
    axis.set_ylim(len(bars) - 0.45, -0.55)
    axis.grid(visible=False, axis="y")
    for tick, bar in zip(axis.get_yticklabels(), bars, strict=True):
        tick.set_fontweight("bold" if bar.own or bar.chosen else "normal")


def bare(axis: Axes) -> None:
    """Leave the rows' ticks and lines out of a panel whose rows another one names."""
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")


def dot(way: Look, *, filled: bool) -> dict[str, Any]:
    """Return matplotlib's settings of a point with error bars."""
    return {
        **way.points,
        "linestyle": "",
        "markerfacecolor": way.colour if filled else "white",
        "ecolor": INK,
        "elinewidth": 0.8,
        "capsize": 2,
        "capthick": 0.8,
    }
