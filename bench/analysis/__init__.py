"""From records to comparable numbers: the results frame, tables over seeds, and what must never be mixed."""

from bench.analysis.labels import Labels, registry_labels
from bench.analysis.results import COLUMNS, rows_of
from bench.analysis.tables import AVERAGE, Entry, Row, Table, tables_of

__all__ = [
    "AVERAGE",
    "COLUMNS",
    "Entry",
    "Labels",
    "Row",
    "Table",
    "registry_labels",
    "rows_of",
    "tables_of",
]
