"""The statistics on the page: what tests say in words, and their numbers, which lead to what was tested."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from bench.analysis.across import Block
from bench.analysis.groups import Data
from bench.analysis.tables import AVERAGE, Direction, Table
from bench.reporting.material import Material
from bench.reporting.page.exhibits import About, Exhibit, about_data, plain_sheet
from bench.reporting.page.results import data_of_table
from bench.reporting.page.section import Part, Section
from bench.reporting.statistics import (
    ACROSS_NOTE,
    PAIRED_NOTE,
    Finding,
    Passage,
    across_passages,
    paired_passages,
)
from bench.reporting.tables import Cell, Line
from bench.reporting.text import file_stem, stem_of

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
        (data_of_table(table), table.protocol, row.label, direction): entry.records
        for table in tables
        for row in table.rows
        for direction, entry in row.entries.items()
    }


def _exhibit(passage: Passage, sources: _Sources, first: str) -> Exhibit:
    about = passage.about
    if isinstance(about, Block):
        name = file_stem("across", about.kind, about.profile, about.protocol)
        tested = About("", about.kind, about.profile, about.protocol)
        title = about.datasets[0] if len(about.datasets) == 1 else f"{len(about.datasets)} datasets"
        datas = list(dict.fromkeys(data for data, protocol, *_ in sources if _fits(data, protocol, about)))
    else:
        name = f"paired_{stem_of(about.data)}_{file_stem(about.protocol)}"
        tested, datas = about_data(about.data, about.protocol), [about.data]
        title = about.data.dataset
    lines = [_line(finding, datas, tested.protocol, sources) for finding in passage.findings]
    sheet = plain_sheet(name, passage.headings or ("",), lines, passage.title)
    return Exhibit(
        replace(sheet, notes=passage.closing),
        title=title,
        about=tested,
        methods=[" ".join(finding.labels) for finding in passage.findings],
        said=passage.sentences,
        fold="numbers" if tested.protocol == first else "all",
    )


def _fits(data: Data, protocol: str, block: Block) -> bool:
    same = (data.kind, data.profile, protocol) == (block.kind, block.profile, block.protocol)
    return same and data.dataset in block.datasets


def _line(finding: Finding, datas: Sequence[Data], protocol: str, sources: _Sources) -> Line:
    records = tuple(dict.fromkeys(_behind(finding, datas, protocol, sources)))
    first, *others = finding.cells
    return Line(first, tuple(_cell(text, records) for text in others))


def _behind(finding: Finding, datas: Sequence[Data], protocol: str, sources: _Sources) -> Iterator[str]:
    for data in datas:
        for label in finding.labels:
            yield from sources.get((data, protocol, label, finding.direction or AVERAGE), ())


def _cell(text: str, records: tuple[str, ...]) -> Cell:
    try:
        return Cell(text, number=float(text), records=records)
    except ValueError:  # words, or an interval
        return Cell(text, records=records if " to " in text else ())
