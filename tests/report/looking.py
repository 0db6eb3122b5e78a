"""Looks at figures before they are saved."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.text import Text

from bench.report.exhibit import FigureExhibit
from bench.report.figures.style import RC

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def drawn(exhibit: FigureExhibit) -> Iterator[Figure]:
    """Draw a figure as it is drawn to be saved, which may be in another process."""
    with matplotlib.rc_context(dict(RC)):
        figure = pickle.loads(pickle.dumps(exhibit.draw))()
        figure.draw_without_rendering()
        yield figure


def texts_of(figure: Figure) -> list[Text]:
    """Return the words that are seen: ticks beyond an axis's end have labels that are not."""
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
    """Check that all words are inside the figure and none lies on another."""
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
        assert across <= 1 or down <= 2, f"{one.get_text()!r} lies on {other.get_text()!r}"
