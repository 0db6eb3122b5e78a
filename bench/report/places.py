"""Cells in their surroundings as text: one row's place in its table, and several cells side by side."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence

from tabulate import tabulate

from bench.analysis.comparisons import marks_note
from bench.analysis.findings import ranks_in_table, references
from bench.analysis.groups import data_of
from bench.analysis.tables import Entry, Row, Table, direction_name
from bench.records.schema import Record
from bench.report.tables.arranging import directions_note
from bench.report.text import made_by


def place_lines(table: Table, row: Row) -> Iterator[str]:
    """Yield how a row stands in every column of its table, and what its marks say."""
    lines = []
    tested = table.reference not in ("", row.label)
    for place in ranks_in_table(table, row):
        best = "" if place.best_mean is None else f"{place.best} {place.best_mean:.4f}"
        points = references(table, row, place.column)
        floor = ", ".join(f"{label} {mean:.4f}" for label, mean in points.items())
        rank = f"{place.rank} of {place.of}"
        lines.append(
            [direction_name(place.column), _number(place.entry), place.entry.seeds, rank, best, floor]
            + ([place.entry.mark] if tested else [])
        )
    headings = ["direction", table.protocol, "seeds", "rank", "best other", "reference points", "mark"]
    yield f"{row.label}, all seeds, in its table of {len(table.rows)} rows (selection {table.selection})"
    yield from _table(lines, headings[: len(lines[0])] if lines else headings)
    if table.reference == row.label:
        others = sum(any(entry.mark for entry in other.entries.values()) for other in table.rows)
        yield f"it is the row that others are tested against: {others} of them differ in some direction"
    elif tested:
        yield marks_note(table)
    yield from directions_note([row])
    if row.near is not None and row.role != "reference":
        yield f"{row.near.words}: {row.near.advice}"


def overview(
    records: Sequence[Record], labels: Callable[[Record], str], narrowing: Callable[[Record], str]
) -> Iterator[str]:
    """Yield a line per cell, and the mean over seeds of cells that differ in nothing else.

    Args:
        records: at least two.
        labels: label of a record's row in the tables.
        narrowing: options that single a record out.
    """
    rows = [
        [
            labels(record),
            record.identity.dataset,
            f"{record.identity.data_kind} {record.identity.fingerprint[:8]}",
            made_by(data_of(record).device, record.identity.harness),
            record.identity.profile,
            "+".join(record.identity.modalities),
            record.identity.seed,
            record.status,
            _outcome(record),
            narrowing(record),
        ]
        for record in records
    ]
    headings = [
        "method",
        "dataset",
        "data",
        "made by",
        "profile",
        "modalities",
        "seed",
        "status",
        "map@all",
        "only this",
    ]
    yield f"{len(records)} cells fit; for the whole story of one, add what stands in its last column"
    yield from _table(rows, headings)
    for key, values in _over_seeds(records, labels).items():
        mean, deviation = statistics.fmean(values), statistics.stdev(values)
        yield f"{key}: {mean:.4f} ± {deviation:.4f} over {len(values)} seeds"


def average_of(record: Record, protocol: str = "map@all") -> float | None:
    """Return the mean over directions of a record's own selection; None without a result."""
    if record.result is None:
        return None
    values = [
        metric.value
        for metric in record.result.metrics
        if (metric.protocol, metric.selection) == (protocol, record.result.selection)
    ]
    return statistics.fmean(values) if values else None


def _over_seeds(records: Sequence[Record], labels: Callable[[Record], str]) -> dict[str, list[float]]:
    """Return the numbers of cells that differ in their seeds alone, where there are several."""
    groups: dict[tuple[str, ...], list[float]] = {}  # a label is unlike any other of its data
    for record in records:
        who, value = record.identity, average_of(record)
        data = data_of(record)
        made = made_by(data.device, data.harness)
        key = labels(record), "+".join(who.modalities), *data[:2], data.fingerprint[:8], made
        if value is not None:
            groups.setdefault(key, []).append(value)
    return {
        f"{label} ({modalities}), {kind}, {profile} profile, data {data}, {made}": values
        for (label, modalities, kind, profile, data, made), values in groups.items()
        if len(values) > 1
    }


def _outcome(record: Record) -> str:
    if record.failure is not None:
        return " ".join(record.failure.reason.split())[:60]
    value = average_of(record)
    return "" if value is None else f"{value:.4f}"


def _number(entry: Entry) -> str:
    return f"{entry.mean:.4f}" + ("" if entry.deviation is None else f" ± {entry.deviation:.4f}")


def _table(rows: Sequence[Sequence[object]], headings: Sequence[str]) -> list[str]:
    return tabulate(rows, headers=headings, disable_numparse=True, stralign="left").splitlines()
