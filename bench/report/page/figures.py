"""Figures on the page: drawings with their words, safe to stand beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.report.figures.picture import Picture
from bench.report.page.drawing import fit_for_page, shape
from bench.report.page.exhibits import About, about_data
from bench.report.text import data_name

_POINT = 5 / 3
"""Pixels of a page in a point: more than the usual 4/3, for letters of a printed figure are small."""


@dataclass(frozen=True)
class Drawing:
    """One figure of the page.

    Attributes:
        stem: of its files, and its id.
        section: heading under which it stands.
        title: what it is.
        caption: what it shows.
        alt: for those who cannot see it.
        about: what data it shows.
        svg: the drawing.
        width: natural width in pixels.
        files: addresses of it as files beside the page, by ending; none where they are not written.
    """

    stem: str
    section: str
    title: str
    caption: str
    alt: str
    about: About
    svg: Markup
    width: int
    files: Sequence[tuple[str, str]]


def drawings_of(pictures: Iterable[tuple[Picture, str]], folder: str) -> list[Drawing]:
    """Return figures for the page.

    Args:
        pictures: figures and their SVG.
        folder: where their files are, seen from the page; empty where there are none.
    """
    drawings = []
    for place, (picture, svg) in enumerate(pictures):
        safe = fit_for_page(svg, f"f{place}")
        endings = ("pdf", "svg", "png") if folder else ()
        drawings.append(
            Drawing(
                stem=picture.stem,
                section=picture.section,
                title=_title(picture),
                caption=picture.caption,
                alt=picture.alt,
                about=about_data(picture.data),
                svg=safe,
                width=round(shape(safe)[0] * _POINT),
                files=[(ending.upper(), f"{folder}/{picture.stem}.{ending}") for ending in endings],
            )
        )
    return drawings


def _title(picture: Picture) -> str:
    """Return a title without what the page says beside it: kind, profile and digest of the data."""
    if picture.data is None:
        return picture.title
    name = data_name(picture.data)
    return picture.title.replace(name, picture.data.dataset) if name in picture.title else picture.title
