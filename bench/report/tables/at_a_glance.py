"""The overall table as a sheet: methods by datasets, and average ranks."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.across_datasets import SummaryRow, SummaryTable
from bench.analysis.tables import Entry
from bench.report.tables.arranging import (
    NO_DIRECTION_NOTE,
    ONE_SEED_NOTE,
    PSEUDO_PAIRS,
    PSEUDO_PAIRS_NOTE,
    REFERENCE_NOTE,
    cell_of,
    top_two,
)
from bench.report.tables.sheet import Cell, Column, Line, Place, Sheet
from bench.report.text import file_stem, made_by, made_by_stem


def overall_sheet(overall: SummaryTable) -> Sheet:
    """Return how an overall table is shown; best and second stand out per dataset and among the ranks."""
    tops = {
        name: top_two(line.entries[name] for line in overall.lines if line.role != "reference")
        for name in overall.datasets
    }
    best = _lowest_two(overall.lines)
    return Sheet(
        name=overall_stem(overall),
        caption=_caption(overall),
        corner="Method",
        columns=(*map(Column, overall.datasets), Column("average rank")),
        lines=tuple(_line(line, overall, tops, best) for line in overall.lines),
        notes=tuple(_notes(overall)),
    )


def overall_stem(overall: SummaryTable) -> str:
    """Return the name of a table's files, without an ending."""
    return file_stem(
        *("overall", overall.kind, overall.profile, overall.protocol, overall.selection),
        *made_by_stem(overall.about.device, overall.about.harness),
    )


def _line(line: SummaryRow, overall: SummaryTable, tops: dict[str, list[str]], best: Sequence[str]) -> Line:
    cells = [
        cell_of(
            line.entries[name],
            () if line.role == "reference" else tops[name],
            PSEUDO_PAIRS if name in line.class_matched else "",
        )
        for name in overall.datasets
    ]
    return Line(line.label, (*cells, _rank(line, best)))


def _rank(line: SummaryRow, best: Sequence[str]) -> Cell:
    if line.rank is None:
        return Cell("reference" if line.role == "reference" else "not ranked", missing=True)
    text = f"{line.rank:.2f}"
    places: tuple[Place, ...] = ("best", "second")
    return Cell(text, places[best.index(text)] if text in best else "", number=line.rank)


def _lowest_two(lines: Sequence[SummaryRow]) -> list[str]:
    ranks = {f"{line.rank:.2f}": line.rank for line in lines if line.rank is not None}
    return sorted(ranks, key=lambda text: ranks[text])[:2]


def _caption(overall: SummaryTable) -> str:
    kind = "" if overall.kind == "real" else " — LOOK-ALIKES, generated data, not the benchmarks"
    return (
        f"All datasets{kind} — {overall.protocol}, average over directions, {overall.profile} profile, "
        f"selection {overall.selection}, {made_by(overall.about.device, overall.about.harness)}"
    )


def _notes(overall: SummaryTable) -> list[str]:
    ranked = sum(line.rank is not None for line in overall.lines)
    notes = [
        f"Average rank: among the {ranked} methods with a number on each of {', '.join(overall.ranked)}; 1 "
        "is best. A rank over other datasets would not compare, so methods that lack one of these are not "
        "ranked."
        if ranked
        else "No method is ranked: none has a number on every dataset that counts."
    ]
    versions = ", ".join(f"{data.dataset} {data.fingerprint[:8]}" for data in overall.data)
    notes.append(f"Data: {versions}.")
    if any(line.class_matched for line in overall.lines):
        notes.append(PSEUDO_PAIRS_NOTE)
    points = [line.label for line in overall.lines if line.role == "reference"]
    if points:
        notes.append(REFERENCE_NOTE.format(", ".join(points)))
    entries = [entry for line in overall.lines for entry in line.entries.values()]
    notes.append(_seeds(entries))
    if any(entry.seeds == 1 for entry in entries):
        notes.append(ONE_SEED_NOTE)
    zeros = [
        f"{line.label} on {name}: {', '.join(one.words for one in entry.zeros)}"
        for line in overall.lines
        for name, entry in line.entries.items()
        if entry.zeros
    ]
    notes += [NO_DIRECTION_NOTE.format("; ".join(zeros))] if zeros else []
    notes += [f"Not ranked: {reason}." for reason in overall.omitted]
    for line in overall.lines:
        lacks = (f"{name}: {entry.reason}" for name, entry in line.entries.items() if entry.reason)
        notes += [f"{line.label} on {lack}" for lack in lacks]
    return notes


def _seeds(entries: Sequence[Entry]) -> str:
    counts = sorted({entry.seeds for entry in entries if entry.seeds})
    if not counts:
        return "Seeds: none."
    return f"Seeds: {counts[0]}." if len(counts) == 1 else f"Seeds: {counts[0]} to {counts[-1]}."
