"""Records to draw figures of, and what letters a figure shows where."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import numpy as np

from bench.analysis.labels import registry_labels
from bench.report import ReportData
from bench.report.exhibit import FigureExhibit, Part
from tests.analysis.making import Shelf
from tests.records import making

ROSTER = (
    *("drcl", "mcca", "gmlda", "mvda_vc", "dccae", "acmr", "dscmr", "man"),
    *("sdml", "mars", "drsl", "algcn", "mrl", "gnn4cmr", "elrcmr", "rono"),
)
EXTRAS = ("pls", "clip4cmr", "deep_sm", "mine")
POINTS = ("chance", "sm")
HOSTILE = (
    *(r"a_b & 100% $x^2$ #1 {y} ~z\n <b>&amp;</b> |*c*|", "_hidden", "bad\x00\x1b[31m", "rtl\u202eabc"),
    *("W" * 60, "中文方法", "$", "\\alpha_{2}$", "x\ny", "<script>alert(1)</script>"),
)


def report_data(
    methods: Sequence[str] = ROSTER,
    datasets: Sequence[str] = ("one",),
    *,
    seeds: int = 2,
    modalities: Sequence[str] = ("image", "text"),
    epochs: int = 12,
    device: bool = False,
    **more: Any,
) -> ReportData:
    """Return records of methods that differ, each on every dataset, with costs and traces.

    Whatever settings they have count as usual. ``more`` are fields of the records' identity.
    """
    shelf, traces = Shelf(), {}
    random = np.random.default_rng(0)
    directions = [(query, gallery) for query in modalities for gallery in modalities if query != gallery]
    for dataset in datasets:
        for place, method in enumerate(methods):
            level = 0.5 + 0.2 * np.sin(place) + 0.02 * random.normal()
            for seed in range(seeds):
                values = {one: np.clip(random.normal(level, 0.15, 40), 0, 1) for one in directions}
                own = {"method": method, "dataset": dataset, "modalities": tuple(modalities), **more}
                record = shelf.add(values, seed=seed, **own)
                costs = making.environment(
                    seconds={"fit": float(np.exp(3 * random.random())), "evaluate": 0.01 * (place + 1)},
                    peak_memory=2**28 + int(2**28 * random.random()),
                    peak_device_memory=2**30 + place if device else None,
                )
                shelf.records[-1] = msgspec.structs.replace(record, environment=costs)
                traces[record.digest] = [
                    {"epoch": epoch + 1, "validation_map": level - 1 / (epoch + 5), "train_loss": 9.0 - epoch}
                    for epoch in range(epochs)
                ]
    return ReportData(
        shelf.records,
        labels=replace(registry_labels(), usual=lambda identity: identity.settings),
        protocols=["map@all"],
        trace=lambda digest: traces.get(digest, ()),
        per_query=shelf.per_query,
    )


class Lettering(NamedTuple):
    """One text of a figure and where it is, in points from the lower left corner."""

    text: str
    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Lettering) -> bool:
        """Return whether both cover more than a hair's breadth of the same place."""
        across = min(self.right, other.right) - max(self.left, other.left)
        return across > 0.5 and min(self.top, other.top) - max(self.bottom, other.bottom) > 1.5


def letterings(exhibit: FigureExhibit) -> tuple[list[Lettering], tuple[float, float]]:
    """Return the texts that a figure shows, and its width and height in points."""
    import matplotlib as mpl
    import pytest
    from matplotlib.text import Text

    from bench.report.figures.saving import laid_out
    from bench.report.figures.style import RC

    found: list[Lettering] = []
    draw = Text.draw

    def noting(self: Text, renderer: Any, *more: Any, **keywords: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            found.append(Lettering(self.get_text(), *self.get_window_extent(renderer).extents))
        draw(self, renderer, *more, **keywords)

    with (
        mpl.rc_context({**RC, "figure.dpi": 72}),
        warnings.catch_warnings(),
        pytest.MonkeyPatch.context() as to,
    ):
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure = laid_out(exhibit)
        to.setattr(Text, "draw", noting)
        figure.draw_without_rendering()
        return found, (72 * figure.get_figwidth(), 72 * figure.get_figheight())


def misplaced(exhibit: FigureExhibit) -> list[str]:
    """Return what is wrong with the texts of a figure: off its edges, or one over another."""
    texts, (width, height) = letterings(exhibit)
    assert texts
    wrong = [
        f"{one.text!r} is off the edge"
        for one in texts
        if one.left < -0.5 or one.bottom < -0.5 or one.right > width + 0.5 or one.top > height + 0.5
    ]
    for place, one in enumerate(texts):
        wrong += [f"{one.text!r} is over {other.text!r}" for other in texts[:place] if one.overlaps(other)]
    return wrong


def figures_of(parts: Sequence[Part]) -> list[FigureExhibit]:
    """Return the figures of a topic's parts."""
    return [one for part in parts for one in part.exhibits if isinstance(one, FigureExhibit)]
