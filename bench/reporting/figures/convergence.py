"""Loss and validation mAP along the epochs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bench.analysis.convergence import Curve, curves_of
from bench.analysis.groups import Data
from bench.reporting.figures.picture import Picture
from bench.reporting.figures.style import look, panels
from bench.reporting.material import Material
from bench.reporting.text import data_name, stem_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pictures(material: Material) -> list[Picture]:
    """Return a figure per data whose records trace validation mAP."""
    found = curves_of(material.records, material.naming, material.trace)
    return [_picture(data, curves, material) for data, curves in found.items()]


def _picture(data: Data, curves: list[Curve], material: Material) -> Picture:
    rising = [curve.label for curve in curves if not curve.flat]
    state = f"still rising in the last quarter: {', '.join(rising)}" if rising else "all have come to rest"
    return Picture(
        stem=f"convergence_{stem_of(data)}",
        section="Convergence",
        title=f"Validation mAP and loss by epoch: {data_name(data)}",
        caption=(
            f"{data_name(data)}. Mean over cells. Left: validation mAP@all. Right: training loss in parts of "
            "its first value. Epochs in parts of each method's own number."
        ),
        alt=f"Curves of validation mAP and training loss of {len(curves)} methods; {state}.",
        data=data,
        draw=partial(_draw, curves, material),
    )


def _draw(curves: list[Curve], material: Material) -> Figure:
    figure, (left, right) = panels(2)
    for curve in curves:
        way = look(curve.method, material.naming)
        style = {
            "color": way.colour,
            "linestyle": way.dash,
            "marker": way.marker,
            "label": curve.label,
            "markevery": 0.25,
        }
        left.plot(_shares(len(curve.values)), curve.values, **style)  # type: ignore[arg-type]
        if curve.losses:
            parts = [loss / curve.losses[0] for loss in curve.losses]
            right.plot(_shares(len(parts)), parts, **style)  # type: ignore[arg-type]
    left.set(xlabel="share of the epochs", ylabel="validation mAP@all")
    right.set(xlabel="share of the epochs", ylabel="loss / first loss")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    return figure


def _shares(count: int) -> list[float]:
    return [(epoch + 1) / count for epoch in range(count)]
