"""mAP tables as data: methods x directions, mean and deviation over seeds, nothing mixed that differs.

What `bench.analysis.groups.Data` names, protocols and selection rules each get tables of their own; what
`bench.analysis.lines.Kin` names gets rows of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

from bench.analysis.cells import AVERAGE, Cells, Direction, Entry, Zeros
from bench.analysis.chance import NearChance, near_chance
from bench.analysis.groups import Data, by_data
from bench.analysis.lines import Line, lines_of
from bench.analysis.naming import Naming
from bench.records.schema import Record

__all__ = ["AVERAGE", "Direction", "Entry", "Row", "Table", "directions_of", "row_of", "tables_of"]


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
        usual: whether this is the method itself with its usual settings, and the last such row.
        title: the method's title, unlike any other method's of the table.
        threads: CPU threads of the fits.
        code: versions of the method and its toolkit.
        near: how near to chance its numbers are; None where they are not.
    """

    method: str
    label: str
    pairing: str
    role: str
    entries: dict[Direction, Entry]
    lacking: tuple[str, ...] = ()
    usual: bool = True
    title: str = ""
    threads: int = 1
    code: str = ""
    near: NearChance | None = None

    @property
    def zeros(self) -> tuple[Zeros, ...]:
        """Return the test rows without a direction in any of its numbers, by seed."""
        found = dict.fromkeys(one for entry in self.entries.values() for one in entry.zeros)
        return tuple(sorted(found, key=lambda one: (one.seed, one.modality)))


@dataclass(frozen=True)
class Table:
    """All methods on one data under one protocol.

    Attributes:
        data: what its records share.
        protocol: id of the evaluation rule.
        selection: rule that chose the state.
        columns: directions, then the average.
        rows: in the roster's order.
        reference: label of the row that marks refer to; empty where nothing was tested.
    """

    data: Data
    protocol: str
    selection: str
    columns: tuple[Direction, ...]
    rows: tuple[Row, ...]
    reference: str = ""

    @property
    def dataset(self) -> str:
        """Return the registry name of the dataset."""
        return self.data.dataset

    @property
    def kind(self) -> str:
        """Return ``real`` or ``look-alike``."""
        return self.data.kind

    @property
    def profile(self) -> str:
        """Return ``quick`` or ``paper``."""
        return self.data.profile

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Return the columns without the average."""
        return tuple(column for column in self.columns if column != AVERAGE)

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
    """Return the tables for all records, sorted by data, then in the order of the protocols."""
    return [
        _table(data, members, lines, naming, protocol, selection)
        for data, members in by_data(records).items()
        for lines in [lines_of(members, naming)]
        for protocol in protocols
    ]


def directions_of(records: Sequence[Record], naming: Naming) -> list[Direction]:
    """Return all directions of records of one dataset.

    They are in the dataset's order of modalities, or else in that of the widest record.
    """
    present = {name for record in records for name in record.identity.modalities}
    widest = max((record.identity.modalities for record in records), key=lambda names: (len(names), names))
    order = naming.modalities(records[0].identity.dataset) or widest
    known = [name for name in order if name in present]
    return list(permutations([*known, *sorted(present - set(known))], 2))


def row_of(line: Line, naming: Naming, protocol: str, selection: str, directions: Sequence[Direction]) -> Row:
    """Return a line's numbers under a protocol and selection rule.

    Raises:
        MixedCells: if two records give the same number.
    """
    cells = Cells(line.records, protocol, selection)
    pairings = {record.result.pairing for record in line.records if record.result is not None}
    entries = {direction: cells.entry(direction) for direction in directions}
    return Row(
        method=line.who.method,
        label=line.label,
        pairing="class-matched" if "class-matched" in pairings else "",
        role=naming.role(line.who.method),
        entries={**entries, AVERAGE: cells.average(directions)},
        lacking=cells.lacking(),
        usual=line.usual,
        title=line.title,
        threads=line.who.threads,
        code=line.who.code,
        near=near_chance(line.records, selection),
    )


def _table(
    data: Data,
    records: Sequence[Record],
    lines: Sequence[Line],
    naming: Naming,
    protocol: str,
    selection: str,
) -> Table:
    directions = directions_of(records, naming)
    rows = tuple(row_of(line, naming, protocol, selection, directions) for line in lines)
    return Table(data, protocol, selection, (*directions, AVERAGE), rows)
