"""The list of all figures, as a Markdown page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.report.figures.picture import Picture
from bench.report.figures.saving import ENDINGS
from bench.report.text import escape_markdown

FOLDER: Final = "figures"
"""Where the files are, seen from the page."""


def figures_page(pictures: Sequence[Picture]) -> str:
    """Return a page with every figure under its section: title, picture, caption, and the files of it."""
    parts = [
        "# Figures",
        "Every figure is an SVG and a PDF for papers, letters as text, at most 3.4 inches wide for one "
        "column and 7 for two, and a PNG for slides. A method has one colour, marker and line everywhere; "
        "marker and filling tell it apart in black and white.",
    ]
    if not pictures:
        parts.append("These records give no figure.")
    for section in dict.fromkeys(picture.section for picture in pictures):
        parts.append(f"## {escape_markdown(section)}")
        for picture in pictures:
            if picture.section == section:
                parts += _shown(picture)
    return "\n\n".join(parts) + "\n"


def _shown(picture: Picture) -> list[str]:
    path = f"{FOLDER}/{picture.stem}"
    links = ", ".join(f"[{ending.upper()}]({path}.{ending})" for ending in ENDINGS)
    return [
        f"### {escape_markdown(picture.title)}",
        f"![{escape_markdown(picture.alt)}]({path}.svg)",
        f"{escape_markdown(picture.caption)} {links}",
    ]
