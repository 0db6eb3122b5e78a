"""Tables for readers: arranged once as a sheet, then written as Markdown, LaTeX, HTML or CSV."""

from bench.reporting.tables.arranging import sheet_of
from bench.reporting.tables.at_a_glance import overall_sheet
from bench.reporting.tables.files import Shown, shown_tables, table_files
from bench.reporting.tables.html import document, notes_element, table_element
from bench.reporting.tables.latex import latex
from bench.reporting.tables.markdown import markdown
from bench.reporting.tables.sheet import Cell, Column, Line, Sheet
from bench.reporting.tables.values import overall_csv, table_csv

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
