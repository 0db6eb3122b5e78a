"""mAP tables as data: methods x directions, mean and deviation over seeds, nothing mixed that differs.

Real and look-alike data, profiles, data versions, protocols and selection rules each get tables of their
own; a method that was run with other settings than usual gets a row of its own.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

from bench.records.schema import Record

AVERAGE = ("average", "")
Direction = tuple[str, str]


@dataclass(frozen=True)
class Entry:
    """One number of a table.

    Attributes:
        mean: over seeds; None where there is no result.
        deviation: sample standard deviation over seeds; None with fewer than two.
        seeds: how many seeds it rests on.
        records: digests of the records behind it.
        reason: why there is no number; empty where there is one.
    """

    mean: float | None
    deviation: float | None = None
    seeds: int = 0
    records: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """One method's line.

    Attributes:
        method: registry name.
        label: what to print: the title, with variant and unusual settings where there are any.
        pairing: ``class-matched`` where pseudo-pairs were used.
        role: of the method's card, such as ``reference``.
        entries: one per column.
    """

    method: str
    label: str
    pairing: str
    role: str
    entries: dict[Direction, Entry]


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
    """

    dataset: str
    kind: str
    profile: str
    fingerprint: str
    protocol: str
    selection: str
    columns: tuple[Direction, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Naming:
    """How methods are named and ordered; given by the registry, so that records alone decide the rest.

    Attributes:
        label: the label of a record's row.
        order: sort key of a method's name.
        role: role of a method.
        direction_order: modalities of a dataset in its order.
    """

    label: Callable[[Record], str]
    order: Callable[[str], tuple[int, str]]
    role: Callable[[str], str]
    modalities: Callable[[str], Sequence[str]]


def tables_of(
    records: Iterable[Record], naming: Naming, protocols: Sequence[str], selection: str = "best"
) -> list[Table]:
    """Return the tables for all records, sorted by kind, profile, dataset and protocol."""
    groups: dict[tuple[str, str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        identity = record.identity
        groups[identity.data_kind, identity.profile, identity.dataset, identity.fingerprint].append(record)
    return [
        _table(groups[key], key, protocol, selection, naming)
        for key in sorted(groups, key=lambda key: (key[0] != "real", *key[1:]))
        for protocol in protocols
    ]


def _table(
    records: list[Record], key: tuple[str, str, str, str], protocol: str, selection: str, naming: Naming
) -> Table:
    kind, profile, dataset, fingerprint = key
    columns = _columns(records, naming.modalities(dataset))
    by_label: dict[tuple[tuple[int, str], str], list[Record]] = defaultdict(list)
    for record in records:
        by_label[naming.order(record.identity.method), naming.label(record)].append(record)
    rows = tuple(
        _row(label, members, columns, protocol, selection, naming)
        for (_, label), members in sorted(by_label.items(), key=lambda item: item[0])
    )
    return Table(dataset, kind, profile, fingerprint, protocol, selection, columns, rows)


def _columns(records: list[Record], order: Sequence[str]) -> tuple[Direction, ...]:
    present = {name for record in records for name in record.identity.modalities}
    known = [name for name in order if name in present]
    names = [*known, *sorted(present - set(known))]
    return (*permutations(names, 2), AVERAGE)


def _row(
    label: str,
    records: list[Record],
    columns: tuple[Direction, ...],
    protocol: str,
    selection: str,
    naming: Naming,
) -> Row:
    values: dict[Direction, dict[int, float]] = defaultdict(dict)
    sources: dict[Direction, list[str]] = defaultdict(list)
    for record in records:
        for metric in record.result.metrics if record.result is not None else ():
            if metric.protocol == protocol and metric.selection in (selection, "none"):
                values[metric.query, metric.gallery][record.identity.seed] = metric.value
                sources[metric.query, metric.gallery].append(record.digest)
    directions = columns[:-1]
    complete = [seed for seed in sorted(values[directions[0]]) if all(seed in values[d] for d in directions)]
    values[AVERAGE] = {seed: statistics.fmean(values[d][seed] for d in directions) for seed in complete}
    sources[AVERAGE] = sorted({digest for d in directions for digest in sources[d]})
    reason = _reason(records)
    pairings = {record.result.pairing for record in records if record.result is not None}
    return Row(
        method=records[0].identity.method,
        label=label,
        pairing="class-matched" if "class-matched" in pairings else "",
        role=naming.role(records[0].identity.method),
        entries={column: _entry(values[column], sources[column], reason) for column in columns},
    )


def _entry(values: dict[int, float], records: Sequence[str], reason: str) -> Entry:
    if not values:
        return Entry(None, reason=reason)
    numbers = [values[seed] for seed in sorted(values)]
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
    mean = math.fsum(numbers) / len(numbers)
    return Entry(mean, deviation, len(numbers), tuple(sorted(set(records))))


def _reason(records: list[Record]) -> str:
    failures = [(record.status, record.failure.reason) for record in records if record.failure is not None]
    if not failures:
        return "not run"
    status, reason = failures[0]
    return f"{status}: {reason.splitlines()[0]}"
