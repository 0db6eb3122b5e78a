"""The page: one HTML file with the whole report, for any browser, without a network."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.report.exhibit import FILTERS, Exhibit, FigureExhibit, Part, Subject, TableExhibit, Topic
from bench.report.page.overview import overview_of
from bench.report.page.records import payload
from bench.report.report_data import ReportData
from bench.report.text import visible
from bench.report.topics.records import in_order
from bench.report.writers import html

TITLE: Final = "Cross-modal retrieval benchmark"
_TEMPLATES: Final = Path(__file__).parent / "templates"
_SCRIPTS: Final = ("tables.js", "records.js")
"""In this order they are one script."""
_POINT: Final = 5 / 3
"""Pixels of a page in a point: more than the usual 4/3, for letters of a printed figure are small."""
_SIZE: Final = re.compile(rb'<svg [^>]*?\bwidth="([\d.]+)pt"')


def page_html(
    data: ReportData,
    sections: Sequence[tuple[Topic, list[Part]]],
    drawings: Mapping[str, bytes] | None = None,
    folder: str = "",
) -> str:
    """Return the page of topics with their tables and figures; the same records give the same text.

    ``drawings`` are the figures as SVG by name. ``folder`` is where these are as files, seen from the page;
    empty if they are not written.
    """
    records = in_order(data.records, data.labels)
    overview = overview_of(data)
    shown = [
        (topic, _without_repeated_notes([*filter(None, parts)])) for topic, parts in sections if any(parts)
    ]
    style = _source("page.css")
    script = '"use strict";\n(() => {\n' + "\n".join(map(_source, _SCRIPTS)) + "})();\n"
    template = _environment({record.digest: index for index, record in enumerate(records)})
    text: str = template.render(
        title=TITLE,
        overview=overview,
        sections=shown,
        choices=_choices([exhibit for _, parts in shown for part in parts for exhibit in part.exhibits]),
        payload=payload(records, data),
        style=Markup(style),  # noqa: S704 (a file of this package)
        script=Markup(script),  # noqa: S704 (a file of this package)
        policy=(
            f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        ),
        drawings={name: _image(svg) for name, svg in (drawings or {}).items()},
        folder=folder,
    )
    return text


def _environment(numbers: Mapping[str, int]) -> Any:
    """Return the page's template; it links numbers to records by digest or by position in the payload."""

    def link(digests: Sequence[str]) -> str:
        several = " ".join(str(numbers[digest]) for digest in digests if digest in numbers)
        more = f' data-records="{several}"' if len(digests) > 1 else ""
        return f'href="#record-{html.escape(digests[0])}"{more}'

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {
        "table": lambda exhibit: html.table(exhibit, link),
        "attributes": lambda subject: Markup(html.attributes(subject)),  # noqa: S704 (escaped)
        "notes": html.notes,
    }
    environment.tests["table"] = lambda exhibit: isinstance(exhibit, TableExhibit)
    return environment.get_template("page.html.jinja")


def _image(svg: bytes) -> tuple[str, int]:
    """Return the address of a drawing, which is the drawing itself, and its width in pixels."""
    size = _SIZE.search(svg)
    width = round(_POINT * float(size[1])) if size else 640
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}", width


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"


def _source(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _without_repeated_notes(parts: Sequence[Part]) -> list[Part]:
    """Return parts; a note that most of several tables have is moved above them, once."""
    tables = [table for part in parts for table in part.tables]
    counts = Counter(note for table in tables for note in table.notes)
    shared = [note for note, count in counts.items() if count > 1 and 2 * count > len(tables)]
    if not shared:
        return list(parts)

    def stripped(one: Exhibit) -> Exhibit:
        if isinstance(one, FigureExhibit):
            return one
        return replace(one, notes=tuple(note for note in one.notes if note not in shared))

    first, *rest = (replace(part, exhibits=[*map(stripped, part.exhibits)]) for part in parts)
    return [replace(first, notes=[*first.notes, *shared]), *rest]


def _choices(exhibits: Sequence[Exhibit]) -> list[tuple[str, str, list[str]]]:
    """Return the filters of the page with several values: attribute, label, values."""
    subjects: set[Subject] = set()
    for exhibit in exhibits:
        subjects.add(exhibit.subject)
        if isinstance(exhibit, TableExhibit):
            subjects |= {line.subject for line in exhibit.lines}
    found = []
    for name in FILTERS:
        values = {getattr(subject, name) for subject in subjects} - {""}
        if len(values) > 1:
            label = "Kind of data" if name == "kind" else name.capitalize()
            found.append((name, label, sorted(values, key=lambda value: (value != "real", value))))
    return found
