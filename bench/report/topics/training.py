"""Training: whether it had converged when it ended, and the trials of ``tune``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any, Final

from bench.analysis.convergence import FLAT, Curve
from bench.analysis.groups import CLEAN, Data
from bench.analysis.settings import FIELDS, trial_rows, tunings_of
from bench.report.cells import number_cell, number_cells
from bench.report.exhibit import Cell, FigureExhibit, Line, Part, Topic, data_figure, data_table
from bench.report.figures import style
from bench.report.report_data import ReportData
from bench.report.text import data_name, data_stem
from bench.report.writers import csv

SHARES: Final = (0.25, 0.5, 0.75, 1.0)
_LATE: Final = ("last quarter", "flat")
_CONVERGENCE: Final = (
    "Best validation mAP@all within the first quarter, half and three quarters of the epochs, and within "
    f"all. A curve is flat if the last quarter adds at most {FLAT:.2f}."
)
_TRIALS: Final = (
    "Validation mAP@all, mean over directions and seeds; the test split was sealed throughout. "
    "search: what chose the settings (random: drawn with one fixed seed), and what stopped trials that "
    "lagged behind; these count as trials. start: what the trials started from; best: the highest."
)
_PALE: Final = "#B8B8B8"
_MOST: Final = 80
_FEWER: Final = 40
"""Epochs that are drawn of a coloured curve, whose points then lie closer than it is wide, and of others."""
_LOSS: Final[dict[str, Any]] = {"color": style.GREY, "linewidth": 0.9, "linestyle": (0, (3, 1.2))}


def convergence(data: ReportData) -> list[Part]:
    """Return a table per data: the best validation mAP within parts of the epochs."""
    exhibits = []
    for one, curves in data.curves.items():
        lines = []
        for curve in curves:
            numbers = len(curve.values), *map(curve.best_within, SHARES), curve.late_gain
            flat = Cell("yes" if curve.flat else "still rising")
            cells = (*number_cells("d .3f .3f .3f .3f +.3f", *numbers), flat)
            lines.append(Line(curve.label, cells, f"{curve.label} {curve.method}"))
        shares = (f"{100 * share:.0f} %" for share in SHARES)
        name, headings = f"convergence_{data_stem(one)}_table", ("Method", "epochs", *shares)
        exhibits.append(data_table(name, data_name(one), one, (*headings, *_LATE), lines, fold="all"))
    return [Part(text=(_CONVERGENCE,), exhibits=exhibits)]


def trials(data: ReportData) -> list[Part]:
    """Return a table of tunings per data; a budget that differs shows at once."""
    exhibits = []
    for one, members in groupby(tunings_of(data.trials), lambda tuning: tuning.data):
        lines = []
        for tuning in sorted(members, key=lambda tuning: data.labels.order(tuning.method)):
            best = tuning.best
            changes = {} if best is None else best.changes
            values = (None if attempt is None else attempt.value for attempt in (tuning.start, best))
            search = tuning.sampler if tuning.pruner == "none" else f"{tuning.sampler}, {tuning.pruner}"
            cells = (
                *(Cell(search), *number_cells("d", len(tuning.attempts), len(tuning.seeds))),
                *number_cells(".4f", *values),
                Cell(", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(changes.items()))),
                number_cell(sum(attempt.seconds for attempt in tuning.attempts), ",.0f"),
            )
            lines.append(Line(data.labels.title(tuning.method), cells, tuning.method))
        headings = ("Method", "search", "trials", "seeds", "start", "best", "changes of the best", "seconds")
        name = f"trials_{data_stem(one)}"
        exhibits.append(data_table(name, data_name(one), one, headings, lines, title=""))
    return [Part(text=(_TRIALS,), exhibits=exhibits)] if exhibits else []


def trial_files(data: ReportData) -> dict[str, str]:
    """Return every attempt as a row of a CSV file; no file without trials."""
    rows = trial_rows(tunings_of(data.trials))
    return {"tuning/trials.csv": csv.text(FIELDS, rows)} if data.trials else {}


def figures(data: ReportData) -> list[Part]:
    """Return a figure per clean data whose records trace validation mAP."""
    found = [
        _figure(one, style.one_row_each(curves, data.labels), data)
        for one, curves in data.curves.items()
        if one.condition == CLEAN
    ]
    return [Part("Loss and validation mAP by epoch", exhibits=found)]


def _figure(one: Data, curves: list[Curve], data: ReportData) -> FigureExhibit:
    names = style.short_names(curves, data.labels)
    rising = [name for curve, name in zip(curves, names, strict=True) if not curve.flat]
    state = f"still rising in the last quarter: {', '.join(rising)}" if rising else "all have converged"
    methods = [curve.method for curve in curves]
    reference = data.labels.reference
    index = methods.index(reference) if reference in methods else None
    behind = "" if index is None else f" Pale: {names[index]}, for comparison."
    return data_figure(
        "convergence",
        one,
        "Validation mAP and loss by epoch",
        f"Coloured, left axis: validation mAP@all, mean over cells; the marker is its "
        "highest point. Dashed: training loss, scaled from its lowest value (bottom of the panel) to "
        f"its highest (top), because losses of different methods have no common scale.{behind} "
        f"Epochs in percent of each method's number of epochs.{style.star_note(curves)}",
        f"Curves of validation mAP and training loss of {len(curves)} methods; {state}.",
        partial(_draw, curves, names, [style.look(method, data.labels) for method in methods], index),
    )


def _draw(
    curves: list[Curve], names: list[str], looks: list[style.Look], reference: int | None
) -> style.Figure:
    from matplotlib.lines import Line2D

    lines = 1 if len(curves) > 2 else 3 - (reference is None)
    figure, axes = style.tiles(len(curves), below=0.25 + 0.16 * lines)
    finite = [value for curve in curves for value in curve.values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    edge = max(0.06 * (high - low), 0.01)
    low, high = low - edge, high + edge
    room = axes[0].get_position().width * figure.get_figwidth()
    for index, (axis, curve, way) in enumerate(zip(axes, curves, looks, strict=True)):
        axis.set(xlim=(0, 103), ylim=(low, high), xticks=(50, 100))
        if reference is not None and index != reference:
            axis.plot(*_points(curves[reference].values, _FEWER), color=_PALE, linewidth=0.9)
        axis.plot(*_points(_scaled(curve.losses, low, high), _FEWER), **_LOSS)
        known = [value if math.isfinite(value) else -math.inf for value in curve.values]
        best = known.index(max(known))
        axis.plot(*_points(curve.values, _MOST, best), color=way.colour, linewidth=1.3)
        axis.plot(100 * (best + 1) / len(known), curve.values[best], **way.points, linestyle="")
        epochs = f" · {len(curve.values)} ep."
        axis.set_title(style.fitted(names[index], room - style.width_of(epochs)) + epochs, pad=3)
    below = (0.04 + 0.16 * lines) / figure.get_figheight()
    figure.supxlabel("epochs, in % of the method's number of epochs", fontsize=style.LARGE, y=below)
    figure.supylabel("validation mAP@all", fontsize=style.LARGE, x=0.06 / figure.get_figwidth())
    handles = [
        Line2D([], [], color=looks[0].colour, **looks[0].points, label="validation mAP, highest point"),
        Line2D([], [], **_LOSS, label="training loss, scaled to its range"),
    ]
    if reference is not None:
        pale_name = f"validation mAP of {style.fitted(names[reference], 1.2)}"
        handles.append(Line2D([], [], color=_PALE, label=pale_name))
    ncols = -(-3 // lines)
    figure.legend(handles=handles, loc="lower center", ncols=ncols, borderaxespad=0.1, labelspacing=0.3)
    return figure


def _points(values: Sequence[float], most: int, *always: int) -> tuple[list[float], list[float]]:
    """Return percents and values of at most ``most`` epochs, evenly chosen, and of those ``always`` named."""
    count = len(values)
    chosen = range(count) if count <= most else [round(n * (count - 1) / (most - 1)) for n in range(most)]
    epochs = sorted({*chosen, *always})
    return [100 * (epoch + 1) / count for epoch in epochs], [values[epoch] for epoch in epochs]


def _scaled(losses: Sequence[float], low: float, high: float) -> list[float]:
    """Return losses with their range mapped to that of the panel; nothing if they do not vary."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    least, most = min(finite, default=0.0), max(finite, default=0.0)
    if most <= least:
        return []
    return [low + (0.03 + 0.94 * (loss - least) / (most - least)) * (high - low) for loss in losses]


CONVERGENCE: Final = Topic("convergence", "Convergence", convergence, figures, order=100)
TRIALS: Final = Topic(
    "trials", "Trials", trials, file="tuning/trials.md", folder="tuning", files=trial_files, order=110
)
