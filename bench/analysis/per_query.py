"""Average precision per query from the records: by row of a table, direction and seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.analysis.groups import Data
from bench.analysis.results import Results
from bench.analysis.statistics import Array
from bench.analysis.tables import Direction, directions_of
from bench.records.protocols import base_of
from bench.records.schema import Series

PerQuery = Callable[[str], Mapping[Series, Array]]
"""Gives the arrays of a record by its digest, as `bench.records.Store.per_query` does."""


@dataclass(frozen=True)
class PerQueryRow:
    """One row of a table and its average precisions."""

    label: str
    method: str
    variant: str
    usual: bool
    # direction -> seed -> ``(queries,)``
    values: dict[Direction, dict[int, Array]] = field(default_factory=lambda: defaultdict(dict))
    other_modalities: bool = False  # see `RowGroup`


@dataclass(frozen=True)
class PerQueryTable:
    """All rows of one data under one protocol and selection rule; nothing else may be compared with them."""

    data: Data  # what their records share
    protocol: str
    selection: str
    rows: tuple[PerQueryRow, ...]  # those with values
    columns: tuple[Direction, ...] = ()  # that averages are over; empty for those that any row has

    @property
    def key(self) -> tuple[Data, str, str]:
        """Return data, protocol and selection rule."""
        return self.data, self.protocol, self.selection

    @property
    def directions(self) -> list[Direction]:
        """Return the directions that any row has values for, in order."""
        return sorted({direction for row in self.rows for direction in row.values})


def per_query_tables(
    results: Results, protocols: Sequence[str], selection: str, per_query: PerQuery
) -> Iterator[PerQueryTable]:
    """Yield the values per query of every table, in the tables' order; rows without a result have none.

    ``protocols`` are ids without ``/gallery``; closed-form methods, which select nothing, always take part.
    Every record's arrays are read once, however many protocols there are.
    """
    for data, groups in results.groups.items():
        rows: dict[str, list[PerQueryRow]] = {name: [] for name in protocols}
        for group in groups:
            for of_protocol in rows.values():
                of_protocol.append(
                    PerQueryRow(
                        group.label, *group.key[:2], group.usual, other_modalities=group.other_modalities
                    )
                )
            for record in group.records:
                for series, values in per_query(record.digest).items() if record.status == "done" else ():
                    name = base_of(series.protocol)
                    if name in rows and series.selection in (selection, "none"):
                        rows[name][-1].values[series.query, series.gallery][record.identity.seed] = values
        columns = tuple(directions_of(groups, results.labels))
        done = any(record.status == "done" for group in groups for record in group.records)
        for name in protocols if done else ():
            having = tuple(row for row in rows[name] if row.values)
            yield PerQueryTable(data, results.protocol_id(data, name), selection, having, columns)
