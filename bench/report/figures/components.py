"""What the parts of a method are worth: bars of its variants beside the method itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bench.analysis.ablations import Ablation, Component
from bench.analysis.tables import AVERAGE, Direction, Spread
from bench.report.ablations.components import changes_in_words, shown_columns, stem
from bench.report.figures.lettering import SMALL, apart, shortened
from bench.report.figures.picture import Picture
from bench.report.figures.rows import (
    AROUND,
    ROW,
    SECTION,
    Bar,
    about,
    arrow,
    averaged,
    bare,
    dot,
    name_rows,
    own_bar,
    values_of,
)
from bench.report.figures.style import GREY, INK, TWO_COLUMNS, Look, look
from bench.report.material import Material
from bench.report.text import data_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FAR: Final = 4.0
"""A difference that many times the next smaller one is not drawn to scale: the others could not be told."""
_LETTERS: Final = 38
"""Length of a row's name."""
_PALE: Final = 0.6
"""How much lighter variants are than the method itself."""
_HATCHES: Final = ("", "/////")


_EDGE: Final[dict[str, Any]] = {
    "linewidth": 0.5,
    "error_kw": {"ecolor": INK, "elinewidth": 0.8, "capsize": 1.6, "capthick": 0.8},
}


def pictures(material: Material) -> list[Picture]:
    """Return bars per method with variants; those that fix a choice among modalities have a figure apart."""
    found = []
    for ablation in material.plain_ablations:
        others = [one for one in ablation.components if one not in ablation.choices]
        known = any(one.row.entries[AVERAGE].mean is not None for one in others)
        if known and ablation.protocol == material.protocols[0]:
            way = look(ablation.method, material.labels)
            found.append(_picture(ablation, others, way, stem("components", ablation)))
    return found


def _picture(ablation: Ablation, others: Sequence[Component], way: Look, name: str) -> Picture:
    shown = shown_columns(ablation)
    drawn = shown[:-1] or shown
    bars = [own_bar(ablation, shortened(ablation.label, _LETTERS), drawn)]
    labels = apart([_label(one) for one in others], _LETTERS)
    bars += [_bar(one, label, drawn) for one, label in zip(others, labels, strict=True)]
    told = [
        f"{one.variant} {one.differences[AVERAGE].spread.mean:+.3f}"
        for one in others
        if AVERAGE in one.differences
    ]
    return Picture(
        stem=name,
        section=SECTION,
        title=f"Components of {ablation.label}: {data_name(ablation.data)}",
        caption=(
            f"{ablation.label} without parts of it, or with others. {about(ablation)} Left: "
            f"{'directions' if len(drawn) > 1 else averaged(ablation)}, with the deviation over seeds; "
            "lines: the method itself. Right: variant minus the method itself, average over directions, "
            "paired by seed."
        ),
        alt=f"Bars of mAP of {len(others)} variants. Difference from the method itself: {', '.join(told)}.",
        data=ablation.data,
        draw=partial(_draw, bars, tuple(map(arrow, drawn)), way, ablation.protocol),
    )


def _draw(bars: Sequence[Bar], drawn: Sequence[str], way: Look, protocol: str) -> Figure:
    from matplotlib.figure import Figure

    height = ROW * len(bars) + AROUND
    figure = Figure(figsize=(TWO_COLUMNS, height))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _plot_bars(left, bars, len(drawn), way)
    longest = max(
        (value[0] + (value[1] or 0.0) for bar in bars for value in bar.values if value), default=1.0
    )
    left.set(xlabel=protocol, xlim=(0, 1.12 * longest))
    _plot_differences(right, bars, way)
    right.set_xlabel("difference, average")
    name_rows(left, bars)
    if len(drawn) > 1:
        figure.legend(
            handles=[_patch(way, place, name) for place, name in enumerate(drawn)],
            loc="outside lower left",
            ncols=len(drawn),
        )
    return figure


def _plot_bars(axis: Axes, bars: Sequence[Bar], count: int, way: Look) -> None:
    thick = 0.78 / count
    for place, bar in enumerate(bars):
        for number, value in enumerate(bar.values):
            at = place + (number - (count - 1) / 2) * thick
            if value is None:
                axis.text(0, at, " no result", va="center", fontsize=SMALL, color=GREY)
                continue
            fill = _fill(way, number, count, own=bar.own)
            axis.barh(at, value[0], thick, xerr=value[1], **fill, **_EDGE)
            end = value[0] + (value[1] or 0.0)
            axis.annotate(
                f"{value[0]:.3f}", (end, at), (3, 0), textcoords="offset points", va="center", fontsize=SMALL
            )
            if bar.own:
                axis.axvline(value[0], color=INK, linewidth=0.7, linestyle=("-", "--")[number % 2], zorder=3)


def _plot_differences(axis: Axes, bars: Sequence[Bar], way: Look) -> None:
    spreads = [bar.difference for bar in bars if bar.difference is not None]
    reach = _reach(spreads)
    axis.axvline(0, color=INK, linewidth=0.7)
    for place, bar in enumerate(bars):
        if bar.difference is None:
            continue
        mean, deviation, _ = bar.difference
        if abs(mean) > reach:
            side = -1 if mean < 0 else 1
            axis.annotate(
                f"{mean:+.3f}",
                (side * reach, place),
                (side * 0.66 * reach, place),
                arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 0.8},
                ha="right" if side > 0 else "left",
                va="center",
                fontsize=SMALL,
            )
            continue
        axis.errorbar(mean, place, xerr=deviation, **dot(way, filled=True))
    axis.set_xlim(-1.04 * reach, 1.04 * reach)
    axis.locator_params(axis="x", nbins=4)
    bare(axis)


def _reach(spreads: Sequence[Spread]) -> float:
    """Return how far the axis of differences goes: as far as the largest, unless it dwarfs the others."""
    ends = sorted(abs(one.mean) + (one.deviation or 0.0) for one in spreads)
    while len(ends) > 2 and ends[-1] > _FAR * max(ends[-2], 1e-3):
        ends.pop()
    return 1.1 * max([*ends[-1:], 1e-3])


def _fill(way: Look, number: int, count: int, *, own: bool) -> dict[str, Any]:
    """Return how a bar is filled: directions differ in their hatches, and the method itself is darker.

    Args:
        way: look of the method.
        number: place of the direction.
        count: of directions; where there is only one, the hatch tells variants from the method itself.
        own: whether it is the method itself.
    """
    from matplotlib.colors import to_rgb

    pale = 0.0 if own else _PALE
    hatched = number % 2 if count > 1 else not own
    colour = tuple(part + pale * (1 - part) for part in to_rgb(way.colour))
    if own and hatched:
        return {"facecolor": colour, "hatch": _HATCHES[1], "edgecolor": "white"}
    return {"facecolor": colour, "hatch": _HATCHES[int(hatched)], "edgecolor": INK}


def _patch(way: Look, number: int, name: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(**_fill(way, number, 2, own=False), linewidth=0.5, label=shortened(name))


def _label(component: Component) -> str:
    """Return a variant's name, with what it changes where there is room."""
    whole = f"{component.variant} ({changes_in_words(component.changes)})"
    return whole if len(whole) <= _LETTERS else component.variant


def _bar(component: Component, label: str, drawn: Sequence[Direction]) -> Bar:
    difference = component.differences.get(AVERAGE)
    return Bar(label, values_of(component.row, drawn), None if difference is None else difference.spread)
