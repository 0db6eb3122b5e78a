"""The statistics on the page: what tests say in words, and their numbers, which lead to what was tested."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from bench.analysis.across_datasets import Block
from bench.analysis.groups import Data
from bench.analysis.per_query import PerQueryTable
from bench.analysis.tables import AVERAGE, Direction, Table
from bench.report.material import Material
from bench.report.page.exhibits import Exhibit, about_across, about_data, plain_sheet
from bench.report.page.section import Part, Section
from bench.report.statistics import (
    ACROSS_NOTE,
    PAIRED_NOTE,
    Finding,
    Passage,
    across_passages,
    paired_passages,
)
from bench.report.tables import Cell, Line
from bench.report.text import file_stem, made_by_stem, stem_of

_Sources = Mapping[tuple[Data, str, str, Direction], tuple[str, ...]]
"""Digests behind a number, by data, protocol, label and direction."""


def statistics(material: Material) -> Section:
    """Return the section of what tests show and cannot show."""
    sources = _sources(material.tables)
    first = material.protocols[0]
    across = [_exhibit(passage, sources, first) for passage in across_passages(material.standings)]
    paired = [_exhibit(passage, sources, first) for passage in paired_passages(material.shown_families)]
    parts = [Part("Over datasets", (ACROSS_NOTE,), across), Part("Paired by query", (PAIRED_NOTE,), paired)]
    return Section("statistics", "Statistics", [part for part in parts if part.exhibits])


def _sources(tables: Iterable[Table]) -> _Sources:
    return {
        (table.data, table.protocol, row.label, direction): entry.records
        for table in tables
        for row in table.rows
        for direction, entry in row.entries.items()
    }


def _exhibit(passage: Passage, sources: _Sources, first: str) -> Exhibit:
    about = passage.about
    if isinstance(about, Block):
        name = file_stem(
            *("across", about.kind, about.profile, about.protocol),
            *made_by_stem(about.about.device, about.about.harness),
        )
        tested = about_across(about.about)
        title = about.datasets[0] if len(about.datasets) == 1 else f"{len(about.datasets)} datasets"
    else:
        name = f"paired_{stem_of(about.data)}_{file_stem(about.protocol)}"
        tested = about_data(about.data, about.protocol)
        title = about.data.dataset
    lines = [_line(finding, about, sources) for finding in passage.findings]
    sheet = plain_sheet(name, passage.headings or ("",), lines, passage.title)
    return Exhibit(
        replace(sheet, notes=passage.closing),
        title=title,
        about=tested,
        methods=[" ".join(finding.labels) for finding in passage.findings],
        said=passage.sentences,
        fold="numbers" if tested.protocol == first else "all",
    )


def _line(finding: Finding, about: PerQueryTable | Block, sources: _Sources) -> Line:
    records = tuple(dict.fromkeys(_behind(finding, about, sources)))
    cells = tuple(map(_cell, finding.cells, finding.numbers, [records] * len(finding.cells)))
    return Line(finding.cells[0], cells[1:])


def _behind(finding: Finding, about: PerQueryTable | Block, sources: _Sources) -> Iterator[str]:
    for label in finding.labels:
        if isinstance(about, Block):
            yield from about.records[about.methods.index(label)]
        else:
            yield from sources.get((about.data, about.protocol, label, finding.direction or AVERAGE), ())


def _cell(text: str, number: float | None, records: tuple[str, ...]) -> Cell:
    """Return a cell that leads to its records where it is a number, or an interval."""
    finite = number is not None and math.isfinite(number)
    return Cell(text, number=number if finite else None, records=records if finite or " to " in text else ())
