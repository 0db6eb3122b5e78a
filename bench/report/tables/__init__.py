"""Tables for readers: arranged once as a sheet, then written as Markdown, LaTeX, HTML or CSV."""

from bench.report.tables.arranging import sheet_of
from bench.report.tables.at_a_glance import overall_sheet
from bench.report.tables.files import Shown, shown_tables, table_files
from bench.report.tables.html import document, notes_element, table_element
from bench.report.tables.latex import latex
from bench.report.tables.markdown import markdown
from bench.report.tables.sheet import Cell, Column, Line, Sheet
from bench.report.tables.values import overall_csv, table_csv

__all__ = [
    "Cell",
    "Column",
    "Line",
    "Sheet",
    "Shown",
    "document",
    "latex",
    "markdown",
    "notes_element",
    "overall_csv",
    "overall_sheet",
    "sheet_of",
    "shown_tables",
    "table_csv",
    "table_element",
    "table_files",
]
