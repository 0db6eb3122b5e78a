"""Tables as HTML: a ``<table>`` for any page, and a page of its own; everything in it is escaped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from markupsafe import Markup, escape

from bench.report.tables.sheet import Cell, Column, Line, Sheet

Link = Callable[[tuple[str, ...]], str]
"""Gives the address that a number leads to, by the digests of its records; empty for none."""

_EMPHASIS: Final = {"best": "strong", "second": "u"}
_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;margin:1rem;max-width:120rem}"
    "div{overflow-x:auto}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "caption{text-align:left;font-weight:bold;padding:.5em 0}"
    "th,td{padding:.2em .6em;text-align:right;white-space:nowrap}"
    "tbody th,thead tr:first-child th:first-child{text-align:left;font-weight:normal}"
    "tbody th{white-space:normal;min-width:12em;max-width:24em}"
    "thead{border-top:2px solid;border-bottom:1px solid}"
    "thead th[scope=colgroup]{text-align:center}"
    "tbody{border-bottom:2px solid}"
    "td.missing{font-style:italic}"
    "abbr{text-decoration:none}"
    "ul{padding-left:1.2em;max-width:60rem}"
)


def table_element(sheet: Sheet, link: Link | None = None) -> Markup:
    """Return the table as a ``<table>``: caption, heads with their scope, best bold, second underlined.

    Cells with a number have it in full precision as ``data-value``, to sort by; cells without one are of
    the class ``missing``.

    Args:
        sheet: what to write.
        link: where a number leads to, if anywhere.
    """
    return Markup(
        "<table>\n<caption>{}</caption>\n{}<thead>\n{}</thead>\n<tbody>\n{}</tbody>\n</table>\n"
    ).format(sheet.caption, _spans(sheet), _head(sheet), _joined(_row(line, link) for line in sheet.lines))


def notes_element(sheet: Sheet) -> Markup:
    """Return the notes below a table as a ``<ul>``; nothing where there are none."""
    if not sheet.notes:
        return Markup()
    items = _joined(Markup("<li>{}</li>\n").format(note) for note in sheet.notes)
    return Markup('<ul class="notes">\n{}</ul>\n').format(items)


def document(sheet: Sheet) -> str:
    """Return a page that holds the table and its notes and needs nothing else."""
    return Markup(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n"
        '<div role="region" aria-label="{}" tabindex="0">\n{}</div>\n{}</body>\n</html>\n'
    ).format(sheet.caption, Markup(_STYLE), sheet.caption, table_element(sheet), notes_element(sheet))  # noqa: S704


def _spans(sheet: Sheet) -> Markup:
    """Return the groups of columns, without which a head's ``colgroup`` would mean nothing."""
    if not sheet.grouped:
        return Markup()
    spans = _joined(Markup('<colgroup span="{}"></colgroup>').format(count) for _, count in sheet.groups)
    return Markup("<colgroup></colgroup>{}\n").format(spans)


def _head(sheet: Sheet) -> Markup:
    if not sheet.grouped:
        heads = _joined(_single(column) for column in sheet.columns)
        return Markup('<tr><th scope="col">{}</th>{}</tr>\n').format(sheet.corner, heads)
    above, place = [], 0
    for group, count in sheet.groups:
        above.append(
            Markup('<th scope="colgroup" colspan="{}">{}</th>').format(count, group)
            if group
            else _single(sheet.columns[place], rows=2)
        )
        place += count
    below = _joined(_single(column) for column in sheet.columns if column.group)
    return Markup('<tr><th scope="col" rowspan="2">{}</th>{}</tr>\n<tr>{}</tr>\n').format(
        sheet.corner, _joined(above), below
    )


def _single(column: Column, rows: int = 1) -> Markup:
    text = escape(column.heading)
    if column.meaning:
        text = Markup('<abbr title="{}">{}</abbr>').format(column.meaning, text)
    over = Markup(' rowspan="{}"').format(rows) if rows > 1 else Markup()
    return Markup('<th scope="col"{}>{}</th>').format(over, text)


def _row(line: Line, link: Link | None) -> Markup:
    cells = _joined(_cell(cell, link) for cell in line.cells)
    return Markup('<tr><th scope="row">{}</th>{}</tr>\n').format(line.label, cells)


def _cell(cell: Cell, link: Link | None) -> Markup:
    if cell.missing:
        return Markup('<td class="missing">{}</td>').format(cell.text)
    shown = escape(cell.shown)
    if cell.place:
        shown = Markup("<{0}>{1}</{0}>").format(_EMPHASIS[cell.place], shown)
    address = link(cell.records) if link is not None and cell.records else ""
    if address:
        shown = Markup('<a href="{}">{}</a>').format(address, shown)
    if cell.mark:
        shown += Markup("<sup>{}</sup>").format(cell.mark)
    value = Markup() if cell.number is None else Markup(' data-value="{}"').format(repr(cell.number))
    return Markup("<td{}>{}</td>").format(value, shown)


def _joined(parts: object) -> Markup:
    return Markup().join(parts)  # type: ignore[arg-type]
