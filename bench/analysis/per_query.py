"""Average precision per query from the records: by row of a table, direction and seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.analysis.groups import Data, MixedCells, RowGroup
from bench.analysis.results import Results
from bench.analysis.statistics import Array
from bench.analysis.tables import Direction, directions_of
from bench.records.schema import Series

PerQuery = Callable[[str], Mapping[Series, Array]]
"""Gives the arrays of a record by its digest, as `bench.records.Store.per_query` does."""


@dataclass(frozen=True)
class PerQueryRow:
    """One row of a table and its average precisions.

    Attributes:
        label: as in the table.
        method: registry name.
        variant: ``full`` or the name of an ablation.
        usual: whether it is the method itself with its usual settings, and the last such row.
        values: direction -> seed -> ``(queries,)``.
    """

    label: str
    method: str
    variant: str
    usual: bool
    values: dict[Direction, dict[int, Array]] = field(default_factory=lambda: defaultdict(dict))


@dataclass(frozen=True)
class PerQueryTable:
    """All rows of one data under one protocol and selection rule; nothing else may be compared with them.

    Attributes:
        data: what their records share.
        protocol: id of the evaluation rule.
        selection: rule that chose the state.
        rows: those with values.
        columns: directions of the table, which averages are over; empty for those that any row has.
    """

    data: Data
    protocol: str
    selection: str
    rows: tuple[PerQueryRow, ...]
    columns: tuple[Direction, ...] = ()

    @property
    def directions(self) -> list[Direction]:
        """Return the directions that any row has values for, in order."""
        return sorted({direction for row in self.rows for direction in row.values})

    @property
    def averaged(self) -> list[Direction]:
        """Return the directions that averages are over."""
        return list(self.columns) or self.directions


def per_query_tables(
    results: Results, protocols: Sequence[str], selection: str, per_query: PerQuery
) -> Iterator[PerQueryTable]:
    """Yield the values per query of every table, in the tables' order; rows without a result have none.

    Every record's arrays are asked for once, however many protocols there are.

    Args:
        results: records of any status.
        protocols: ids.
        selection: rule; closed-form methods, which select nothing, always take part.
        per_query: gives a record's arrays.

    Raises:
        MixedCells: if two records of a row have values for one direction and seed.
    """
    for data, groups in results.groups.items():
        records = [record for group in groups for record in group.records]
        if all(record.status != "done" for record in records):
            continue
        rows = [_rows(group, protocols, selection, per_query) for group in groups]
        columns = tuple(directions_of(records, results.labels))
        for name in protocols:
            having = tuple(row[name] for row in rows if row[name].values)
            yield PerQueryTable(data, name, selection, having, columns)


def _rows(
    group: RowGroup, protocols: Sequence[str], selection: str, per_query: PerQuery
) -> dict[str, PerQueryRow]:
    """Return a row's average precisions by protocol."""
    key = group.key
    rows = {name: PerQueryRow(group.label, key.method, key.variant, group.usual) for name in protocols}
    for record in group.records:
        for series, values in per_query(record.digest).items() if record.status == "done" else ():
            if series.protocol in rows and series.selection in (selection, "none"):
                by_seed = rows[series.protocol].values[series.query, series.gallery]
                if record.identity.seed in by_seed:
                    raise MixedCells(
                        f"{record.identity.title}: another record of {group.label} has the same queries for "
                        f"{series.query}→{series.gallery}"
                    )
                by_seed[record.identity.seed] = values
    return rows
