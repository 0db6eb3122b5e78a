"""mAP tables as data: methods x directions, mean and deviation over seeds, nothing mixed that differs.

Real and look-alike data, profiles, data versions, protocols and selection rules each get tables of their
own; a method that was run with other settings than usual gets a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

from bench.analysis.cells import AVERAGE, Cells, Direction, Entry
from bench.analysis.groups import Data, by_data, lines_of
from bench.analysis.naming import Naming, is_usual
from bench.records.schema import Record

__all__ = ["AVERAGE", "Direction", "Entry", "Row", "Table", "tables_of"]


@dataclass(frozen=True)
class Row:
    """One method's line.

    Attributes:
        method: registry name.
        label: what to print: the title, with variant and unusual settings where there are any.
        pairing: ``class-matched`` where pseudo-pairs were used.
        role: of the method's card, such as ``reference``.
        entries: one per column.
        lacking: what befell the cells without a result, in words.
        usual: whether this is the method itself with its usual settings.
    """

    method: str
    label: str
    pairing: str
    role: str
    entries: dict[Direction, Entry]
    lacking: tuple[str, ...] = ()
    usual: bool = True


@dataclass(frozen=True)
class Table:
    """All methods on one dataset under one protocol.

    Attributes:
        dataset: registry name.
        kind: ``real`` or ``look-alike``.
        profile: ``quick`` or ``paper``.
        fingerprint: digest of the data.
        protocol: id of the evaluation rule.
        selection: rule that chose the state.
        columns: directions, then the average.
        rows: in the roster's order.
        reference: label of the row that marks refer to; empty where nothing was tested.
    """

    dataset: str
    kind: str
    profile: str
    fingerprint: str
    protocol: str
    selection: str
    columns: tuple[Direction, ...]
    rows: tuple[Row, ...]
    reference: str = ""

    @property
    def competing(self) -> tuple[Row, ...]:
        """Return the rows that compete for the best number.

        Reference points do not, nor do variants and other settings of a method that is there with its usual
        ones: the best of a sweep would be chosen on test data.
        """
        usual = {row.method for row in self.rows if row.usual}
        return tuple(
            row for row in self.rows if row.role != "reference" and (row.usual or row.method not in usual)
        )


def tables_of(
    records: Iterable[Record], naming: Naming, protocols: Sequence[str], selection: str = "best"
) -> list[Table]:
    """Return the tables for all records, sorted by kind, profile, dataset and protocol."""
    return [
        _table(members, data, protocol, selection, naming)
        for data, members in by_data(records).items()
        for protocol in protocols
    ]


def _table(records: list[Record], data: Data, protocol: str, selection: str, naming: Naming) -> Table:
    directions = _directions(records, naming.modalities(data.dataset))
    return Table(
        data.dataset,
        data.kind,
        data.profile,
        data.fingerprint,
        protocol,
        selection,
        (*directions, AVERAGE),
        tuple(
            _row(line.label, naming, Cells(line.records, protocol, selection), directions)
            for line in lines_of(records, naming)
        ),
    )


def _directions(records: list[Record], order: Sequence[str]) -> list[Direction]:
    """Return all directions, in the dataset's order of modalities or else in that of the widest record."""
    present = {name for record in records for name in record.identity.modalities}
    widest = max((record.identity.modalities for record in records), key=len)
    known = [name for name in order or widest if name in present]
    return list(permutations([*known, *sorted(present - set(known))], 2))


def _row(label: str, naming: Naming, cells: Cells, directions: list[Direction]) -> Row:
    method = cells.records[0].identity.method
    pairings = {record.result.pairing for record in cells.records if record.result is not None}
    entries = {direction: cells.entry(direction) for direction in directions}
    return Row(
        method=method,
        label=label,
        pairing="class-matched" if "class-matched" in pairings else "",
        role=naming.role(method),
        entries={**entries, AVERAGE: cells.average(directions)},
        lacking=cells.lacking(),
        usual=is_usual(label, method, naming),
    )
