"""The numbers of one row of a table: from records to means over seeds, or to the reason why there is none."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.records.schema import Record

AVERAGE = ("average", "")
NOT_RUN = "not run"
"""Why there is no number where no cell is recorded."""
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


class _Value(NamedTuple):
    number: float
    records: tuple[str, ...]


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
            means[seed] = _Value(statistics.fmean(value.number for value in values), digests)
        return means

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
            return _Lack(NOT_RUN, NOT_RUN)
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
    return Entry(math.fsum(numbers) / len(numbers), deviation, len(numbers), tuple(records))


def _failure(record: Record) -> str:
    reason = "" if record.failure is None else record.failure.reason
    return f"{record.status}: {reason.splitlines()[0] if reason else 'no reason given'}"
