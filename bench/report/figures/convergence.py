"""Loss and validation mAP along the epochs: a small panel per method, all with the same axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bench.analysis.convergence import Curve, curves_of
from bench.analysis.groups import Data
from bench.report.figures.choice import names_of, one_each, remark
from bench.report.figures.lettering import LARGE, fitted, width_of
from bench.report.figures.picture import Picture
from bench.report.figures.style import GREY, Look, look, tiles
from bench.report.material import Material
from bench.report.text import data_name, stem_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PALE: Final = "#B8B8B8"
_MOST: Final = 80
_FEWER: Final = 40
"""Epochs that are drawn of a coloured curve, whose points then lie closer than it is wide, and of others."""
_LOSS: Final[dict[str, Any]] = {"color": GREY, "linewidth": 0.9, "linestyle": (0, (3, 1.2))}


def pictures(material: Material) -> list[Picture]:
    """Return a figure per data whose records trace validation mAP."""
    found = curves_of(material.results, material.trace)
    return [_picture(data, one_each(curves, material.labels), material) for data, curves in found.items()]


def _picture(data: Data, curves: list[Curve], material: Material) -> Picture:
    names = names_of(curves, material.labels)
    rising = [name for curve, name in zip(curves, names, strict=True) if not curve.flat]
    state = f"still rising in the last quarter: {', '.join(rising)}" if rising else "all have come to rest"
    methods = [curve.method for curve in curves]
    reference = material.labels.reference
    place = methods.index(reference) if reference in methods else None
    behind = "" if place is None else f" Pale: {names[place]}, for comparison."
    return Picture(
        stem=f"convergence_{stem_of(data)}",
        section="Convergence",
        title=f"Validation mAP and loss by epoch: {data_name(data)}",
        caption=(
            f"{data_name(data)}. Coloured, left axis: validation mAP@all, mean over cells; the marker is its "
            "highest point. Dashed: training loss, each from its own lowest value at the panel's bottom to "
            f"its own highest at the top, as losses of different methods have no common scale.{behind} "
            f"Epochs in percent of each method's own number.{remark(curves)}"
        ),
        alt=f"Curves of validation mAP and training loss of {len(curves)} methods; {state}.",
        data=data,
        draw=partial(_draw, curves, names, [look(method, material.labels) for method in methods], place),
    )


def _draw(curves: list[Curve], names: list[str], looks: list[Look], reference: int | None) -> Figure:
    lines = 1 if len(curves) > 2 else 3 - (reference is None)
    figure, axes = tiles(len(curves), below=0.25 + 0.16 * lines)
    low, high = _limits(curves)
    room = axes[0].get_position().width * figure.get_figwidth()
    for place, (axis, curve, way) in enumerate(zip(axes, curves, looks, strict=True)):
        axis.set(xlim=(0, 103), ylim=(low, high), xticks=(50, 100))
        if reference is not None and place != reference:
            pale = curves[reference].values
            axis.plot(*_points(pale, _FEWER), color=_PALE, linewidth=0.9)
        axis.plot(*_points(_scaled(curve.losses, low, high), _FEWER), **_LOSS)
        _plot(axis, curve, way)
        epochs = f" · {len(curve.values)} ep."
        axis.set_title(fitted(names[place], room - width_of(epochs)) + epochs, pad=3)
    height = figure.get_figheight()
    figure.supxlabel(
        "epochs in % of the method's own number", fontsize=LARGE, y=(0.04 + 0.16 * lines) / height
    )
    figure.supylabel("validation mAP@all", fontsize=LARGE, x=0.06 / figure.get_figwidth())
    _explain(figure, looks[0], "" if reference is None else names[reference], -(-3 // lines))
    return figure


def _plot(axis: Axes, curve: Curve, way: Look) -> None:
    known = [value if math.isfinite(value) else -math.inf for value in curve.values]
    best = known.index(max(known))
    axis.plot(*_points(curve.values, _MOST, best), color=way.colour, linewidth=1.3)
    axis.plot(100 * (best + 1) / len(known), curve.values[best], **way.points, linestyle="")


def _explain(figure: Figure, way: Look, reference: str, columns: int) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=way.colour, **way.points, label="validation mAP, highest point"),
        Line2D([], [], **_LOSS, label="training loss, own lowest to own highest"),
    ]
    if reference:
        handles.append(Line2D([], [], color=_PALE, label=f"validation mAP of {fitted(reference, 1.2)}"))
    figure.legend(handles=handles, loc="lower center", ncols=columns, borderaxespad=0.1, labelspacing=0.3)


def _points(values: Sequence[float], most: int, *always: int) -> tuple[list[float], list[float]]:
    """Return percents and values of at most ``most`` epochs, evenly chosen, and of those ``always`` named."""
    count = len(values)
    chosen = range(count) if count <= most else [round(n * (count - 1) / (most - 1)) for n in range(most)]
    epochs = sorted({*chosen, *always})
    return [100 * (epoch + 1) / count for epoch in epochs], [values[epoch] for epoch in epochs]


def _scaled(losses: Sequence[float], low: float, high: float) -> list[float]:
    """Return losses with their own range put on that of the panel; nothing where they do not vary."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    least, most = min(finite, default=0.0), max(finite, default=0.0)
    if most <= least:
        return []
    return [low + (0.03 + 0.94 * (loss - least) / (most - least)) * (high - low) for loss in losses]


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    finite = [value for curve in curves for value in curve.values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    room = max(0.06 * (high - low), 0.01)
    return low - room, high + room
