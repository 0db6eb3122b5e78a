"""Average precision per query from the records: by row of a table, direction and seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.analysis.groups import Data, by_data, lines_of
from bench.analysis.naming import Naming, is_usual
from bench.records.encoding import Series
from bench.records.schema import Record

Array = NDArray[np.float64]
Direction = tuple[str, str]
PerQuery = Callable[[str], Mapping[Series, Array]]
"""Gives the arrays of a record by its digest, as `bench.records.Store.per_query` does."""


@dataclass(frozen=True)
class Member:
    """One row of a table and its average precisions.

    Attributes:
        label: as in the table.
        method: registry name.
        variant: ``full`` or the name of an ablation.
        usual: whether nothing but the method's title is needed to name it.
        values: direction -> seed -> ``(queries,)``.
    """

    label: str
    method: str
    variant: str
    usual: bool
    values: dict[Direction, dict[int, Array]] = field(default_factory=lambda: defaultdict(dict))


@dataclass(frozen=True)
class Field:
    """All rows of one data under one protocol and selection rule; nothing else may be compared with them."""

    data: Data
    protocol: str
    selection: str
    members: tuple[Member, ...]

    @property
    def directions(self) -> list[Direction]:
        """Return the directions that any row has values for, in order."""
        return sorted({direction for member in self.members for direction in member.values})


def fields_of(
    records: Sequence[Record],
    naming: Naming,
    protocols: Sequence[str],
    selection: str,
    per_query: PerQuery,
) -> Iterator[Field]:
    """Yield a field per table, in the tables' order; rows without a result are no members.

    Every record's arrays are asked for once, however many protocols there are.

    Args:
        records: of any status.
        naming: titles and order.
        protocols: ids.
        selection: rule; closed-form methods, which select nothing, always take part.
        per_query: gives a record's arrays.
    """
    done = [record for record in records if record.status == "done"]
    for data, group in by_data(done).items():
        members: dict[str, list[Member]] = {protocol: [] for protocol in protocols}
        for line in lines_of(group, naming):
            who = line.records[0].identity
            usual = is_usual(line.label, who.method, naming)
            own = {name: Member(line.label, who.method, who.variant, usual) for name in protocols}
            for record in line.records:
                for series, values in per_query(record.digest).items():
                    if series.protocol in own and series.selection in (selection, "none"):
                        by_seed = own[series.protocol].values[series.query, series.gallery]
                        by_seed[record.identity.seed] = values
            for name, member in own.items():
                if member.values:
                    members[name].append(member)
        for name in protocols:
            yield Field(data, name, selection, tuple(members[name]))
