"""Analysis of records: the results frame, tables over seeds, statistics, and keys of what may be combined."""

from bench.analysis.labels import Labels, registry_labels
from bench.analysis.results import COLUMNS, Filter, Results
from bench.analysis.tables import AVERAGE, Entry, Row, Table, tables_of

__all__ = [
    "AVERAGE",
    "COLUMNS",
    "Entry",
    "Filter",
    "Labels",
    "Results",
    "Row",
    "Table",
    "registry_labels",
    "tables_of",
]
