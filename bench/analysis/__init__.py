"""From records to comparable numbers: rows, tables over seeds, and what must never be mixed."""

from bench.analysis.rows import COLUMNS, rows_of
from bench.analysis.tables import Entry, Row, Table, tables_of

__all__ = ["COLUMNS", "Entry", "Row", "Table", "rows_of", "tables_of"]
