"""Puts the page together: words, tables, figures, records, style and script in one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.records.schema import Record
from bench.report.figures.lettering import literal
from bench.report.figures.picture import Picture
from bench.report.material import Material
from bench.report.page.exhibits import About
from bench.report.page.figures import drawings_of
from bench.report.page.overview import overview_of
from bench.report.page.records import in_order, payload, records_list
from bench.report.page.section import Part, Section
from bench.report.page.sections import sections_of

TITLE: Final = "Cross-modal retrieval benchmark"
_TEMPLATES: Final = Path(__file__).parent / "templates"
_SCRIPTS: Final = ("tables.js", "records.js", "dialog.js")
"""One after the other they are one script."""


def page_html(material: Material, pictures: Iterable[tuple[Picture, str]] = (), folder: str = "") -> str:
    """Return the page; the same records give the same text.

    Args:
        material: what to report.
        pictures: figures and their SVG, in the order of the page.
        folder: where the figures are as files, seen from the page; empty if they are not written.
    """
    records = in_order(material.records, material.labels)
    sections = [
        *sections_of(material, drawings_of(pictures, folder)),
        Section("records", "All records", [Part(exhibits=[records_list(records, material.labels)])]),
    ]
    style, script = _source("page.css"), _script()
    return (
        _environment(records)
        .get_template("page.html.jinja")
        .render(
            title=TITLE,
            overview=overview_of(material),
            sections=sections,
            choices=_choices(sections),
            payload=payload(records, material.labels),
            style=Markup(style),  # noqa: S704 (our own file)
            script=Markup(script),  # noqa: S704 (our own file)
            policy=_policy(style, script),
        )
    )


def _policy(style: str, script: str) -> str:
    """Return the content security policy: this style and this script and nothing else, from nowhere."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"


def _script() -> str:
    parts = "\n".join(_source(name) for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


@lru_cache
def _source(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _environment(records: Sequence[Record]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    places = {record.digest: place for place, record in enumerate(records)}
    environment.filters["places"] = lambda digests: " ".join(str(places[one]) for one in digests)
    return environment


def _shown(value: Any) -> Any:
    """Return a text without control characters and without those that turn the direction of writing."""
    return literal(value) if type(value) is str else value


def _choices(sections: Sequence[Section]) -> list[tuple[str, str, list[str]]]:
    """Return what the page can be narrowed down to, where it has several: attribute, label, values."""
    abouts = [about for section in sections for part in section.parts for about in _abouts(part)]
    labels = {"dataset": "Dataset", "kind": "Kind of data", "profile": "Profile", "protocol": "Protocol"}
    found = [
        (name, label, sorted({getattr(about, name) for about in abouts} - {""}, key=_kind_first))
        for name, label in labels.items()
    ]
    return [choice for choice in found if len(choice[2]) > 1]


def _kind_first(value: str) -> tuple[bool, str]:
    return value != "real", value


def _abouts(part: Part) -> Iterable[About]:
    for exhibit in part.exhibits:
        yield from (exhibit.about, *exhibit.abouts)
    yield from (drawing.about for drawing in part.drawings)
