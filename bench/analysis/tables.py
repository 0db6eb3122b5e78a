"""mAP tables: methods x directions, mean and deviation over seeds; ranks within a table."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

from bench.analysis.chance import NearChance, near_chance
from bench.analysis.groups import Data, MixedCells, RowGroup, by_data, row_groups
from bench.analysis.labels import Labels
from bench.records.schema import Metric, Record

AVERAGE = ("average", "")
NOT_RUN = "not run"
"""Why there is no number where no cell is recorded."""
Direction = tuple[str, str]


def direction_name(direction: Direction) -> str:
    """Return a direction, or the average over all of them, as it is printed."""
    return "average" if direction == AVERAGE else f"{direction[0]}→{direction[1]}"


_BRIEF = {"timeout": "time limit"}
"""Of the statuses that do not read as words by themselves."""


class ZeroRows(NamedTuple):
    """Test rows of a modality whose embeddings are zero: they have no direction, and count as ties.

    Attributes:
        modality: whose rows.
        number: of them.
        rows: of the whole test split; 0 where unknown.
        seed: of the cell.
    """

    modality: str
    number: int
    rows: int
    seed: int

    @property
    def words(self) -> str:
        """Return them in a few words."""
        whole = f" of {self.rows}" if self.rows else ""
        return f"{self.number}{whole} {self.modality} (seed {self.seed})"


class Number(NamedTuple):
    """One recorded number, and the record that it is of."""

    metric: Metric
    record: Record

    @property
    def zeros(self) -> tuple[ZeroRows, ...]:
        """Return the rows without a direction that took part in it."""
        result, seed = self.record.result, self.record.identity.seed
        counts = {} if result is None else result.zero_rows.get(self.metric.selection, {})
        sizes = {} if result is None else result.rows
        return tuple(
            ZeroRows(name, counts[name], sizes[name].test if name in sizes else 0, seed)
            for name in (self.metric.query, self.metric.gallery)
            if counts.get(name)
        )


def numbers_of(
    records: Iterable[Record], protocol: str, selection: str
) -> dict[Direction, dict[int, Number]]:
    """Return the numbers of one row by direction and seed.

    Args:
        records: of one row.
        protocol: id of the evaluation rule.
        selection: rule that chose the state; closed forms, which select nothing, always take part.

    Raises:
        MixedCells: if there are two numbers for one direction and seed.
    """
    found: dict[Direction, dict[int, Number]] = defaultdict(dict)
    for record in records:
        for metric in record.result.metrics if record.result is not None else ():
            if metric.protocol == protocol and metric.selection in (selection, "none"):
                by_seed, seed = found[metric.query, metric.gallery], record.identity.seed
                if seed in by_seed:
                    raise MixedCells(
                        f"{record.identity.title}: records {by_seed[seed].record.digest} and {record.digest} "
                        f"both have a number for {metric.query}→{metric.gallery} under {protocol}"
                    )
                by_seed[seed] = Number(metric, record)
    return found


@dataclass(frozen=True)
class Entry:
    """One number of a table.

    Attributes:
        mean: over seeds; None where there is no result.
        deviation: sample standard deviation over seeds; None with fewer than two.
        seeds: how many seeds it rests on.
        records: digests of the records behind it, or of those that say why there is none.
        reason: why there is no number; empty where there is one.
        mark: ``a`` or ``b`` where it differs from the table's reference, see `bench.analysis.marks`.
        brief: the reason in two or three words, for the place where the number would stand.
        zeros: test rows without a direction that took part in it.
    """

    mean: float | None
    deviation: float | None = None
    seeds: int = 0
    records: tuple[str, ...] = ()
    reason: str = ""
    mark: str = ""
    brief: str = ""
    zeros: tuple[ZeroRows, ...] = ()


class _Value(NamedTuple):
    number: float
    records: tuple[str, ...]
    zeros: tuple[ZeroRows, ...] = ()


class _Lack(NamedTuple):
    """Why there is no number: a sentence without its full stop, two or three words, digests that show it."""

    reason: str
    brief: str
    records: tuple[str, ...] = ()


class Cells:
    """The records of one row under one protocol and selection rule."""

    def __init__(self, records: list[Record], protocol: str, selection: str) -> None:
        self.records = records
        self._protocol = protocol
        self._selection = selection
        self._found: dict[Direction, dict[int, _Value]] = defaultdict(dict)
        for direction, by_seed in numbers_of(records, protocol, selection).items():
            self._found[direction] = {
                seed: _Value(one.metric.value, (one.record.digest,), one.zeros)
                for seed, one in by_seed.items()
            }

    def entry(self, direction: Direction) -> Entry:
        """Return a direction's number, or why there is none."""
        values = self._found[direction]
        return _entry(values) if values else _absent(self._lack(direction))

    def average(self, directions: Sequence[Direction]) -> Entry:
        """Return the mean over directions, from the seeds that have all of them."""
        means = self._averages(directions)
        if means:
            return _entry(means)
        lacks = [self._lack(direction) for direction in directions if not self._found[direction]]
        return _absent(lacks[0] if lacks else _Lack("no seed has all directions", "incomplete"))

    def averages(self, directions: Sequence[Direction]) -> dict[int, float]:
        """Return the mean over directions of every seed that has all of them."""
        return {seed: value.number for seed, value in sorted(self._averages(directions).items())}

    def _averages(self, directions: Sequence[Direction]) -> dict[int, _Value]:
        by_direction = [self._found[direction] for direction in directions]
        means = {}
        for seed in set.intersection(*(set(values) for values in by_direction)):
            values = [found[seed] for found in by_direction]
            digests = tuple(digest for value in values for digest in value.records)
            zeros = tuple(dict.fromkeys(one for value in values for one in value.zeros))
            means[seed] = _Value(statistics.fmean(value.number for value in values), digests, zeros)
        return means

    def lacking(self) -> tuple[str, ...]:
        """Say what befell the cells without a result, or without a state of this rule that can be ranked."""
        reasons = (_failure(record) or _refusal(record, self._selection) for record in self.records)
        counts = Counter(reason for reason in reasons if reason)
        total = len(self.records)
        return tuple(
            reason if number == total else f"{number} of {total} cells {reason}"
            for reason, number in sorted(counts.items())
        )

    def _lack(self, direction: Direction) -> _Lack:
        concerned = [record for record in self.records if set(direction) <= set(record.identity.modalities)]
        failed = [record for record in concerned if record.failure is not None]
        if failed:
            status = failed[0].status
            brief = _BRIEF.get(status, status.replace("-", " "))
            return _Lack(_failure(failed[0]), brief, _digests(failed))
        if not concerned:
            return _Lack(NOT_RUN, NOT_RUN)
        refused = [record for record in concerned if _refusal(record, self._selection)]
        if refused:
            return _Lack(_refusal(refused[0], self._selection), "refused", _digests(refused))
        metrics = [metric for record in concerned if record.result for metric in record.result.metrics]
        if all(metric.protocol != self._protocol for metric in metrics):
            return _Lack(f"not evaluated under {self._protocol}", "not evaluated", _digests(concerned))
        reason = f"nothing was selected by the rule {self._selection}"
        return _Lack(reason, "not selected", _digests(concerned))


def _digests(records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(sorted(record.digest for record in records))


def _absent(lack: _Lack) -> Entry:
    return Entry(None, records=lack.records, reason=lack.reason, brief=lack.brief)


def _entry(values: dict[int, _Value]) -> Entry:
    numbers = [values[seed].number for seed in sorted(values)]
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
    records = sorted({digest for value in values.values() for digest in value.records})
    zeros = tuple(dict.fromkeys(one for seed in sorted(values) for one in values[seed].zeros))
    mean = math.fsum(numbers) / len(numbers)
    return Entry(mean, deviation, len(numbers), tuple(records), zeros=zeros)


def _failure(record: Record) -> str:
    """Return what befell a cell without a result; empty for others."""
    return "" if record.failure is None else f"{record.status}: {_first_line(record.failure.reason)}"


def _refusal(record: Record, selection: str) -> str:
    """Return why a rule's state could not be ranked; empty where it could."""
    reason = None if record.result is None else record.result.refused.get(selection)
    return "" if reason is None else f"refused under the rule {selection}: {_first_line(reason)}"


def _first_line(reason: str) -> str:
    return reason.splitlines()[0] if reason else "no reason given"


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
    def zeros(self) -> tuple[ZeroRows, ...]:
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
    records: Iterable[Record], labels: Labels, protocols: Sequence[str], selection: str = "best"
) -> list[Table]:
    """Return the tables for all records, sorted by data, then in the order of the protocols."""
    return [
        _table(data, members, lines, labels, protocol, selection)
        for data, members in by_data(records).items()
        for lines in [row_groups(members, labels)]
        for protocol in protocols
    ]


def directions_of(records: Sequence[Record], labels: Labels) -> list[Direction]:
    """Return all directions of records of one dataset.

    They are in the dataset's order of modalities, or else in that of the widest record.
    """
    present = {name for record in records for name in record.identity.modalities}
    widest = max((record.identity.modalities for record in records), key=lambda names: (len(names), names))
    order = labels.modalities(records[0].identity.dataset) or widest
    known = [name for name in order if name in present]
    return list(permutations([*known, *sorted(present - set(known))], 2))


def row_of(
    line: RowGroup, labels: Labels, protocol: str, selection: str, directions: Sequence[Direction]
) -> Row:
    """Return a line's numbers under a protocol and selection rule.

    Raises:
        MixedCells: if two records give the same number.
    """
    cells = Cells(line.records, protocol, selection)
    pairings = {record.result.pairing for record in line.records if record.result is not None}
    entries = {direction: cells.entry(direction) for direction in directions}
    return Row(
        method=line.identity.method,
        label=line.label,
        pairing="class-matched" if "class-matched" in pairings else "",
        role=labels.role(line.identity.method),
        entries={**entries, AVERAGE: cells.average(directions)},
        lacking=cells.lacking(),
        usual=line.usual,
        title=line.title,
        threads=line.identity.threads,
        code=line.identity.code,
        near=near_chance(line.records, selection),
    )


def _table(
    data: Data,
    records: Sequence[Record],
    lines: Sequence[RowGroup],
    labels: Labels,
    protocol: str,
    selection: str,
) -> Table:
    directions = directions_of(records, labels)
    rows = tuple(row_of(line, labels, protocol, selection, directions) for line in lines)
    return Table(data, protocol, selection, (*directions, AVERAGE), rows)


class Spread(NamedTuple):
    """Numbers of several seeds: their mean, and their sample standard deviation, None for fewer than two."""

    mean: float
    deviation: float | None
    seeds: int


@dataclass(frozen=True)
class Excerpt:
    """The rows of some lines, all of one data.

    Attributes:
        columns: the directions of these lines alone, then the average.
        rows: in the order of the lines.
    """

    columns: tuple[Direction, ...]
    rows: tuple[Row, ...]


def excerpt_of(lines: Sequence[RowGroup], labels: Labels, protocol: str, selection: str) -> Excerpt:
    """Return the rows of at least one line; averages are over the directions that these lines are about."""
    records = [record for line in lines for record in line.records]
    directions = directions_of(records, labels)
    rows = tuple(row_of(line, labels, protocol, selection, directions) for line in lines)
    return Excerpt((*directions, AVERAGE), rows)


def by_seed(
    records: Iterable[Record], columns: Sequence[Direction], protocol: str, selection: str
) -> dict[Direction, dict[int, float]]:
    """Return the numbers behind each column of a row; an average is of a seed that has every direction.

    Raises:
        MixedCells: if two records give the same number.
    """
    found: dict[Direction, dict[int, float]] = defaultdict(dict)
    for direction, numbers in numbers_of(records, protocol, selection).items():
        found[direction] = {seed: one.metric.value for seed, one in numbers.items()}
    directions = [column for column in columns if column != AVERAGE]
    shared = set.intersection(*(set(found[direction]) for direction in directions))
    found[AVERAGE] = {
        seed: statistics.fmean(found[direction][seed] for direction in directions) for seed in sorted(shared)
    }
    return found


def spread_of(numbers: Sequence[float]) -> Spread | None:
    """Return mean and deviation of one number per seed; None for none."""
    if not numbers:
        return None
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
    return Spread(math.fsum(numbers) / len(numbers), deviation, len(numbers))


@dataclass(frozen=True)
class RankInTable:
    """One row's place in one column.

    Attributes:
        column: direction, or the average.
        entry: the row's own number, over all its seeds.
        rank: 1 is best; equal numbers share the better rank; None where there is no number.
        of: rows with a number in this column.
        best: label of the best of the other rows.
        best_mean: its number; None where no other row has one.
    """

    column: Direction
    entry: Entry
    rank: int | None
    of: int
    best: str
    best_mean: float | None


def row_with_record(table: Table, digest: str) -> Row | None:
    """Return the row that a record's numbers are part of; None if it has none in this table."""
    for row in table.rows:
        if any(entry.mean is not None and digest in entry.records for entry in row.entries.values()):
            return row
    return None


def ranks_in_table(table: Table, row: Row) -> list[RankInTable]:
    """Return a row's place in every column that has a number for it.

    Reference points do not compete, except that one of them is itself the row.
    """
    rivals = [other for other in table.rows if other is not row and other.role != "reference"]
    return [
        _placing(column, row.entries[column], rivals)
        for column in table.columns
        if row.entries[column].mean is not None
    ]


def references(table: Table, row: Row, column: Direction) -> dict[str, float]:
    """Return what the reference points other than the row reach in a column, by label."""
    return _means([other for other in table.rows if other is not row and other.role == "reference"], column)


def _means(rows: Iterable[Row], column: Direction) -> dict[str, float]:
    found = {row.label: row.entries[column].mean for row in rows}
    return {label: mean for label, mean in found.items() if mean is not None}


def _placing(column: Direction, entry: Entry, rivals: list[Row]) -> RankInTable:
    numbers = _means(rivals, column)
    assert entry.mean is not None
    better = sum(mean > entry.mean for mean in numbers.values())
    best = max(numbers, key=lambda label: numbers[label], default="")
    return RankInTable(column, entry, better + 1, len(numbers) + 1, best, numbers.get(best))
