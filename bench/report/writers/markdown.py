"""Exhibits as GitHub Markdown; the same exhibit always gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tabulate import tabulate

from bench.report.exhibit import Cell, FigureExhibit, Part, TableExhibit
from bench.report.text import visible

FIGURES: Final = "figures"
"""Folder of the figures' files, seen from the page."""
FIGURE_FORMATS: Final = ("svg", "pdf", "png")

_EMPHASIS: Final = {"best": "**{}**", "second": "<u>{}</u>", "": "{}"}
_SPECIAL: Final = str.maketrans(
    {**{letter: f"\\{letter}" for letter in "\\`*_[]|#~$"}, "&": "&amp;", "<": "&lt;", ">": "&gt;"}
)


def escape(text: str) -> str:
    """Return text in one line, escaped for Markdown and HTML."""
    return visible(text).translate(_SPECIAL)


def table(exhibit: TableExhibit, level: int = 3) -> str:
    """Return a heading, the table with the best number bold and the second underlined, and its notes."""
    text = [_list(exhibit.text)] if len(exhibit.text) > 1 else [*map(escape, exhibit.text)]
    parts = [f"{'#' * level} {escape(exhibit.caption)}", *text]
    if exhibit.lines or not exhibit.text:
        header = [escape(exhibit.corner), *(escape(column.heading) for column in exhibit.columns)]
        body = [[escape(line.label), *map(_cell, line.cells)] for line in exhibit.lines]
        parts.append(tabulate(body, headers=header, tablefmt="github", disable_numparse=True))
    return "\n\n".join([*parts, *map(escape, exhibit.notes)]) + "\n"


def page(topics: Sequence[tuple[str, Sequence[Part]]], opening: Sequence[str] = ()) -> str:
    """Return a page of topics: the first title is the page's, the others are sections of it.

    ``opening`` is Markdown that follows the title.
    """
    pieces: list[str] = []
    for index, (title, parts) in enumerate(topics):
        level = min(index, 1) + 1
        pieces.append(f"{'#' * level} {escape(title)}")
        pieces += [] if index else opening
        for part in filter(None, parts):
            pieces += _part(part, level + 1)
    return "\n\n".join(piece.strip() for piece in pieces) + "\n"


def _part(part: Part, level: int) -> Iterator[str]:
    if part.title:
        yield f"{'#' * level} {escape(part.title)}"
    yield from map(escape, part.text)
    for exhibit in part.exhibits:
        below = max(level + 1, 3) if part.title else max(level, 2)
        yield _figure(exhibit, below) if isinstance(exhibit, FigureExhibit) else table(exhibit, below)
    yield from map(escape, part.notes)
    for listing in part.listings:
        yield f"**{escape(listing.title)}**"
        commands = "\n".join(["```text", *map(visible, listing.items), "```"])
        yield commands if listing.commands else _list(listing.items)


def _figure(exhibit: FigureExhibit, level: int) -> str:
    path = f"{FIGURES}/{exhibit.name}"
    links = ", ".join(f"[{ending.upper()}]({path}.{ending})" for ending in FIGURE_FORMATS)
    image = f"![{escape(exhibit.alt)}]({path}.svg)"
    return f"{'#' * level} {escape(exhibit.title)}\n\n{image}\n\n{escape(exhibit.caption)} {links}"


def _cell(cell: Cell) -> str:
    text = escape(f"{cell.text} ± {cell.spread}" if cell.spread else cell.text)
    shown = f"*{text}*" if cell.missing else _EMPHASIS[cell.emphasis].format(text)
    return f"{shown}<sup>{escape(cell.mark)}</sup>" if cell.mark else shown


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {escape(item)}" for item in items)
