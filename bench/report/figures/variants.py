"""Figures of variants: bars beside the method itself, and fixed choices of a modality."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from bench.analysis.ablations import Ablation, Component
from bench.analysis.labels import Labels
from bench.analysis.tables import AVERAGE, Entry, Spread, direction_name
from bench.report.cells import changes_text, setting_text, shown_columns
from bench.report.exhibit import FigureExhibit, data_subject
from bench.report.figures import style
from bench.report.report_data import ReportData
from bench.report.text import data_name, short_hash, study_stem
from bench.signed import signed

_FAR: Final = 4.0
"""A difference that many times the next smaller one is not drawn to scale: the others would be too small."""
_LETTERS: Final = 38  # length of a row's name
_PALE: Final = 0.6  # how much lighter variants are than the method itself
_EDGE: Final[dict[str, Any]] = {
    "linewidth": 0.5,
    "error_kw": {"ecolor": style.INK, "elinewidth": 0.8, "capsize": 1.6, "capthick": 0.8},
}
ROW: Final = 0.235
"""Inches of a row."""
AROUND: Final = 0.95
"""Inches of all that is not rows: axes, legend, remark."""


class Bar(NamedTuple):
    """One row of a figure."""

    label: str  # name of the row
    values: list[Entry]  # one per bar or point
    difference: Spread | None  # from the method itself, on average; None for itself or without a shared seed
    itself: bool = False  # whether it is the method itself
    quality: Spread | None = None  # S_k; None where there is none
    chosen: bool = False  # whether the method chose so in most of its fits


def variant_figures(data: ReportData) -> list[FigureExhibit]:
    """Return bars per method with variants, and apart from them those that fix a choice of a modality."""
    first = [one for one in data.ablations if data.is_first(one.protocol)]
    others = [[part for part in one.components if part not in one.choices] for one in first]
    found = [(_components, one, parts) for one, parts in zip(first, others, strict=True)]
    found += [(_choices, one, [*one.choices]) for one in first]
    return [
        figure(one, parts, data.labels)
        for figure, one, parts in found
        if any(part.row.entries[AVERAGE].mean is not None for part in parts)
    ]


def ablation_stem(what: str, ablation: Ablation) -> str:
    """Return the name of files about ``what`` of an ablation, without an ending; unique."""
    mark = "" if ablation.usual else short_hash(ablation.label)
    return study_stem(ablation.data, ablation.protocol, ablation.selection, what, ablation.method, mark=mark)


def _components(ablation: Ablation, parts: Sequence[Component], labels: Labels) -> FigureExhibit:
    shown = shown_columns(ablation.columns)
    drawn = shown[:-1] or shown
    names = []
    for one in parts:
        whole = f"{one.variant} ({changes_text(one.changes)})"
        names.append(whole if len(whole) <= _LETTERS else one.variant)
    itself = [ablation.full.entries[direction] for direction in drawn]
    bars, gaps = [Bar(style.shortened(ablation.label, _LETTERS), itself, None, itself=True)], []
    for one, name in zip(parts, style.apart(names, _LETTERS), strict=True):
        difference = one.differences[AVERAGE].spread if AVERAGE in one.differences else None
        bars.append(Bar(name, [one.row.entries[direction] for direction in drawn], difference))
        gaps += [] if difference is None else [f"{one.variant} {signed(difference.mean, '+.3f')}"]
    what = "directions" if len(drawn) > 1 else f"average over {len(ablation.columns) - 1} directions"
    way, heads = style.look(ablation.method, labels), [direction_name(one) for one in drawn]
    return FigureExhibit(
        ablation_stem("components", ablation),
        f"Components of {ablation.label}: {data_name(ablation.data)}",
        f"{ablation.label} without parts of it, or with others. {_about(ablation)} Left: {what}; lines: the "
        "method itself. Right: variant minus the method itself, average over directions, paired by seed; an "
        f"arrow: beyond the axis.{_whiskers(bars)}",
        f"Bars of mAP of {len(parts)} variants. Difference from the method itself: {', '.join(gaps)}.",
        data_subject(ablation.data),
        partial(_draw_components, bars, heads, way, ablation.protocol),
    )


def _choices(ablation: Ablation, parts: Sequence[Component], labels: Labels) -> FigureExhibit:
    setting, default = ablation.choice
    most = max(ablation.chosen.values(), default=0)
    bars = []
    for one in parts:
        count = ablation.chosen.get(one.modality, 0)
        label = one.modality + (f" (chosen {count}\N{MULTIPLICATION SIGN})" if count else "")
        quality, average = ablation.quality.get(one.modality), one.row.entries[AVERAGE]
        bars.append(Bar(label, [average], None, quality=quality, chosen=0 < count == most))
    # by quality, to show whether mAP follows it
    bars.sort(key=lambda bar: -(bar.quality.mean if bar.quality else -1.0))
    itself = Bar(setting_text(default), [ablation.full.entries[AVERAGE]], None, itself=True)
    chosen = ", ".join(f"{name} in {count}" for name, count in ablation.chosen.items()) or "not recorded"
    scores = [f"{bar.label}: {bar.values[0].mean:.3f}" for bar in bars if bar.values[0].mean is not None]
    return FigureExhibit(
        ablation_stem("choices", ablation),
        f"Choice of a modality by {ablation.label}: {data_name(ablation.data)}",
        f"{ablation.label} with a fixed {setting} instead of the method's choice "
        f"({setting_text(default)}). {_about(ablation)} Left: the quality S_k by which it chooses. Right: "
        f"average over {len(ablation.columns) - 1} directions. Deviations over seeds. Filled: chosen "
        f"by most of its fits ({chosen}).",
        f"mAP by modality, highest quality first: {', '.join(scores)}.",
        data_subject(ablation.data),
        partial(_draw_choices, bars, itself, setting, style.look(ablation.method, labels), ablation.protocol),
    )


def _about(ablation: Ablation) -> str:
    seeds = ablation.full.entries[AVERAGE].seeds
    return (
        f"{data_name(ablation.data)}. {ablation.protocol}, selection {ablation.selection}, {seeds} "
        f"{'seed' if seeds == 1 else 'seeds'} of the method itself."
    )


def _whiskers(bars: Sequence[Bar]) -> str:
    """Return the sentence on the error bars of both panels; empty if there are none."""
    spreads = [value.deviation for bar in bars for value in bar.values]
    spreads += [bar.difference.deviation for bar in bars if bar.difference is not None]
    return " Error bars: deviation over seeds." if any(spread is not None for spread in spreads) else ""


def _draw_components(
    bars: Sequence[Bar], drawn: Sequence[str], way: style.Look, protocol: str
) -> style.Figure:
    from matplotlib.patches import Patch

    height = ROW * len(bars) + AROUND
    figure, axes = style.panels(2, 1, style.TWO_COLUMNS / 2, height, sharey=True, width_ratios=(3, 2))
    left, right = axes
    _plot_bars(left, bars, len(drawn), way)
    values = (value for bar in bars for value in bar.values if value.mean is not None)
    ends = ((value.mean or 0.0) + (value.deviation or 0.0) for value in values)
    left.set(xlabel=protocol, xlim=(0, 1.12 * max(ends, default=1.0)))
    _plot_differences(right, bars, way)
    right.set_xlabel("difference, average")
    _name_rows(left, bars)
    if len(drawn) > 1:
        patches = [
            Patch(**_fill(way, index, 2, itself=False), linewidth=0.5, label=style.shortened(name))
            for index, name in enumerate(drawn)
        ]
        figure.legend(handles=patches, loc="outside lower left", ncols=len(drawn))
    return figure


def _plot_bars(axis: style.Axes, bars: Sequence[Bar], count: int, way: style.Look) -> None:
    thick = 0.78 / count
    words: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": style.SMALL}
    for index, bar in enumerate(bars):
        for number, value in enumerate(bar.values):
            at = index + (number - (count - 1) / 2) * thick
            if value.mean is None:
                axis.text(0, at, " no result", va="center", fontsize=style.SMALL, color=style.MUTED)
                continue
            fill = _fill(way, number, count, itself=bar.itself)
            axis.barh(at, value.mean, thick, xerr=value.deviation, **fill, **_EDGE)
            axis.annotate(f"{value.mean:.3f}", (value.mean + (value.deviation or 0.0), at), (3, 0), **words)
            if bar.itself:
                line = ("-", "--")[number % 2]
                axis.axvline(value.mean, color=style.INK, linewidth=0.7, linestyle=line, zorder=3)


def _plot_differences(axis: style.Axes, bars: Sequence[Bar], way: style.Look) -> None:
    spreads = [(index, bar.difference) for index, bar in enumerate(bars) if bar.difference is not None]
    # The axis goes as far as the largest difference, unless it dwarfs the others.
    ends = sorted(abs(one.mean) + (one.deviation or 0.0) for _, one in spreads)
    while len(ends) > 2 and ends[-1] > _FAR * max(ends[-2], 1e-3):
        ends.pop()
    reach = 1.1 * max([*ends[-1:], 1e-3])
    arrow: dict[str, Any] = {"arrowstyle": "->", "color": style.INK, "linewidth": 0.8}
    axis.axvline(0, color=style.INK, linewidth=0.7)
    for index, (mean, deviation, _) in spreads:
        if abs(mean) <= reach:
            axis.errorbar(mean, index, xerr=deviation, **_dot(way, filled=True))
            continue
        end, side = (reach, "right") if mean > 0 else (-reach, "left")
        words: dict[str, Any] = {"ha": side, "va": "center", "fontsize": style.SMALL}
        text = signed(mean, "+.3f").replace("-", "\N{MINUS SIGN}")
        axis.annotate(text, (end, index), (0.66 * end, index), arrowprops=arrow, **words)
    axis.set_xlim(-1.04 * reach, 1.04 * reach)
    axis.locator_params(axis="x", nbins=4)
    _hide_row_names(axis)


def _fill(way: style.Look, number: int, count: int, *, itself: bool) -> dict[str, Any]:
    """Return how a bar is filled: directions differ in their hatches, and the method itself is darker.

    Where there is only one direction, the hatch tells variants from the method itself.
    """
    from matplotlib.colors import to_rgb

    pale = 0.0 if itself else _PALE
    hatched = number % 2 if count > 1 else not itself
    colour = tuple(part + pale * (1 - part) for part in to_rgb(way.colour))
    hatch, edge = "/////" if hatched else "", "white" if itself and hatched else style.INK
    return {"facecolor": colour, "hatch": hatch, "edgecolor": edge}


def _draw_choices(
    bars: Sequence[Bar], itself: Bar, setting: str, way: style.Look, protocol: str
) -> style.Figure:
    height = ROW * len(bars) + AROUND
    figure, (left, right) = style.panels(2, 1, style.TWO_COLUMNS / 2, height, sharey=True)
    for index, bar in enumerate(bars):
        dot, value = _dot(way, filled=bar.chosen), bar.values[0]
        if bar.quality is not None:
            left.errorbar(bar.quality.mean, index, xerr=bar.quality.deviation, **dot)
        if value.mean is not None:
            right.errorbar(value.mean, index, xerr=value.deviation, **dot)
        else:
            right.text(0.02, index, "no result", transform=right.get_yaxis_transform(), fontsize=style.SMALL)
    mean, deviation = itself.values[0].mean, itself.values[0].deviation
    if mean is not None:
        name = f"the method's choice ({style.shortened(itself.label)})"
        line = right.axvline(mean, color=style.INK, linewidth=0.7, label=name)
        if deviation:
            right.axvspan(mean - deviation, mean + deviation, color=style.FAINT, zorder=0)
        figure.legend(handles=[line], loc="outside lower right")
    left.set(xlabel="quality S_k", ylabel=style.shortened(setting))
    right.set_xlabel(f"{protocol}, average")
    _name_rows(left, bars)
    _hide_row_names(right)
    for axis in (left, right):
        axis.margins(x=0.12)
        axis.grid(visible=False, axis="y")
        axis.locator_params(axis="x", nbins=5)
    return figure


def _name_rows(axis: style.Axes, bars: Sequence[Bar]) -> None:
    """Label the rows, the first on top; the method itself is bold."""
    axis.set_yticks(range(len(bars)), [style.shortened(bar.label, 40) for bar in bars])
    axis.set_ylim(len(bars) - 0.45, -0.55)
    axis.grid(visible=False, axis="y")
    for tick, bar in zip(axis.get_yticklabels(), bars, strict=True):
        tick.set_fontweight("bold" if bar.itself or bar.chosen else "normal")


def _hide_row_names(axis: style.Axes) -> None:
    """Leave the rows' ticks and lines out of a panel whose rows another one names."""
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")


def _dot(way: style.Look, *, filled: bool) -> dict[str, Any]:
    """Return matplotlib's settings of a point with error bars."""
    face = way.colour if filled else "white"
    bars = {"ecolor": style.INK, "elinewidth": 0.8, "capsize": 2, "capthick": 0.8}
    return {**way.points, "linestyle": "", "markerfacecolor": face, **bars}
