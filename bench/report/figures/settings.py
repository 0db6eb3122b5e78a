"""Figures of settings: a heat map of two settings, curves of one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from bench.analysis.groups import Data
from bench.analysis.labels import Labels
from bench.analysis.sensitivity import Sensitivity, is_geometric, is_number
from bench.analysis.tables import AVERAGE, Entry, direction_name
from bench.report.cells import setting_text, shown_columns
from bench.report.exhibit import FigureExhibit, data_subject
from bench.report.figures import style
from bench.report.figures.grids import NOTHING, Grid, Shaded, draw_grid
from bench.report.report_data import ReportData
from bench.report.text import data_name, file_stem, seed_range, short_hash, study_stem

_LINES: Final = 3  # points from which a figure is drawn; tables show fewer, too
_APART: Final = 0.13  # distance of two ticks, as a share of the axis, at which their labels do not overlap


class Panel(NamedTuple):
    """The lines of one setting."""

    name: str  # of the setting
    values: list[Any]  # of it
    lines: list[tuple[str, list[Entry]]]  # label, mean and deviation per value; labels as in all panels
    usual: list[int]  # indices of the usual value


def setting_figures(data: ReportData) -> list[FigureExhibit]:
    """Return a heat map per pair of settings, and per method and data a figure of the settings alone."""
    found = []
    curves: dict[tuple[Data, str, str], list[Sensitivity]] = defaultdict(list)
    for one in data.sensitivities:
        known = sum(point.row.entries[AVERAGE].mean is not None for point in one.points)
        if data.is_first(one.protocol) and known >= _LINES:
            if len(one.settings) == 2:
                found.append(_heat_map(one))
            else:
                curves[one.data, one.method, one.title].append(one)
    return found + [_lines(members, data.labels) for members in curves.values()]


def heading(one: Sensitivity) -> str:
    """Return the heading: the method and the settings that vary."""
    return f"{one.title} by {' and '.join(one.settings)}"


def uneven_seeds(one: Sensitivity) -> str:
    """Return a sentence if points have different numbers of seeds; else an empty text."""
    counts = sorted({point.row.entries[AVERAGE].seeds for point in one.points} - {0})
    if len(counts) < 2:
        return ""
    return f"Points rest on {counts[0]} to {counts[-1]} seeds: what differs may be the seeds."


def sensitivity_stem(one: Sensitivity) -> str:
    """Return the name of files about a curve or grid, without an ending; unlike any other's."""
    parts, mark = ("sensitivity", one.method, *one.settings), short_hash(repr((one.title, one.settings)))
    return study_stem(one.data, one.protocol, one.selection, *parts, mark=mark)


def _heat_map(one: Sensitivity) -> FigureExhibit:
    points = {tuple(map(setting_text, point.values)): point for point in one.points}
    rows, columns = ([setting_text(value) for value in one.values(index)] for index in (0, 1))
    means = {key: point.row.entries[AVERAGE].mean for key, point in points.items()}
    known = {key: mean for key, mean in means.items() if mean is not None}
    low, high = min(known.values()), max(known.values())

    def cell(key: tuple[str, str]) -> Shaded:
        usual = key in points and points[key].usual
        if key not in known:
            return NOTHING._replace(framed=usual)
        shade = (known[key] - low) / (high - low) if high > low else 0.0
        printed = f"{known[key]:.3f}"
        return Shaded(printed, shade, bold=printed == f"{high:.3f}", framed=usual)

    first, second = one.settings
    grid = Grid(
        [f"{first}={value}" for value in rows],
        [("", f"{second}={value}") for value in columns],
        [[cell((row, column)) for column in columns] for row in rows],
    )
    return FigureExhibit(
        sensitivity_stem(one),
        f"{heading(one)}: {data_name(one.data)}",
        f"{_about(one)} Average over directions; shaded from the lowest to the highest, which is bold. "
        "Framed: the usual settings. A dash: no result.",
        f"Grid of mAP. {_extremes(known, one.settings)}",
        data_subject(one.data),
        partial(draw_grid, grid),
    )


def _lines(members: Sequence[Sensitivity], labels: Labels) -> FigureExhibit:
    first, extremes = members[0], []
    for one in members:
        means = {tuple(map(setting_text, each.values)): each.row.entries[AVERAGE].mean for each in one.points}
        known = {key: mean for key, mean in means.items() if mean is not None}
        extremes.append(_extremes(known, one.settings))
    return FigureExhibit(
        file_stem("settings", sensitivity_stem(first).removeprefix("sensitivity_")),
        f"{first.title} by {', '.join(one.settings[0] for one in members)}: {data_name(first.data)}",
        f"{_about(first)}{_whiskers(members)} Validation: highest mAP@all on the validation rows "
        "along the epochs. Dotted: the usual value.",
        f"Lines of mAP. {' '.join(extremes)}",
        data_subject(first.data),
        partial(
            _draw_lines, list(map(_panel, members)), style.look(first.method, labels).colour, first.protocol
        ),
    )


def _whiskers(members: Sequence[Sensitivity]) -> str:
    """Return the sentence on the error bars; empty if there are none."""
    rows = [point.row for one in members for point in one.points]
    several = any(entry.deviation is not None for row in rows for entry in row.entries.values())
    return " Error bars: deviation over seeds." if several else ""


def _panel(one: Sensitivity) -> Panel:
    entries = [point.row.entries for point in one.points]
    columns = shown_columns(one.columns)
    lines = [(direction_name(column), [each[column] for each in entries]) for column in columns]
    if any(point.validation for point in one.points):
        reached = [Entry(*point.validation) if point.validation else Entry(None) for point in one.points]
        lines.append(("validation", reached))
    usual = [index for index, point in enumerate(one.points) if point.usual]
    return Panel(one.settings[0], [point.values[0] for point in one.points], lines, usual)


def _draw_lines(shown: Sequence[Panel], colour: str, protocol: str) -> style.Figure:
    across = min(len(shown), 3)
    down = -(-len(shown) // across)
    width = (style.ONE_COLUMN, 4.8, style.TWO_COLUMNS)[across - 1] / across
    figure, axes = style.panels(across, down, width=width, height=(1.9 * down + 0.5) / down, sharey=True)
    found: dict[str, Any] = {}
    for number, axis in enumerate(axes):
        if number >= len(shown):
            axis.set_axis_off()
            continue
        _plot(axis, shown[number], colour)
        if number % across == 0:
            axis.set_ylabel(protocol)
        handles, labels = axis.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    columns = len(found) if across > 1 else 2
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns, columnspacing=1.2)
    return figure


def _plot(axis: style.Axes, panel: Panel, colour: str) -> None:
    at, joined = _positions(axis, panel), all(map(is_number, panel.values))
    for number, (label, values) in enumerate(panel.lines):
        known = [
            (x, value.mean, value.deviation or 0.0)
            for x, value in zip(at, values, strict=True)
            if value.mean is not None
        ]
        x, y, deviations = ([each[part] for each in known] for part in range(3))
        axis.errorbar(x, y, yerr=deviations, label=label, **_style(number, label, colour, joined=joined))
    for index in panel.usual:
        axis.axvline(at[index], color=style.INK, linewidth=1.2, linestyle=":", zorder=1, label="usual value")
    axis.set_xlabel(style.shortened(panel.name))
    axis.margins(x=0.08)
    axis.grid(visible=False, axis="x")


def _positions(axis: style.Axes, panel: Panel) -> list[float]:
    """Scale and label the axis; returns the coordinates of the values."""
    values = panel.values
    if not all(map(is_number, values)):
        names = style.apart([setting_text(value) for value in values], 12)
        axis.set_xticks(range(len(values)), names, rotation=30, ha="right", rotation_mode="anchor")
        return [float(index) for index in range(len(values))]
    numbers = [float(value) for value in values]
    positive = [number for number in numbers if number > 0]
    if is_geometric(numbers):
        axis.set_xscale("log")
    elif min(numbers) == 0 and is_geometric(positive):
        axis.set_xscale("symlog", linthresh=min(positive))
    at = numbers
    if axis.get_xscale() != "linear":
        at = [math.log(number / min(positive)) + 1 if number > 0 else 0.0 for number in numbers]
    ticks, last = numbers[:1], at[0]
    for number, where in zip(numbers[1:], at[1:], strict=True):
        if where - last >= _APART * ((at[-1] - at[0]) or 1.0):
            ticks, last = [*ticks, number], where
    axis.set_xticks(ticks, [f"{number:g}" for number in ticks])
    axis.set_xticks([], minor=True)
    return numbers


def _style(number: int, label: str, colour: str, *, joined: bool) -> dict[str, Any]:
    """Return how a line looks: the average in the method's colour, validation in grey, others beside them."""
    way = style.look_number(number + 1)
    shown = {"average": colour, "validation": style.GREY}.get(label, way.colour)
    dash = {"average": "-", "validation": (0, (4, 1.5))}.get(label, way.dash)
    return {
        "color": shown,
        "linestyle": dash if joined else "",
        "linewidth": 1.6 if label == "average" else 1.0,
        "marker": {"average": "o", "validation": "D"}.get(label, way.marker),
        "markersize": 4,
        "markerfacecolor": shown if label == "average" else "white",
        "markeredgecolor": shown,
        "elinewidth": 0.8,
        "capsize": 2,
    }


def _extremes(numbers: Mapping[tuple[str, ...], float], names: Sequence[str]) -> str:
    if not numbers:
        return "No number."

    def worded(key: tuple[str, ...]) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in zip(names, key, strict=True))
        return f"{numbers[key]:.3f} at {settings}"

    ordered = sorted(numbers, key=lambda key: (numbers[key], key))
    return f"Highest {worded(ordered[-1])}, lowest {worded(ordered[0])}."


def _about(one: Sensitivity) -> str:
    words = f"{one.title} on {data_name(one.data)}. {one.protocol}, selection {one.selection}."
    counts = [point.row.entries[AVERAGE].seeds for point in one.points]
    return f"{words} {uneven_seeds(one) or f'Means over {seed_range(counts)}.'}"
