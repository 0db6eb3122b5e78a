"""The mAP tables on the page: all datasets at a glance, then one by one, real data before look-alikes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bench.analysis.across_datasets import SummaryTable
from bench.analysis.tables import AVERAGE, Table
from bench.report.material import Material
from bench.report.page.exhibits import Exhibit, about_across, about_data
from bench.report.page.section import Part, Section
from bench.report.tables import overall_sheet, sheet_of

LOOK_ALIKE_NOTE: Final = (
    "Generated data that only has a benchmark's shape: these numbers say nothing about the benchmark."
)
_MARKS_NOTE: Final = (
    "Best bold, second underlined. Every number leads to the records behind it: settings, seeds, selection "
    "and the command that makes them again."
)


def results(material: Material) -> Section:
    """Return the section of all mAP tables; of several protocols the first is open."""
    first = material.protocols[0]
    tables = [_table(one, one.protocol != first) for one in material.tables]
    overalls = [_overall(one, one.protocol != first) for one in material.overalls]
    shared = _shared_notes(tables)
    parts = [Part(said=(_MARKS_NOTE,), notes=shared)] if tables else []
    for kind, title, said in (("real", "Real data", ()), ("look-alike", "Look-alikes", (LOOK_ALIKE_NOTE,))):
        exhibits = [_without(one, shared) for one in (*overalls, *tables) if one.about.kind == kind]
        if exhibits:
            parts.append(Part(title, said, exhibits, kind=kind))
    return Section("tables", "mAP tables", parts)


def _shared_notes(exhibits: Sequence[Exhibit]) -> list[str]:
    """Return the notes that most of several tables have: they are said once, above."""
    counts = Counter(note for exhibit in exhibits for note in exhibit.sheet.notes)
    return [note for note, count in counts.items() if count > 1 and 2 * count > len(exhibits)]


def _without(exhibit: Exhibit, notes: Sequence[str]) -> Exhibit:
    own = tuple(note for note in exhibit.sheet.notes if note not in notes)
    return replace(exhibit, sheet=replace(exhibit.sheet, notes=own))


def _table(table: Table, folded: bool) -> Exhibit:
    return Exhibit(
        replace(sheet_of(table), caption=f"{table.protocol}, selection {table.selection}"),
        title=table.dataset,
        about=about_data(table.data, table.protocol),
        methods=[f"{row.label} {row.method}" for row in table.rows],
        directions=table.columns,
        selection=table.selection,
        fold="all" if folded else "",
    )


def _overall(overall: SummaryTable, folded: bool) -> Exhibit:
    return Exhibit(
        replace(overall_sheet(overall), caption=f"{overall.protocol}, selection {overall.selection}"),
        title="All datasets",
        about=about_across(overall.about),
        methods=[line.label for line in overall.lines],
        directions=[AVERAGE] * len(overall.datasets),
        selection=overall.selection,
        fold="all" if folded else "",
    )
