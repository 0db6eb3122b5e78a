"""The numbers of one row of a table: from records to means over seeds, or to the reason why there is none."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.analysis.lines import MixedCells
from bench.records.schema import Metric, Record

AVERAGE = ("average", "")
NOT_RUN = "not run"
"""Why there is no number where no cell is recorded."""
Direction = tuple[str, str]


def name_of(direction: Direction) -> str:
    """Return a direction, or the average over all of them, as it is printed."""
    return "average" if direction == AVERAGE else f"{direction[0]}→{direction[1]}"


_BRIEF = {"timeout": "time limit"}
"""Of the statuses that do not read as words by themselves."""


class Zeros(NamedTuple):
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
    def zeros(self) -> tuple[Zeros, ...]:
        """Return the rows without a direction that took part in it."""
        result, seed = self.record.result, self.record.identity.seed
        counts = {} if result is None else result.zero_rows.get(self.metric.selection, {})
        sizes = {} if result is None else result.rows
        return tuple(
            Zeros(name, counts[name], sizes[name].test if name in sizes else 0, seed)
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
    zeros: tuple[Zeros, ...] = ()


class _Value(NamedTuple):
    number: float
    records: tuple[str, ...]
    zeros: tuple[Zeros, ...] = ()


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
