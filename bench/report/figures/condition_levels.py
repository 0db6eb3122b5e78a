"""Figures of conditions: a grid of drops per dataset, and mAP against the level per method."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from bench.analysis.condition_levels import Drop, LevelSeries, MethodKey
from bench.analysis.groups import Data
from bench.analysis.statistics import half_width
from bench.analysis.tables import Entry, Spread
from bench.report.exhibit import FigureExhibit, data_figure
from bench.report.figures import style
from bench.report.figures.grids import NOTHING, Grid, Shaded, draw_grid
from bench.report.report_data import ReportData
from bench.report.text import CONFIDENCE, file_stem, measure_name, seed_range

_FULL: Final = 60.0  # drop, in per cent of the clean mAP, that has the darkest shade

_REFERENCE: Final[dict[str, Any]] = {"color": style.INK, "linewidth": 0.8}
_OTHERS: Final[dict[str, Any]] = {"color": style.GREY, "linewidth": 0.4, "alpha": 0.45}

Drops = list[tuple[LevelSeries, list[Drop]]]


def drops_by_data(data: ReportData) -> dict[Data, Drops]:
    """Return conditions with the drops of methods, by data that have clean cells."""
    found: dict[Data, Drops] = defaultdict(list)
    for series, drops in data.drops:
        if series.clean is not None:
            found[series.data].append((series, drops))
    return found


def columns_of(found: Drops) -> list[tuple[LevelSeries, str, dict[MethodKey, Drop]]]:
    """Return every level of every condition, with the methods' drops under that condition."""
    return [
        (series, level, {one.key: one for one in drops}) for series, drops in found for level in series.levels
    ]


def methods_of(found: Drops) -> dict[MethodKey, Drop]:
    """Return the methods of any condition, each with one of its drops, in the tables' order."""
    clean = found[0][0].clean
    order = [row.method for row in clean.rows] if clean is not None else []
    methods = {one.key: one for _, drops in found for one in drops}
    ranks = {name: rank for rank, name in enumerate(dict.fromkeys(order))}
    return {key: methods[key] for key in sorted(methods, key=lambda key: ranks.get(key.method, len(ranks)))}


def with_half_width(spread: Spread | None) -> Spread | None:
    """Return a mean with half its t interval over seeds in place of the deviation."""
    if spread is None or spread.deviation is None:
        return spread
    return spread._replace(deviation=half_width(spread.deviation, spread.seeds))


def drop_grid(about: Data, found: Drops, data: ReportData) -> FigureExhibit:
    """Return a grid of methods by conditions for one data."""
    methods = methods_of(found)
    columns, cells = columns_of(found), []
    for key, one in methods.items():
        percents = [each[key].percents.get(level) if key in each else None for _, level, each in columns]
        cells.append([_lost(percent, reference=one.row.role == "reference") for percent in percents])
    heads = [
        (series.name, level) if len(series.levels) > 1 else ("", series.levels[level].data.condition)
        for series, level, _ in columns
    ]
    grid = Grid([data.labels.title(key.method) for key in methods], heads, cells)
    first = found[0][0]
    table = next(iter(first.levels.values()))
    return data_figure(
        "drops",
        about,
        "What each method loses",
        f"{first.protocol}, average over directions, selection {table.selection}: drop from clean data in "
        f"per cent of the clean {measure_name(first.protocol)}, paired by seed, mean over "
        f"seeds. Red: a drop, darkest from {_FULL:.0f} per cent; blue: a gain. A dash: skipped, not run, or "
        "other test rows than those of clean data. The table of drops has reasons and intervals.",
        f"Grid of drops of {len(methods)} methods under {len(columns)} levels of conditions.",
        partial(draw_grid, grid),
    )


def _lost(percent: float | None, *, reference: bool) -> Shaded:
    if percent is None:
        return NOTHING
    text = f"{percent:.0f}".replace("-", "\N{MINUS SIGN}") if abs(percent) >= 0.5 else "0"
    return Shaded(text, 0.0 if reference else max(-1.0, min(1.0, -percent / _FULL)), pale=reference)


def level_figure(series: LevelSeries, drops: Sequence[Drop], data: ReportData) -> FigureExhibit:
    """Return a figure of a condition with several levels on one data, beside clean data."""
    levels = list(series.tables)
    drops = [one for one in drops if any(one.entries[level].seeds for level in series.levels)]
    keys = [one.key.method for one in drops]
    named = [(one.row.label, style.look(one.key.method, data.labels)) for one in drops]
    lines = [[*one.entries.values()] for one in drops]
    seeds = seed_range(entry.seeds for line in lines for entry in line)
    ranked = sorted((one.mean.mean, one.row.label) for one in drops if one.mean is not None)
    lower = next(iter(series.levels.values())).lower_is_better
    mean, label = ranked[0 if lower else -1] if ranked else (0.0, "")
    word = "lowest" if lower else "highest"
    best = f"{word} mean over levels: {label} ({mean:.3f})" if ranked else "no full series"
    reference = keys.index(data.labels.reference) if data.labels.reference in keys else None
    against = "" if reference is None else f"; dark line: {drops[reference].row.label}"
    return data_figure(
        file_stem("levels", series.name),
        series.data,
        f"{measure_name(series.protocol)} under {series.name}",
        f"{series.protocol}, average over directions and {seeds}, by nominal level of {series.name}; "
        f"selection {next(iter(series.levels.values())).selection}. Coloured: the method"
        f"{_bands(lines)}; grey: all other methods{against}.",
        f"Curves of {len(drops)} methods over {', '.join(levels)}; {best}.",
        partial(_draw, levels, lines, named, (series.name, measure_name(series.protocol)), reference),
    )


def _limits(lines: Sequence[Sequence[Entry]]) -> tuple[float, float]:
    """Return the ends of the vertical axis: means decide, as intervals of few seeds may be very wide."""
    known = [entry.mean for line in lines for entry in line if entry.mean is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    edge = max(0.06 * (high - low), 0.01)
    return low - edge, high + edge


def _bands(lines: Sequence[Sequence[Entry]]) -> str:
    """Return the words of the caption on the intervals: none with one seed, and whether the axis cuts any."""
    low, high = _limits(lines)
    ends = [
        (mean - half, mean + half)
        for line in lines
        for mean, half in zip(*_points(line)[1:], strict=True)
        if half > 0
    ]
    if not ends:
        return ""
    cut = any(below < low or above > high for below, above in ends)
    return f", with its {CONFIDENCE} t interval over seeds where there are two{_CUT if cut else ''}"


_CUT: Final = " (some are wider than the axis and are cut off)"


def _draw(
    levels: list[str],
    lines: list[list[Entry]],
    named: list[tuple[str, style.Look]],
    axes_names: tuple[str, str],
    reference: int | None,
) -> style.Figure:
    figure, axes = style.tiles(len(lines), below=0.25)
    room = axes[0].get_position().width * figure.get_figwidth()
    low, high = _limits(lines)
    for index, (axis, (name, way)) in enumerate(zip(axes, named, strict=True)):
        for other, line in enumerate(lines):
            if other != index:
                axis.plot(*_points(line)[:2], **(_REFERENCE if other == reference else _OTHERS))
        x, y, half = _points(lines[index])
        below, above = (
            [mean + sign * width for mean, width in zip(y, half, strict=True)] for sign in (-1, 1)
        )
        axis.fill_between(x, below, above, color=way.colour, alpha=0.2, linewidth=0)
        axis.plot(x, y, **way.line, linewidth=1.2)
        axis.set(ylim=(low, high), xlim=(-0.2, len(levels) - 0.8))
        axis.set_xticks(range(len(levels)), [style.fitted(level, 0.4) for level in levels])
        axis.set_title(style.fitted(name, room), pad=3)
    condition, measure = axes_names
    figure.supxlabel(f"level of {condition}", fontsize=style.LARGE, y=0.04 / figure.get_figheight())
    figure.supylabel(measure, fontsize=style.LARGE, x=0.06 / figure.get_figwidth())
    return figure


def _points(line: Sequence[Entry]) -> tuple[list[int], list[float], list[float]]:
    """Return indices of the levels that have a number, their means, and half widths of the intervals."""
    found = []
    for index, entry in enumerate(line):
        if entry.mean is not None:
            several = entry.deviation is not None and entry.seeds > 1
            half = half_width(entry.deviation or 0.0, entry.seeds) if several else 0.0
            found.append((index, entry.mean, half))
    return [one[0] for one in found], [one[1] for one in found], [one[2] for one in found]
