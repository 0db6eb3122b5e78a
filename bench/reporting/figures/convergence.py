"""Loss and validation mAP along the epochs: a small panel per method, all with the same axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.analysis.convergence import Curve, curves_of
from bench.analysis.groups import Data
from bench.reporting.figures.choice import one_each
from bench.reporting.figures.lettering import apart
from bench.reporting.figures.picture import Picture
from bench.reporting.figures.style import GREY, TWO_COLUMNS, Look, look, tiles
from bench.reporting.material import Material
from bench.reporting.text import data_name, stem_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PALE = "#B8B8B8"
_LOSS: dict[str, Any] = {"color": GREY, "linewidth": 0.9, "linestyle": (0, (3, 1.2))}


def pictures(material: Material) -> list[Picture]:
    """Return a figure per data whose records trace validation mAP."""
    found = curves_of(material.records, material.naming, material.trace)
    return [_picture(data, one_each(curves, material.naming), material) for data, curves in found.items()]


def _picture(data: Data, curves: list[Curve], material: Material) -> Picture:
    rising = [curve.label for curve in curves if not curve.flat]
    state = f"still rising in the last quarter: {', '.join(rising)}" if rising else "all have come to rest"
    reference = next((curve for curve in curves if curve.method == material.naming.reference), None)
    behind = f" Pale: {reference.label}, for comparison." if reference else ""
    return Picture(
        stem=f"convergence_{stem_of(data)}",
        section="Convergence",
        title=f"Validation mAP and loss by epoch: {data_name(data)}",
        caption=(
            f"{data_name(data)}. Coloured, left axis: validation mAP@all, mean over cells; the marker is its "
            "highest point. Dashed: training loss, each from its own lowest value at the panel's bottom to "
            f"its own highest at the top, as losses of different methods have no common scale.{behind} "
            "Epochs in percent of each method's own number."
        ),
        alt=f"Curves of validation mAP and training loss of {len(curves)} methods; {state}.",
        data=data,
        draw=partial(_draw, curves, [look(curve.method, material.naming) for curve in curves], reference),
    )


def _draw(curves: list[Curve], looks: list[Look], reference: Curve | None) -> Figure:
    figure, axes = tiles(len(curves), below=0.44)
    low, high = _limits(curves)
    names = apart([curve.label for curve in curves], 22)
    for axis, curve, way, name in zip(axes, curves, looks, names, strict=True):
        axis.set(xlim=(0, 103), ylim=(low, high), xticks=(50, 100))
        if reference is not None and curve is not reference:
            axis.plot(_percent(reference.values), reference.values, color=_PALE, linewidth=0.9)
        losses = _scaled(curve.losses, low, high)
        axis.plot(_percent(losses), losses, **_LOSS)
        _plot(axis, curve, way)
        axis.set_title(f"{name} · {len(curve.values)} ep.", pad=3)
    figure.supxlabel("epochs in % of the method's own number", fontsize=8, y=0.21 / figure.get_figheight())
    figure.supylabel("validation mAP@all", fontsize=8, x=0.06 / figure.get_figwidth())
    _explain(figure, looks[0], reference)
    return figure


def _plot(axis: Axes, curve: Curve, way: Look) -> None:
    known = [value if math.isfinite(value) else -math.inf for value in curve.values]
    best = known.index(max(known))
    axis.plot(_percent(curve.values), curve.values, color=way.colour, linewidth=1.3)
    axis.plot(_percent(curve.values)[best], curve.values[best], color=way.colour, **way.points)


def _explain(figure: Figure, way: Look, reference: Curve | None) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=way.colour, **way.points, label="validation mAP, highest point"),
        Line2D([], [], **_LOSS, label="training loss, own lowest to own highest"),
    ]
    if reference is not None:
        (name,) = apart([reference.label])
        handles.append(Line2D([], [], color=_PALE, label=f"validation mAP of {name}"))
    narrow = figure.get_figwidth() < TWO_COLUMNS
    figure.legend(handles=handles, loc="lower center", ncols=1 if narrow else 3, borderaxespad=0.1)


def _percent(values: Sequence[float]) -> list[float]:
    return [100 * (epoch + 1) / len(values) for epoch in range(len(values))]


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
