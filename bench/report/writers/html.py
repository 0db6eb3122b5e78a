"""Tables as HTML: a ``<table>`` for any page, or a page with one table; all texts are escaped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from markupsafe import Markup
from markupsafe import escape as escape_markup

from bench.report.exhibit import FILTERS, Cell, Subject, TableExhibit
from bench.report.text import visible

Link = Callable[[Sequence[str]], str]
"""Gives the attributes of a link to records, by their digests."""

WIDE: Final = 9
"""Columns from which a table has smaller letters."""
_LONG: Final = 32  # characters from which a text is broken
_EMPHASIS: Final = {"best": "<strong>{}</strong>", "second": "<u>{}</u>", "": "{}"}
_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;margin:1rem;max-width:120rem}"
    "div{overflow-x:auto}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "caption{text-align:left;font-weight:bold;padding:.5em 0}"
    "th,td{padding:.2em .6em;text-align:right;white-space:nowrap}"
    "tbody th,thead tr:first-child th:first-child,.words{text-align:left;font-weight:normal}"
    "tbody th{white-space:normal;min-width:12em;max-width:24em}"
    "thead{border-top:2px solid;border-bottom:1px solid}"
    "thead th[scope=colgroup]{text-align:center}"
    "tbody{border-bottom:2px solid}"
    "td.missing{font-style:italic}"
    "abbr{text-decoration:none}"
    "small.none{visibility:hidden}"
    "ul{padding-left:1.2em;max-width:60rem}"
)


def escape(text: str) -> str:
    """Return text in one line, escaped for HTML and its attributes."""
    return str(escape_markup(visible(text)))


def attributes(subject: Subject) -> str:
    """Return the filters of a subject as attributes, each after a space."""
    filters = ((name, getattr(subject, name)) for name in FILTERS)
    return "".join(f' data-{name}="{escape(value)}"' for name, value in filters if value)


def table(exhibit: TableExhibit, link: Link | None = None) -> Markup:
    """Return a ``<table>``: caption, heads with their scope, best bold, second underlined.

    Cells with a number have it in full precision as ``data-value``, to sort by, and the link that ``link``
    gives; cells without one are of the class ``missing``.
    """
    words = exhibit.words
    indices = range(len(exhibit.columns))
    spread = [any(line.cells[index].spread for line in exhibit.lines) for index in indices]
    rows = []
    for line in exhibit.lines:
        anchor = f' id="{escape(line.anchor)}"' if line.anchor else ""
        search = f' data-method="{escape(line.search)}"' if line.search else ""
        name, sign, settings = visible(line.label).partition(" [")
        small = f" <small>[{escape(settings)}</small>" if sign else ""
        label = f'<th scope="row"{_class(_long(line.label))}>{escape(name)}{small}</th>'
        cells = "".join(map(_cell, line.cells, words, spread, [link] * len(words)))
        rows.append(f"<tr{anchor}{search}{attributes(line.subject)}>{label}{cells}</tr>\n")
    wide = ' class="wide"' if len(exhibit.columns) >= WIDE else ""
    text = (
        f'<table id="{escape(exhibit.name)}" data-protocol="{escape(exhibit.subject.protocol)}"{wide}>\n'
        f"<caption>{escape(exhibit.caption)}</caption>\n{_head(exhibit, words)}"
        f"<tbody>\n{''.join(rows)}</tbody>\n</table>\n"
    )
    return Markup(text)  # noqa: S704 (escaped)


def notes(sentences: Sequence[str]) -> Markup:
    """Return the notes of a table as a ``<ul>``; empty without notes."""
    items = "".join(f"<li>{escape(note)}</li>\n" for note in sentences)
    return Markup(f'<ul class="notes">\n{items}</ul>\n' if items else "")  # noqa: S704 (escaped)


def document(exhibit: TableExhibit) -> str:
    """Return a complete page with the table and its notes."""
    title = escape(exhibit.caption)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<div role="region" aria-label="{title}" tabindex="0">\n{table(exhibit)}</div>\n'
        f"{notes(exhibit.notes)}</body>\n</html>\n"
    )


def _head(exhibit: TableExhibit, words: Sequence[bool]) -> str:
    heads = []
    for index, (column, is_words) in enumerate(zip(exhibit.columns, words, strict=True)):
        text = escape(column.heading)
        if column.meaning:
            text = f'<abbr title="{escape(column.meaning)}">{text}</abbr>'
        direction = f' data-direction="{escape(column.direction)}"' if column.direction else ""
        kind = ' class="words"' if is_words else ""
        heads.append(f'<th scope="col" data-column="{index + 1}"{direction}{kind}>{text}</th>')
    corner = f'<th scope="col" data-column="0">{escape(exhibit.corner)}</th>'
    if not any(column.group for column in exhibit.columns):
        return f"<thead>\n<tr>{corner}{''.join(heads)}</tr>\n</thead>\n"
    spans, below, index = ["<colgroup></colgroup>"], list[str](), 0
    above = [corner.replace("<th", '<th rowspan="2"', 1)]
    for group, count in exhibit.groups:
        spans.append(f'<colgroup span="{count}"></colgroup>')
        if group:
            above.append(f'<th scope="colgroup" colspan="{count}">{escape(group)}</th>')
            below += heads[index : index + count]
        else:
            above.append(heads[index].replace("<th", '<th rowspan="2"', 1))
        index += count
    rows = f"<tr>{''.join(above)}</tr>\n<tr>{''.join(below)}</tr>\n"
    return f"{''.join(spans)}\n<thead>\n{rows}</thead>\n"


def _cell(cell: Cell, words: bool, spread: bool, link: Link | None) -> str:
    text = _EMPHASIS[cell.emphasis].format(escape(cell.text))
    if cell.spread:
        text += f"<small> ± {escape(cell.spread)}</small>"
    if link is not None and cell.records:
        text = f"<a {link(cell.records)}>{text}</a>"
    if cell.mark:
        text += f"<sup>{escape(cell.mark)}</sup>"
    if spread and cell.number is not None and not cell.spread:
        text += '<small class="none"> ± 0.000</small>'  # aligns the digits of a column
    value = "" if cell.number is None else f' data-value="{cell.number!r}"'
    names = ["missing"] if cell.missing else ["words", *_long(cell.text)] if words else []
    return f"<td{value}{_class(names)}>{text}</td>"


def _long(text: str) -> list[str]:
    return ["long"] if len(text) > _LONG else []


def _class(names: Sequence[str]) -> str:
    return f' class="{" ".join(names)}"' if names else ""
