"""Analysis of records: the results frame, tables over seeds, statistics, and keys of what may be combined."""

from bench.analysis.labels import Labels, registry_labels
from bench.analysis.results import COLUMNS, Filter, Results
from bench.analysis.tables import AVERAGE, Entry, Row, Table, tables_of
