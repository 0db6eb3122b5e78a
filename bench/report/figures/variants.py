"""Figures of variants: bars beside the method itself, and fixed choices of a modality."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.analysis.ablations import Ablation, Component
from bench.analysis.labels import Labels
from bench.analysis.tables import AVERAGE, Direction, Row, Spread, direction_name
from bench.report.cells import changes_text, setting_text, shown_columns
from bench.report.exhibit import FigureExhibit, data_subject
from bench.report.figures.style import FAINT, GREY, INK, TWO_COLUMNS, Look, look
from bench.report.figures.text_fitting import SMALL, apart, shortened
from bench.report.report_data import ReportData
from bench.report.text import data_name, short_hash, study_stem

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
        itself: whether it is the method itself.
        quality: S_k; None where there is none.
        chosen: whether the method chose so in most of its fits.
    """

    label: str
    values: tuple[Value, ...]
    difference: Spread | None
    itself: bool = False
    quality: Spread | None = None
    chosen: bool = False


def component_figures(data: ReportData) -> list[FigureExhibit]:
    """Return bars per method with variants; those that fix a choice among modalities have a figure apart."""
    return [
        _components(ablation, others, data.labels)
        for ablation in data.ablations
        if data.is_first(ablation.protocol)
        and _any_known(others := [one for one in ablation.components if one not in ablation.choices])
    ]


def choice_figures(data: ReportData) -> list[FigureExhibit]:
    """Return a figure per method of which variants fix a choice among modalities."""
    return [
        _choices(ablation, data.labels)
        for ablation in data.ablations
        if data.is_first(ablation.protocol) and _any_known(ablation.choices)
    ]


def _any_known(components: Sequence[Component]) -> bool:
    return any(one.row.entries[AVERAGE].mean is not None for one in components)


def ablation_stem(what: str, ablation: Ablation) -> str:
    """Return the name of files that show ``what`` of an ablation, without an ending; unlike any other's."""
    mark = "" if ablation.usual else short_hash(ablation.label)
    return study_stem(
        what,
        ablation.method,
        data=ablation.data,
        protocol=ablation.protocol,
        selection=ablation.selection,
        mark=mark,
    )


def _components(ablation: Ablation, others: Sequence[Component], labels: Labels) -> FigureExhibit:
    shown = shown_columns(ablation.columns)
    drawn = shown[:-1] or shown
    wholes = [f"{one.variant} ({changes_text(one.changes)})" for one in others]
    names = [
        whole if len(whole) <= _LETTERS else one.variant for one, whole in zip(others, wholes, strict=True)
    ]
    differences = [one.differences[AVERAGE].spread if AVERAGE in one.differences else None for one in others]
    bars = [
        Bar(shortened(ablation.label, _LETTERS), _values(ablation.full, drawn), None, itself=True),
        *(
            Bar(name, _values(one.row, drawn), difference)
            for one, name, difference in zip(others, apart(names, _LETTERS), differences, strict=True)
        ),
    ]
    told = [
        f"{one.variant} {difference.mean:+.3f}"
        for one, difference in zip(others, differences, strict=True)
        if difference is not None
    ]
    what = "directions" if len(drawn) > 1 else _averaged(ablation)
    way, heads = look(ablation.method, labels), [direction_name(one) for one in drawn]
    return FigureExhibit(
        ablation_stem("components", ablation),
        f"Components of {ablation.label}: {data_name(ablation.data)}",
        f"{ablation.label} without parts of it, or with others. {_about(ablation)} Left: {what}, with the "
        "deviation over seeds; lines: the method itself. Right: variant minus the method itself, average "
        "over directions, paired by seed.",
        f"Bars of mAP of {len(others)} variants. Difference from the method itself: {', '.join(told)}.",
        data_subject(ablation.data),
        partial(_draw_components, bars, heads, way, ablation.protocol),
    )


def _choices(ablation: Ablation, labels: Labels) -> FigureExhibit:
    setting, own = ablation.choice
    most = max(ablation.chosen.values(), default=0)
    bars = []
    for one in ablation.choices:
        count = ablation.chosen.get(one.modality, 0)
        bars.append(
            Bar(
                one.modality + (f" (chosen {count}\N{MULTIPLICATION SIGN})" if count else ""),
                _values(one.row, (AVERAGE,)),
                None,
                quality=ablation.quality.get(one.modality),
                chosen=0 < count == most,
            )
        )
    # By the quality, so that one sees whether mAP follows it.
    bars.sort(key=lambda bar: -(bar.quality.mean if bar.quality else -1.0))
    itself = Bar(setting_text(own), _values(ablation.full, (AVERAGE,)), None, itself=True)
    chosen = ", ".join(f"{name} in {count}" for name, count in ablation.chosen.items()) or "not noted"
    told = [f"{bar.label}: {bar.values[0][0]:.3f}" for bar in bars if bar.values[0] is not None]
    return FigureExhibit(
        ablation_stem("choices", ablation),
        f"Choice of a modality by {ablation.label}: {data_name(ablation.data)}",
        f"{ablation.label} with one modality's {setting} instead of its own choice "
        f"({setting_text(own)}). {_about(ablation)} Left: the quality S_k that it chooses by. Right: "
        f"{_averaged(ablation)}. Deviations over seeds. Filled: what most of its fits chose ({chosen}).",
        f"mAP by modality, highest quality first: {', '.join(told)}.",
        data_subject(ablation.data),
        partial(_draw_choices, bars, itself, setting, look(ablation.method, labels), ablation.protocol),
    )


def _values(row: Row, drawn: Sequence[Direction]) -> tuple[Value, ...]:
    entries = [row.entries[direction] for direction in drawn]
    return tuple(None if entry.mean is None else (entry.mean, entry.deviation) for entry in entries)


def _averaged(ablation: Ablation) -> str:
    return f"average over {len(ablation.columns) - 1} directions"


def _about(ablation: Ablation) -> str:
    seeds = ablation.full.entries[AVERAGE].seeds
    return (
        f"{data_name(ablation.data)}. {ablation.protocol}, selection {ablation.selection}, {seeds} "
        f"{'seed' if seeds == 1 else 'seeds'} of the method itself."
    )


def _draw_components(bars: Sequence[Bar], drawn: Sequence[str], way: Look, protocol: str) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(TWO_COLUMNS, ROW * len(bars) + AROUND))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _plot_bars(left, bars, len(drawn), way)
    ends = (value[0] + (value[1] or 0.0) for bar in bars for value in bar.values if value)
    left.set(xlabel=protocol, xlim=(0, 1.12 * max(ends, default=1.0)))
    _plot_differences(right, bars, way)
    right.set_xlabel("difference, average")
    _name_rows(left, bars)
    if len(drawn) > 1:
        patches = [
            Patch(**_fill(way, place, 2, itself=False), linewidth=0.5, label=shortened(name))
            for place, name in enumerate(drawn)
        ]
        figure.legend(handles=patches, loc="outside lower left", ncols=len(drawn))
    return figure


def _plot_bars(axis: Axes, bars: Sequence[Bar], count: int, way: Look) -> None:
    thick = 0.78 / count
    words: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": SMALL}
    for place, bar in enumerate(bars):
        for number, value in enumerate(bar.values):
            at = place + (number - (count - 1) / 2) * thick
            if value is None:
                axis.text(0, at, " no result", va="center", fontsize=SMALL, color=GREY)
                continue
            fill = _fill(way, number, count, itself=bar.itself)
            axis.barh(at, value[0], thick, xerr=value[1], **fill, **_EDGE)
            axis.annotate(f"{value[0]:.3f}", (value[0] + (value[1] or 0.0), at), (3, 0), **words)
            if bar.itself:
                axis.axvline(value[0], color=INK, linewidth=0.7, linestyle=("-", "--")[number % 2], zorder=3)


def _plot_differences(axis: Axes, bars: Sequence[Bar], way: Look) -> None:
    spreads = [(place, bar.difference) for place, bar in enumerate(bars) if bar.difference is not None]
    # The axis goes as far as the largest difference, unless it dwarfs the others.
    ends = sorted(abs(one.mean) + (one.deviation or 0.0) for _, one in spreads)
    while len(ends) > 2 and ends[-1] > _FAR * max(ends[-2], 1e-3):
        ends.pop()
    reach = 1.1 * max([*ends[-1:], 1e-3])
    arrow: dict[str, Any] = {"arrowstyle": "->", "color": INK, "linewidth": 0.8}
    axis.axvline(0, color=INK, linewidth=0.7)
    for place, (mean, deviation, _) in spreads:
        if abs(mean) <= reach:
            axis.errorbar(mean, place, xerr=deviation, **_dot(way, filled=True))
            continue
        end, side = (reach, "right") if mean > 0 else (-reach, "left")
        words: dict[str, Any] = {"ha": side, "va": "center", "fontsize": SMALL}
        axis.annotate(f"{mean:+.3f}", (end, place), (0.66 * end, place), arrowprops=arrow, **words)
    axis.set_xlim(-1.04 * reach, 1.04 * reach)
    axis.locator_params(axis="x", nbins=4)
    _leave_rows_bare(axis)


def _fill(way: Look, number: int, count: int, *, itself: bool) -> dict[str, Any]:
    """Return how a bar is filled: directions differ in their hatches, and the method itself is darker.

    Args:
        way: look of the method.
        number: place of the direction.
        count: of directions; where there is only one, the hatch tells variants from the method itself.
        itself: whether it is the method itself.
    """
    from matplotlib.colors import to_rgb

    pale = 0.0 if itself else _PALE
    hatched = number % 2 if count > 1 else not itself
    colour = tuple(part + pale * (1 - part) for part in to_rgb(way.colour))
    if itself and hatched:
        return {"facecolor": colour, "hatch": _HATCHES[1], "edgecolor": "white"}
    return {"facecolor": colour, "hatch": _HATCHES[int(hatched)], "edgecolor": INK}


def _draw_choices(bars: Sequence[Bar], itself: Bar, setting: str, way: Look, protocol: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(TWO_COLUMNS, ROW * len(bars) + AROUND))
    left, right = figure.subplots(1, 2, sharey=True)
    for place, bar in enumerate(bars):
        if bar.quality is not None:
            left.errorbar(bar.quality.mean, place, xerr=bar.quality.deviation, **_dot(way, filled=bar.chosen))
        if bar.values[0] is not None:
            mean, deviation = bar.values[0]
            right.errorbar(mean, place, xerr=deviation, **_dot(way, filled=bar.chosen))
        else:
            right.text(0.02, place, "no result", transform=right.get_yaxis_transform(), fontsize=SMALL)
    if itself.values[0] is not None:
        mean, deviation = itself.values[0]
        line = right.axvline(
            mean, color=INK, linewidth=0.7, label=f"its own choice ({shortened(itself.label)})"
        )
        if deviation:
            right.axvspan(mean - deviation, mean + deviation, color=FAINT, zorder=0)
        figure.legend(handles=[line], loc="outside lower right")
    left.set(xlabel="quality S_k", ylabel=shortened(setting))
    right.set_xlabel(f"{protocol}, average")
    _name_rows(left, bars)
    _leave_rows_bare(right)
    for axis in (left, right):
        axis.margins(x=0.12)
        axis.grid(visible=False, axis="y")
        axis.locator_params(axis="x", nbins=5)
    return figure


def _name_rows(axis: Axes, bars: Sequence[Bar]) -> None:
    """Label the rows, the first on top; the method itself stands out."""
    axis.set_yticks(range(len(bars)), [shortened(bar.label, 40) for bar in bars])
    axis.set_ylim(len(bars) - 0.45, -0.55)
    axis.grid(visible=False, axis="y")
    for tick, bar in zip(axis.get_yticklabels(), bars, strict=True):
        tick.set_fontweight("bold" if bar.itself or bar.chosen else "normal")


def _leave_rows_bare(axis: Axes) -> None:
    """Leave the rows' ticks and lines out of a panel whose rows another one names."""
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")


def _dot(way: Look, *, filled: bool) -> dict[str, Any]:
    """Return matplotlib's settings of a point with error bars."""
    face = way.colour if filled else "white"
    bars = {"ecolor": INK, "elinewidth": 0.8, "capsize": 2, "capthick": 0.8}
    return {**way.points, "linestyle": "", "markerfacecolor": face, **bars}
