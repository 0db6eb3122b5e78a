"""Fits texts into a figure: one line, shortened to the available width, still distinct."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from bench.report.text import visible

FONTS: Final = ("DejaVu Sans", "Verdana")
"""The first comes with matplotlib: the same letters on every machine; a browser without it takes the next."""
SMALL: Final = 6.0
BODY: Final = 7.0
LARGE: Final = 8.0
"""Sizes in points: of numbers in cells and remarks; of ticks and legends; of axes and headings."""


def shortened(text: str, letters: int = 24) -> str:
    """Return text in one line of at most ``letters`` characters, an ellipsis in place of the rest."""
    shown = visible(text)
    return shown if len(shown) <= letters else f"{shown[: letters - 1].rstrip()}…"


def apart(texts: Sequence[str], letters: int = 24) -> list[str]:
    """Return texts `shortened`, those numbered that would then be the same."""
    return _numbered([shortened(text, letters) for text in texts])


def fitted(text: str, inches: float, size: float = BODY) -> str:
    """Return text in one line no wider than ``inches``, an ellipsis in place of the rest.

    To be called while a figure is drawn: it measures the font's letters.
    """
    shown = visible(text)
    if width_of(shown, size) <= inches:
        return shown
    for letters in range(min(len(shown), 200) - 1, 0, -1):
        if width_of(tried := shortened(shown, letters), size) <= inches:
            return tried
    return "…"


def fitted_apart(texts: Iterable[str], inches: float, size: float = BODY) -> list[str]:
    """Return texts `fitted`, those numbered that would then be the same."""
    return _numbered([fitted(text, inches, size) for text in texts])


def widest(texts: Iterable[str], size: float = BODY) -> float:
    """Return the width of the widest text, in inches."""
    return max((width_of(text, size) for text in texts), default=0.0)


@lru_cache(maxsize=4096)
def width_of(text: str, size: float = BODY) -> float:
    """Return how wide a text in one line is, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=FONTS[0], size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72


def _numbered(shown: Sequence[str]) -> list[str]:
    return [
        f"{shortened(one, max(2, len(one) - 2))} {shown[: place + 1].count(one)}"
        if shown.count(one) > 1
        else one
        for place, one in enumerate(shown)
    ]
