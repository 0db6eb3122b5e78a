"""The common space in two dimensions: the same test rows under a few methods, by class and modality."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.analysis.snapshots import SpaceExample, space_examples
from bench.analysis.tables import Table
from bench.report.exhibit import FigureExhibit, Part, Topic, data_figure
from bench.report.figures import style
from bench.report.report_data import ReportData
from bench.report.text import measure_name

_CLASS_COLOURS: Final = (*style.COLOURS, style.INK, "#55BBCC")
_MARKERS: Final = ("o", "^", "s", "D", "v", "P", "X", "*")
_ITERATIONS: Final = 300
_ANGLE: Final = 1.0
"""Of t-SNE: an eighth of the time of its usual 1,000 and .5, for a divergence a tenth higher."""
_PERPLEXITY: Final = 30.0
_COLUMNS: Final = 6  # of the legend, at most

Plane = NDArray[np.float64]


def figures(data: ReportData) -> list[Part]:
    """Return a figure per data with a record that keeps a sample of its common space."""
    found = []
    for table in data.first_tables:
        rows = style.one_row_each(table.rows, data.labels)
        shown = space_examples(table, rows, data.snapshots, data.results.by_digest, data.labels.reference)
        if shown:
            found.append(_figure(table, shown))
    return [Part(exhibits=found)]


def _figure(table: Table, shown: Sequence[SpaceExample]) -> FigureExhibit:
    points = sum(map(len, shown[0].space.rows.values()))
    classes = len(_classes(shown))
    methods = "; ".join(
        f"{one.row.label} ({one.why}; seed {one.record.identity.seed}; "
        f"{next(iter(one.space.points.values())).shape[1]} dimensions, which hold {one.space.explained:.0%} "
        "of the variance)"
        for one in shown
    )
    return data_figure(
        "space",
        table.data,
        "The common space in two dimensions",
        f"t-SNE of unit embeddings of {points} test rows of the {classes} largest "
        f"classes, the same rows for each method: {methods}. Numbers stand at the middle of their class; "
        "of a row with several classes the rarest counts. t-SNE keeps neighbours: sizes of clusters and "
        "distances between them mean nothing.",
        f"Scatter plots of {points} test rows by {', '.join(one.row.label for one in shown)}, "
        f"coloured by {classes} classes, shaped by modality.",
        partial(_draw, list(shown), measure_name(table.protocol)),
    )


def _classes(shown: Sequence[SpaceExample]) -> list[int]:
    """Return the classes of the sample, ascending."""
    rows = [rows for one in shown for rows in one.space.classes.values()]
    return [int(number) for number in np.unique(np.concatenate(rows))]


def _draw(shown: list[SpaceExample], measure: str) -> style.Figure:
    figure, axes = style.panels(len(shown), width=style.TWO_COLUMNS / max(len(shown), 2), height=3.0)
    numbers, named = _classes(shown), bool(shown[0].view.class_names)
    # the label of a class: its number, or its position in the legend if it has a name
    keys = {number: str(index + 1 if named else number) for index, number in enumerate(numbers)}
    for axis, one in zip(axes, shown, strict=True):
        plane = laid_out(np.concatenate(list(one.space.points.values())))
        _scatter(axis, one, plane, keys)
        axis.set_title(f"{style.shortened(one.row.label, 22)} · {measure} {one.score:.3f}")
        axis.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        axis.spines[:].set_visible(True)
        axis.spines[:].set_color(style.GREY)
        axis.grid(visible=False)
    _explain(figure, shown[0], keys)
    return figure


def laid_out(points: NDArray[np.float32]) -> Plane:
    """Return points ``(n, d)`` in the plane by t-SNE, the same for the same points.

    It begins with the first two principal directions, in which the points are given.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    start = np.zeros((len(points), 2))
    start[:, : points.shape[1]] = points[:, :2]
    start *= 1e-4 / max(float(start[:, 0].std()), 1e-12)
    fixed: dict[str, Any] = {"max_iter": _ITERATIONS, "angle": _ANGLE, "random_state": 0, "n_jobs": 1}
    perplexity = min(_PERPLEXITY, (len(points) - 1) / 3)
    method = TSNE(perplexity=perplexity, init=start.astype(np.float32), **fixed)
    with threadpool_limits(1):  # sums over threads round differently
        return np.asarray(method.fit_transform(points), dtype=np.float64)


def _scatter(axis: style.Axes, one: SpaceExample, plane: Plane, keys: dict[int, str]) -> None:
    """Draw the points of each modality and class, and each class's number at its middle."""
    from matplotlib.patheffects import withStroke

    counts = [len(rows) for rows in one.space.rows.values()]
    modalities = np.repeat(np.arange(len(counts)), counts)
    classes = np.concatenate(list(one.space.classes.values()))
    middles = {}
    for index, number in enumerate(keys):
        for modality in range(len(counts)):
            rows = plane[(classes == number) & (modalities == modality)]
            axis.plot(rows[:, 0], rows[:, 1], **_points(modality, _colour(index)))
        if (classes == number).any():
            middles[index] = np.median(plane[classes == number], axis=0)
    for index, (x, y) in _spread(middles, float(np.ptp(plane, axis=0).max())).items():
        written: dict[str, Any] = {"fontsize": style.BODY, "fontweight": "bold", "color": _colour(index)}
        rim = [withStroke(linewidth=2.2, foreground="white")]
        axis.text(x, y, [*keys.values()][index], ha="center", va="center", path_effects=rim, **written)


def _colour(index: int) -> str:
    return _CLASS_COLOURS[index % len(_CLASS_COLOURS)]


def _points(modality: int, colour: str, size: float = 2.8) -> dict[str, Any]:
    """Return how points of a modality look: every other one is hollow."""
    hollow = modality % 2 == 1
    return {
        "linestyle": "",
        "marker": _MARKERS[modality % len(_MARKERS)],
        "markersize": size,
        "markerfacecolor": "none" if hollow else colour,
        "markeredgecolor": colour,
        "markeredgewidth": 0.6 if hollow else 0.0,
    }


def _spread(middles: dict[int, Plane], extent: float) -> dict[int, Plane]:
    """Return the middles, those moved that would cover another one's number."""
    least = 0.06 * extent
    turns = [np.asarray([np.cos(turn), np.sin(turn)]) for turn in np.arange(8) * np.pi / 4]
    steps = [least * ring * turn for ring in (1.0, 1.5, 2.0) for turn in turns]
    placed: dict[int, Plane] = {}
    for index, middle in middles.items():
        spots = [middle, *(middle + step for step in steps)]
        apart_from = list(placed.values())
        free = (spot for spot in spots if all(np.linalg.norm(spot - one) >= least for one in apart_from))
        placed[index] = next(free, middle)
    return placed


def _explain(figure: style.Figure, one: SpaceExample, keys: dict[int, str]) -> None:
    """Add the legend of modalities and classes."""
    from matplotlib.artist import Artist
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shapes = range(len(one.space.rows))
    points: list[Artist] = [Line2D([], [], **_points(modality, style.GREY, 4.5)) for modality in shapes]
    colours = [Patch(color=_colour(index)) for index in range(len(keys))]
    classes = [f"class {key}" for key in keys.values()]
    if one.view.class_names:
        names = style.apart([one.view.class_names[number] for number in keys], 20)
        classes = [f"{key} {name}" for key, name in zip(keys.values(), names, strict=True)]
    size: dict[str, Any] = {
        "handlelength": 1.0,
        "handleheight": 0.9,
        "columnspacing": 1.2,
        "fontsize": style.SMALL,
    }
    # Modalities and classes begin separate columns, which matplotlib fills from the top.
    blank, down = (Patch(visible=False), ""), 1
    while -(-len(points) // down) + -(-len(colours) // down) > _COLUMNS:
        down += 1
    entries: list[tuple[Artist, str]] = [*zip(points, style.apart(list(one.space.rows), 20), strict=True)]
    entries += [blank] * (-len(points) % down)
    entries += [*zip(colours, classes, strict=True), *[blank] * (-len(colours) % down)]
    handles, labels = zip(*entries, strict=True)
    figure.legend(handles, labels, loc="outside lower center", ncols=len(entries) // down, **size)


TOPIC: Final = Topic("space", "Common space", figures=figures, file="-", order=80)
