"""A figure of the report before it is drawn: what it is called, says and shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.groups import Data

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """One figure.

    Attributes:
        stem: name of its files without the ending: letters, digits, ``.@_-``; unlike any other's.
        section: heading of the page under which it stands, such as ``Convergence``.
        title: what it is, in a few words of plain text.
        caption: what it shows, of which data, seeds and selection; plain text.
        alt: what a reader who cannot see it needs to know; plain text.
        data: the only data whose records it shows; None where it spans several of one kind and profile.
        draw: draws it; called at most once, and only if figures are wanted. It may be called in another
            process: let it hold what it draws and no more, not the whole material.
    """

    stem: str
    section: str
    title: str
    caption: str
    alt: str
    data: Data | None
    draw: Callable[[], Figure]
