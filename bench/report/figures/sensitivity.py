"""How much a method depends on its settings: a heat map of two of them, lines of each alone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.analysis.groups import Data
from bench.analysis.sensitivity import Sensitivity, is_geometric, is_number
from bench.analysis.tables import AVERAGE, Spread
from bench.report.ablations.components import FEW, in_words
from bench.report.ablations.sensitivity import heading, stem, uneven
from bench.report.figures.lettering import apart, shortened
from bench.report.figures.picture import Picture
from bench.report.figures.rows import SECTION, Value, value_of
from bench.report.figures.settings_grid import Grid, draw_grid
from bench.report.figures.style import GREY, INK, ONE_COLUMN, TWO_COLUMNS, look, look_number
from bench.report.material import Material
from bench.report.text import data_name, file_stem

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_LINES: Final = 3
"""Points from which there is something to draw; two are in the tables."""
_APART: Final = 0.13
"""Distance of two ticks, as a share of the axis, at which their labels do not meet."""


class Panel(NamedTuple):
    """The lines of one setting.

    Attributes:
        name: of the setting.
        values: of it.
        lines: label and mean with deviation per value; the same labels in all panels of a figure.
        usual: places of the usual value.
    """

    name: str
    values: list[Any]
    lines: list[tuple[str, list[Value]]]
    usual: list[int]


def pictures(material: Material) -> list[Picture]:
    """Return a heat map per pair of settings, and per method and data a figure of the settings alone."""
    found = []
    curves: dict[tuple[Data, str, str], list[Sensitivity]] = defaultdict(list)
    for one in material.sensitivities:
        known = sum(point.row.entries[AVERAGE].mean is not None for point in one.points)
        if one.protocol == material.protocols[0] and known >= _LINES:
            if len(one.settings) == 2:
                found.append(_heat_map(one))
            else:
                curves[one.data, one.method, one.title].append(one)
    return found + [_lines(members, material) for members in curves.values()]


def _heat_map(one: Sensitivity) -> Picture:
    points = {tuple(map(in_words, point.values)): point for point in one.points}
    rows, columns = ([in_words(value) for value in one.values(place)] for place in (0, 1))
    known = {key: value_of(point.row.entries[AVERAGE]) for key, point in points.items()}
    usual = [(rows.index(key[0]), columns.index(key[1])) for key, point in points.items() if point.usual]
    names = one.settings[0], one.settings[1]
    grid = Grid(
        names,
        rows,
        columns,
        [[known.get((row, column)) for column in columns] for row in rows],
        usual,
        one.protocol,
    )
    numbers = {key: value[0] for key, value in known.items() if value is not None}
    return Picture(
        stem=stem(one),
        section=SECTION,
        title=f"{heading(one)}: {data_name(one.data)}",
        caption=(
            f"{_about(one)} Average over directions, with the deviation over seeds; shaded from the lowest "
            "to the highest, which is bold. Framed: the usual settings. Hatched: no result."
        ),
        alt=f"Grid of mAP. {_extremes(numbers, names)}",
        data=one.data,
        draw=partial(draw_grid, grid),
    )


def _lines(members: Sequence[Sensitivity], material: Material) -> Picture:
    first = members[0]
    said = []
    for one in members:
        numbers: dict[tuple[str, ...], float] = {
            (in_words(point.values[0]),): mean
            for point in one.points
            if (mean := point.row.entries[AVERAGE].mean) is not None
        }
        said.append(_extremes(numbers, one.settings))
    return Picture(
        stem=file_stem("settings", stem(first).removeprefix("sensitivity_")),
        section=SECTION,
        title=f"{first.title} by {', '.join(one.settings[0] for one in members)}: {data_name(first.data)}",
        caption=(
            f"{_about(first)} Bars: deviation over seeds. Validation: highest mAP@all on the validation rows "
            "along the epochs. Dotted: the usual value."
        ),
        alt=f"Lines of mAP. {' '.join(said)}",
        data=first.data,
        draw=partial(
            _draw_lines,
            [_panel(one) for one in members],
            look(first.method, material.labels).colour,
            first.protocol,
        ),
    )


def _panel(one: Sensitivity) -> Panel:
    directions = [column for column in one.columns if column != AVERAGE]
    shown = [*(directions if len(directions) <= FEW else ()), AVERAGE]
    lines = [
        (
            "average" if column == AVERAGE else f"{column[0]}→{column[1]}",
            [value_of(point.row.entries[column]) for point in one.points],
        )
        for column in shown
    ]
    validation = [_of(point.validation) for point in one.points]
    if any(validation):
        lines.append(("validation", validation))
    usual = [place for place, point in enumerate(one.points) if point.usual]
    return Panel(one.settings[0], [point.values[0] for point in one.points], lines, usual)


def _draw_lines(panels: Sequence[Panel], colour: str, protocol: str) -> Figure:
    from matplotlib.figure import Figure

    across = min(len(panels), 3)
    down = -(-len(panels) // across)
    width = (ONE_COLUMN, 4.8, TWO_COLUMNS)[across - 1]
    figure = Figure(figsize=(width, 1.9 * down + 0.5))
    axes = figure.subplots(down, across, squeeze=False, sharey=True)
    for number, axis in enumerate(axes.flat):
        if number >= len(panels):
            axis.set_axis_off()
            continue
        _plot(axis, panels[number], colour)
        if number % across == 0:
            axis.set_ylabel(protocol)
    named = [axis.get_legend_handles_labels() for axis in axes.flat]
    found = {
        label: handle for handles, labels in named for handle, label in zip(handles, labels, strict=True)
    }
    columns = len(found) if across > 1 else 2
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns, columnspacing=1.2)
    return figure


def _plot(axis: Axes, panel: Panel, colour: str) -> None:
    places = _places(axis, panel)
    for number, (label, values) in enumerate(panel.lines):
        known = [(place, value) for place, value in zip(places, values, strict=True) if value is not None]
        axis.errorbar(
            [place for place, _ in known],
            [value[0] for _, value in known],
            yerr=[value[1] or 0.0 for _, value in known],
            label=label,
            **_style(number, label, colour, joined=_is_ordered(panel.values)),
        )
    for place in panel.usual:
        axis.axvline(places[place], color=INK, linewidth=1.2, linestyle=":", zorder=1, label="usual value")
    axis.set_xlabel(shortened(panel.name))
    axis.margins(x=0.08)
    axis.grid(visible=False, axis="x")


def _places(axis: Axes, panel: Panel) -> list[float]:
    """Return where the values stand on the axis, and scale and label it."""
    values = panel.values
    if not _is_ordered(values):
        names = apart([in_words(value) for value in values], 12)
        axis.set_xticks(range(len(values)), names, rotation=30, ha="right", rotation_mode="anchor")
        return [float(place) for place in range(len(values))]
    numbers = [float(value) for value in values]
    positive = [number for number in numbers if number > 0]
    if is_geometric(numbers):
        axis.set_xscale("log")
    elif min(numbers) == 0 and is_geometric(positive):
        axis.set_xscale("symlog", linthresh=min(positive))
    ticks = _readable(numbers, axis.get_xscale())
    axis.set_xticks(ticks, [f"{number:g}" for number in ticks])
    axis.set_xticks([], minor=True)
    return numbers


def _readable(numbers: Sequence[float], scale: str) -> list[float]:
    """Return those of the values whose labels do not meet on an axis of that scale."""
    if scale == "linear":
        at = list(numbers)
    else:
        least = min(number for number in numbers if number > 0)
        at = [math.log(number / least) + 1 if number > 0 else 0.0 for number in numbers]
    whole = (at[-1] - at[0]) or 1.0
    kept = [0]
    for place in range(1, len(at)):
        if at[place] - at[kept[-1]] >= _APART * whole:
            kept.append(place)
    return [numbers[place] for place in kept]


def _is_ordered(values: Sequence[Any]) -> bool:
    return all(map(is_number, values))


def _style(number: int, label: str, colour: str, *, joined: bool) -> dict[str, Any]:
    """Return how a line looks: the average in the method's colour, validation in grey, others beside them."""
    way = look_number(number + 1)
    shown = {"average": colour, "validation": GREY}.get(label, way.colour)
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


def _extremes(numbers: dict[tuple[str, ...], float], names: Sequence[str]) -> str:
    if not numbers:
        return "No number."

    def said(key: tuple[str, ...]) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in zip(names, key, strict=True))
        return f"{numbers[key]:.3f} at {settings}"

    ordered = sorted(numbers, key=lambda key: (numbers[key], key))
    return f"Highest {said(ordered[-1])}, lowest {said(ordered[0])}."


def _about(one: Sensitivity) -> str:
    words = f"{one.title} on {data_name(one.data)}. {one.protocol}, selection {one.selection}."
    return " ".join(part for part in (words, uneven(one)) if part)


def _of(spread: Spread | None) -> Value:
    return None if spread is None else (spread.mean, spread.deviation)
