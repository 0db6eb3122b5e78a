"""Records to draw figures of, and checks of figures before they are saved."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations, permutations, product
from typing import TYPE_CHECKING, Any

import matplotlib
import msgspec
import numpy as np
from matplotlib.text import Text

from bench.analysis.labels import registry_labels
from bench.report import ReportData
from bench.report.exhibit import FigureExhibit, Part
from bench.report.figures.saving import laid_out
from bench.report.figures.style import RC
from tests.analysis.making import Shelf
from tests.records import making

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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

    Their settings are the usual ones, whatever they are. ``more`` are fields of the records' identity.
    """
    shelf, traces = Shelf(), {}
    random = np.random.default_rng(0)
    directions = list(permutations(modalities, 2))
    more["modalities"] = tuple(modalities)
    for dataset, (index, method) in product(datasets, enumerate(methods)):
        level = 0.5 + 0.2 * np.sin(index) + 0.02 * random.normal()
        for seed in range(seeds):
            values = {one: np.clip(random.normal(level, 0.15, 40), 0, 1) for one in directions}
            record = shelf.add(values, seed=seed, method=method, dataset=dataset, **more)
            costs = making.environment(
                seconds={"fit": float(np.exp(3 * random.random())), "evaluate": 0.01 * (index + 1)},
                peak_memory=2**28 + int(2**28 * random.random()),
                peak_device_memory=2**30 + index if device else None,
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


def figures_of(parts: Sequence[Part]) -> list[FigureExhibit]:
    """Return the figures of a topic's parts."""
    return [one for part in parts for one in part.exhibits if isinstance(one, FigureExhibit)]


@contextmanager
def drawn(exhibit: FigureExhibit) -> Iterator[Figure]:
    """Draw a figure as it is drawn for saving, which may be in another process."""
    with matplotlib.rc_context(dict(RC)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure = laid_out(replace(exhibit, draw=pickle.loads(pickle.dumps(exhibit.draw))))
        figure.draw_without_rendering()
        yield figure


def texts_of(figure: Figure) -> list[Text]:
    """Return the visible texts: ticks beyond the end of an axis have labels that are not."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low <= tick.get_loc() <= high or not axes.axison:
                    hidden |= {tick.label1, tick.label2}
    found = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return [text for text in found if text.get_text() and text.get_visible() and text not in hidden]


def require_legible(figure: Figure) -> None:
    """Check that all texts are inside the figure and none overlaps another."""
    texts = [text for text in texts_of(figure) if text.get_rotation() in (0, 90)]
    boxes = {text: text.get_window_extent() for text in texts}
    for text, box in boxes.items():
        assert box.x0 >= -1, text.get_text()
        assert box.y0 >= -1, text.get_text()
        assert box.x1 <= figure.bbox.x1 + 1, text.get_text()
        assert box.y1 <= figure.bbox.y1 + 1, text.get_text()
    for (one, first), (other, second) in combinations(boxes.items(), 2):
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        down = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert across <= 1 or down <= 2, f"{one.get_text()!r} overlaps {other.get_text()!r}"


def words_of(exhibit: FigureExhibit) -> list[str]:
    """Return the words that a figure shows, which is checked to be legible."""
    with drawn(exhibit) as figure:
        require_legible(figure)
        return [text.get_text() for text in texts_of(figure)]
