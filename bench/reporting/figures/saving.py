"""Figures as files: SVG and PDF for papers, PNG for slides; the same figure always gives the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from bench.reporting.figures.picture import Picture
from bench.reporting.figures.style import RC

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH: Final = 200
_UNDATED: Final[Mapping[str, dict[str, Any]]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "png": {"Software": None},
}
"""What would otherwise name the time and the library's version in a file."""


def rendered(pictures: Iterable[Picture]) -> dict[str, bytes]:
    """Draw figures and return file name -> content, three files each.

    Raises:
        ValueError: if two figures have one name.
    """
    files: dict[str, bytes] = {}
    for picture in pictures:
        if f"{picture.stem}.svg" in files:
            raise ValueError(f"two figures are called {picture.stem}")
        files |= render(picture)
    return files


def render(picture: Picture) -> dict[str, bytes]:
    """Draw one figure; returns ``STEM.svg``, ``STEM.pdf`` and ``STEM.png``."""
    import matplotlib

    with matplotlib.rc_context({**RC, "svg.hashsalt": picture.stem}):
        figure = picture.draw()
        return {f"{picture.stem}.{ending}": _saved(figure, ending) for ending in _UNDATED}


def _saved(figure: Figure, ending: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending, dpi=DOTS_PER_INCH, metadata=_UNDATED[ending])
    return buffer.getvalue()
