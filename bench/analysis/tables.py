"""mAP tables as data: methods x directions, mean and deviation over seeds, nothing mixed that differs.

Real and look-alike data, profiles, data versions, protocols and selection rules each get tables of their
own; a method that was run with other settings than usual gets a row of its own.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

from bench.analysis.groups import Data, by_data, lines_of
from bench.analysis.naming import Naming, is_usual
from bench.records.schema import Record

AVERAGE = ("average", "")
Direction = tuple[str, str]

_BRIEF = {"timeout": "time limit"}
"""Of the statuses that do not read as words by themselves."""


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
    """

    mean: float | None
    deviation: float | None = None
    seeds: int = 0
    records: tuple[str, ...] = ()
    reason: str = ""
    mark: str = ""
    brief: str = ""


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
            _row(line.label, naming, _Cells(line.records, protocol, selection), directions)
            for line in lines_of(records, naming)
        ),
    )


def _directions(records: list[Record], order: Sequence[str]) -> list[Direction]:
    """Return all directions, in the dataset's order of modalities or else in that of the widest record."""
    present = {name for record in records for name in record.identity.modalities}
    widest = max((record.identity.modalities for record in records), key=len)
    known = [name for name in order or widest if name in present]
    return list(permutations([*known, *sorted(present - set(known))], 2))


class _Value(NamedTuple):
    number: float
    records: tuple[str, ...]


class _Lack(NamedTuple):
    """Why there is no number: a sentence without its full stop, two or three words, digests that show it."""

    reason: str
    brief: str
    records: tuple[str, ...] = ()


class _Cells:
    """The records of one row under one protocol and selection rule."""

    def __init__(self, records: list[Record], protocol: str, selection: str) -> None:
        self.records = records
        self._protocol = protocol
        self._selection = selection
        self._found: dict[Direction, dict[int, _Value]] = defaultdict(dict)
        for record in records:
            for metric in record.result.metrics if record.result is not None else ():
                if metric.protocol == protocol and metric.selection in (selection, "none"):
                    value = _Value(metric.value, (record.digest,))
                    self._found[metric.query, metric.gallery][record.identity.seed] = value

    def entry(self, direction: Direction) -> Entry:
        """Return a direction's number, or why there is none."""
        values = self._found[direction]
        return _entry(values) if values else _absent(self._lack(direction))

    def average(self, directions: Sequence[Direction]) -> Entry:
        """Return the mean over directions, from the seeds that have all of them."""
        by_direction = [self._found[direction] for direction in directions]
        seeds = set.intersection(*(set(values) for values in by_direction))
        if not seeds:
            lacks = [self._lack(direction) for direction in directions if not self._found[direction]]
            return _absent(lacks[0] if lacks else _Lack("no seed has all directions", "incomplete"))
        means = {}
        for seed in seeds:
            values = [found[seed] for found in by_direction]
            digests = tuple(digest for value in values for digest in value.records)
            means[seed] = _Value(statistics.fmean(value.number for value in values), digests)
        return _entry(means)

    def lacking(self) -> tuple[str, ...]:
        """Say what befell the cells without a result."""
        counts = Counter(_failure(record) for record in self.records if record.failure is not None)
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
            return _Lack("not run", "not run")
        metrics = [metric for record in concerned if record.result for metric in record.result.metrics]
        if all(metric.protocol != self._protocol for metric in metrics):
            return _Lack(f"not evaluated under {self._protocol}", "not evaluated", _digests(concerned))
        reason = f"nothing was selected by the rule {self._selection}"
        return _Lack(reason, "not selected", _digests(concerned))


def _digests(records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(sorted(record.digest for record in records))


def _row(label: str, naming: Naming, cells: _Cells, directions: list[Direction]) -> Row:
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


def _absent(lack: _Lack) -> Entry:
    return Entry(None, records=lack.records, reason=lack.reason, brief=lack.brief)


def _entry(values: dict[int, _Value]) -> Entry:
    numbers = [values[seed].number for seed in sorted(values)]
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
    records = sorted({digest for value in values.values() for digest in value.records})
    return Entry(math.fsum(numbers) / len(numbers), deviation, len(numbers), tuple(records))


def _failure(record: Record) -> str:
    reason = "" if record.failure is None else record.failure.reason
    return f"{record.status}: {reason.splitlines()[0] if reason else 'no reason given'}"
