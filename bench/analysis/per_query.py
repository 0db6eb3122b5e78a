"""Average precision per query from the records: by row of a table, direction and seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.analysis.groups import Data, MixedCells, RowGroup, by_data, row_groups
from bench.analysis.labels import Labels
from bench.analysis.tables import directions_of
from bench.records.encoding import Series
from bench.records.schema import Record

Array = NDArray[np.float64]
Direction = tuple[str, str]
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
        return sorted({direction for member in self.rows for direction in member.values})

    @property
    def averaged(self) -> list[Direction]:
        """Return the directions that averages are over."""
        return list(self.columns) or self.directions


def per_query_tables(
    records: Sequence[Record],
    labels: Labels,
    protocols: Sequence[str],
    selection: str,
    per_query: PerQuery,
) -> Iterator[PerQueryTable]:
    """Yield a field per table, in the tables' order; rows without a result are no members.

    Every record's arrays are asked for once, however many protocols there are.

    Args:
        records: of any status.
        labels: titles and order.
        protocols: ids.
        selection: rule; closed-form methods, which select nothing, always take part.
        per_query: gives a record's arrays.
    """
    for data, group in by_data(records).items():
        if all(record.status != "done" for record in group):
            continue
        members: dict[str, list[PerQueryRow]] = {protocol: [] for protocol in protocols}
        for line in row_groups(group, labels):
            for name, member in _members(line, protocols, selection, per_query).items():
                if member.values:
                    members[name].append(member)
        columns = tuple(directions_of(group, labels))
        for name in protocols:
            yield PerQueryTable(data, name, selection, tuple(members[name]), columns)


def _members(
    line: RowGroup, protocols: Sequence[str], selection: str, per_query: PerQuery
) -> dict[str, PerQueryRow]:
    """Return a line's average precisions by protocol.

    Raises:
        MixedCells: if two records have some for one direction and seed.
    """
    own = {
        name: PerQueryRow(line.label, line.identity.method, line.identity.variant, line.usual)
        for name in protocols
    }
    for record in line.records:
        for series, values in per_query(record.digest).items() if record.status == "done" else ():
            if series.protocol in own and series.selection in (selection, "none"):
                by_seed = own[series.protocol].values[series.query, series.gallery]
                if record.identity.seed in by_seed:
                    raise MixedCells(
                        f"{record.identity.title}: another record of {line.label} has the same queries for "
                        f"{series.query}→{series.gallery}"
                    )
                by_seed[record.identity.seed] = values
    return own
