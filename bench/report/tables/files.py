"""Every table of a report in every format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bench.report.material import Material
from bench.report.tables.arranging import sheet_of
from bench.report.tables.at_a_glance import overall_sheet
from bench.report.tables.html import document
from bench.report.tables.latex import latex
from bench.report.tables.markdown import markdown
from bench.report.tables.sheet import Sheet
from bench.report.tables.values import overall_csv, table_csv


class Shown(NamedTuple):
    """A table of the report.

    Attributes:
        kind: ``real`` or ``look-alike``.
        sheet: for people.
        values: as CSV.
    """

    kind: str
    sheet: Sheet
    values: str


def shown_tables(material: Material) -> list[Shown]:
    """Return the tables over all datasets, then those of one dataset each, in the tables' order."""
    shown = [Shown(one.kind, overall_sheet(one), overall_csv(one)) for one in material.overalls]
    return shown + [Shown(table.kind, sheet_of(table), table_csv(table)) for table in material.tables]


def table_files(shown: Iterable[Shown]) -> dict[str, str]:
    """Return file name -> content: Markdown, LaTeX, HTML and CSV of every table."""
    files: dict[str, str] = {}
    for _, sheet, values in shown:
        forms = {".md": markdown(sheet), ".tex": latex(sheet), ".html": document(sheet), ".csv": values}
        files |= {f"{sheet.name}{ending}": form for ending, form in forms.items()}
    return files
