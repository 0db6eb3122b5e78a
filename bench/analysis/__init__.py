"""From records to comparable numbers: rows, tables over seeds, and what must never be mixed."""

from bench.analysis.naming import Naming, registry_naming
from bench.analysis.rows import COLUMNS, rows_of
from bench.analysis.tables import AVERAGE, Entry, Row, Table, tables_of

__all__ = [
    "AVERAGE",
    "COLUMNS",
    "Entry",
    "Naming",
    "Row",
    "Table",
    "registry_naming",
    "rows_of",
    "tables_of",
]
