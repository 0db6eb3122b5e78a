"""Tables as GitHub Markdown; the same table always gives the same bytes."""

from __future__ import annotations

from tabulate import tabulate

from bench.report.tables.sheet import Cell, Column, Sheet
from bench.report.text import escape_markdown


def markdown(sheet: Sheet, level: int = 3) -> str:
    """Return a heading, the table with the best number bold and the second underlined, and its notes.

    Args:
        sheet: what to write.
        level: of the heading.
    """
    header = [escape_markdown(sheet.corner), *map(_heading, sheet.columns)]
    body = [[escape_markdown(line.label), *map(_cell, line.cells)] for line in sheet.lines]
    text = tabulate(body, headers=header, tablefmt="github", disable_numparse=True)
    notes = "".join(f"\n{escape_markdown(note)}\n" for note in sheet.notes)
    return f"{'#' * level} {escape_markdown(sheet.caption)}\n\n{text}\n{notes}"


def _heading(column: Column) -> str:
    return escape_markdown(column.heading)


def _cell(cell: Cell) -> str:
    text = escape_markdown(cell.shown)
    shown = {"best": f"**{text}**", "second": f"<u>{text}</u>", "": text}[cell.place]
    if cell.missing:
        shown = f"*{text}*"
    return f"{shown}<sup>{escape_markdown(cell.mark)}</sup>" if cell.mark else shown
