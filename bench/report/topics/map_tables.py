"""mAP tables: all datasets at a glance, then one by one, real data before look-alikes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bench.analysis.across_datasets import SummaryRow, SummaryTable, summary_tables_of
from bench.analysis.comparisons import marks_note
from bench.analysis.groups import CLEAN
from bench.analysis.labels import abbreviations
from bench.analysis.tables import AVERAGE, Direction, Row, Table, direction_name
from bench.records.protocols import base_of
from bench.report.cells import (
    DATA_FIELDS,
    NO_DIRECTION_NOTE,
    ONE_SEED_NOTE,
    PSEUDO_PAIRS,
    PSEUDO_PAIRS_NOTE,
    REFERENCE_NOTE,
    data_values,
    digests,
    directions_note,
    emphasis,
    entry_cell,
    entry_values,
    given_note,
    seeds_cell,
    top_two,
)
from bench.report.exhibit import (
    Cell,
    Column,
    Line,
    Part,
    TableExhibit,
    Topic,
    Values,
    block_subject,
    data_subject,
)
from bench.report.figures.grids import dataset_grids, direction_grids
from bench.report.report_data import ReportData
from bench.report.text import (
    dataset_title,
    file_stem,
    kind_remark,
    made_by,
    made_by_stem,
    table_caption,
    under,
)

FIELDS: Final = (
    *(*DATA_FIELDS, "protocol", "selection", "method", "code", "label", "pairing", "query", "gallery"),
    *("mean", "deviation", "seeds", "significance", "reference", "reason", "zero_rows", "records"),
)
SUMMARY_FIELDS: Final = (
    *("data_kind", "profile", "device", "harness", "protocol", "selection", "condition", "method", "label"),
    *("average_rank", "ranked_over", "unranked_because"),
    *("dataset", "fingerprint", "pairing", "mean", "deviation", "seeds", "reason", "records"),
)
_INTRODUCTION: Final = (
    "Mean and sample standard deviation over seeds; best bold, second underlined; reference points (chance, "
    "semantic matching) do not compete. Selection uses validation data only unless a table says oracle.",
    "The 15 baselines are this project's roster: the DRCL paper's own list of baselines is not public in the "
    "sources used.",
)
_LOOK_ALIKES: Final = (
    "Look-alikes are generated data that only have a benchmark's shape: these numbers say nothing about the "
    "benchmark."
)
_STUDIES_NOTE: Final = (
    "Variants and other settings of a method do not compete either, nor are they tested here: the best of "
    "them would be chosen on test data. What they are worth: ablations.md."
)
_FEW: Final = 2
"""Directions that can be written out; more are abbreviated and grouped by the modality of the queries."""


def parts(data: ReportData) -> list[Part]:
    """Return all tables; of several protocols the first is open on the page."""
    done = sum(record.status == "done" for record in data.records)
    counted = f"{done} of {len(data.records)} recorded cells are done."
    summaries = summary_tables_of(data.plain_tables, data.blocks)
    first = data.protocols[0]
    exhibits = [
        *(
            summary_exhibit(one, folded=base_of(one.protocol) != first or one.about.condition != CLEAN)
            for one in summaries
        ),
        *(
            table_exhibit(one, folded=base_of(one.protocol) != first or one.data.condition != CLEAN)
            for one in data.tables
        ),
    ]
    found = [Part(text=(counted, *_INTRODUCTION))]
    for kind, title, text in (("real", "Real data", ()), ("look-alike", "Look-alikes", (_LOOK_ALIKES,))):
        members = [exhibit for exhibit in exhibits if exhibit.subject.kind == kind]
        if members:
            found.append(Part(title, text, members, kind=kind))
    return found


def figures(data: ReportData) -> list[Part]:
    """Return the tables as shaded grids: methods by datasets, and by directions."""
    grids = [*dataset_grids(data), *direction_grids(data)]
    return [Part("At a glance", exhibits=grids)] if grids else []


def table_exhibit(table: Table, *, folded: bool = False) -> TableExhibit:
    """Return a table of mAP: its directions, their average, and the number of seeds.

    The best number of a column stands out, and the second; only `Table.competing` rows take part.
    """
    competing = table.competing
    tops = {
        column: top_two((row.entries[column] for row in competing), table.protocol)
        for column in table.columns
    }
    data = table.data
    name = file_stem(
        *(table.dataset, table.kind, table.profile, table.protocol, table.selection),
        *(data.fingerprint[:8], *made_by_stem(data.device, data.harness, data.condition)),
    )
    return TableExhibit(
        name=name,
        caption=table_caption(table),
        corner="Method",
        columns=(*_columns(table), Column("seeds")),
        lines=tuple(_line(row, table.columns, tops if row in competing else {}) for row in table.rows),
        notes=tuple(_notes(table)),
        title=dataset_title(table.dataset, data.condition),
        subject=data_subject(data, table.protocol),
        fold="all" if folded else "",
        values=(Values(f"tables/{name}.csv", FIELDS, list(_values(table))),),
    )


def summary_exhibit(summary: SummaryTable, *, folded: bool = False) -> TableExhibit:
    """Return methods by datasets; best and second stand out per dataset and among the ranks."""
    key = summary.about
    tops = {
        name: top_two(
            (row.entries[name] for row in summary.lines if row.role != "reference"), summary.protocol
        )
        for name in summary.datasets
    }
    ranks = {f"{row.rank:.2f}": row.rank for row in summary.lines if row.rank is not None}
    best = sorted(ranks, key=lambda text: ranks[text])[:2]
    name = file_stem(
        *("overall", key.kind, key.profile, key.protocol, key.selection),
        *made_by_stem(key.device, key.harness, key.condition),
    )
    return TableExhibit(
        name=name,
        caption=(
            f"All datasets{kind_remark(key.kind)} — {key.protocol}, average over directions, {key.profile} "
            f"profile, selection {key.selection}, {under(key)}{made_by(key.device, key.harness)}"
        ),
        corner="Method",
        columns=(
            *(Column(dataset, direction="average") for dataset in summary.datasets),
            Column("average rank"),
        ),
        lines=tuple(_summary_line(row, summary, tops, best) for row in summary.lines),
        notes=tuple(_summary_notes(summary)),
        title=dataset_title("All datasets", key.condition),
        subject=block_subject(key),
        fold="all" if folded else "",
        values=(Values(f"tables/{name}.csv", SUMMARY_FIELDS, list(_summary_values(summary))),),
    )


def _line(row: Row, columns: Sequence[Direction], tops: Mapping[Direction, Sequence[str]]) -> Line:
    entries = ((column, row.entries[column]) for column in columns)
    cells = [entry_cell(entry, tops.get(column, ()), entry.mark) for column, entry in entries]
    label = f"{row.label} {PSEUDO_PAIRS}" if row.pairing else row.label
    return Line(label, (*cells, seeds_cell(row.entries.values())), search=f"{row.label} {row.method}")


def _columns(table: Table) -> Iterator[Column]:
    short = abbreviations(list(dict.fromkeys(query for query, _ in table.directions)))
    for direction in table.columns:
        name = direction_name(direction)
        if direction == AVERAGE or len(table.directions) <= _FEW:
            yield Column(name, direction=name)
        else:
            query, gallery = direction
            yield Column(f"{short[query]}→{short[gallery]}", name, f"{query} queries", name)


def _notes(table: Table) -> Iterator[str]:
    entries = [entry for row in table.rows for entry in row.entries.values()]
    if len(table.directions) > _FEW:
        short = abbreviations(list(dict.fromkeys(query for query, _ in table.directions)))
        named = ", ".join(f"{letters} {name}" for name, letters in short.items())
        yield f"Columns are query→gallery: {named}; the average is over all {len(table.directions)}."
    if any(row.pairing for row in table.rows):
        yield PSEUDO_PAIRS_NOTE
    points = [row.label for row in table.rows if row.role == "reference"]
    if points:
        yield REFERENCE_NOTE.format(", ".join(points))
    if any(row not in table.competing and row.role != "reference" for row in table.rows):
        yield _STUDIES_NOTE
    if table.reference:
        yield marks_note(table)
    yield from given_note((row.label, row.given) for row in table.rows)
    yield from directions_note(table.rows)
    if any(entry.seeds == 1 for entry in entries):
        yield ONE_SEED_NOTE
    for row in table.rows:
        known = " ".join(row.lacking)
        reasons = {entry.reason for entry in row.entries.values() if entry.reason}
        yield from (f"{row.label}: {reason}" for reason in row.lacking)
        yield from (f"{row.label}: {reason}" for reason in sorted(reasons) if reason not in known)
        if row.near is not None and row.role != "reference":
            yield f"{row.label}: {row.near.words}; {row.near.advice}"


def _values(table: Table) -> Iterator[tuple[object, ...]]:
    head = (*data_values(table.data), table.protocol, table.selection)
    for row in table.rows:
        for column in table.columns:
            entry = row.entries[column]
            zeros = "; ".join(rows.words for rows in entry.zeros)
            yield (
                *(*head, row.method, row.code, row.label, row.pairing, *column, *entry_values(entry)),
                *(entry.mark, table.reference if entry.mark else "", entry.reason, zeros),
                digests(entry.records),
            )


def _summary_line(
    row: SummaryRow, summary: SummaryTable, tops: Mapping[str, Sequence[str]], best: Sequence[str]
) -> Line:
    reference = row.role == "reference"
    cells = [
        entry_cell(
            row.entries[name],
            () if reference else tops[name],
            PSEUDO_PAIRS if name in row.class_matched else "",
        )
        for name in summary.datasets
    ]
    if row.rank is None:
        rank = Cell("reference" if reference else "not ranked", missing=True)
    else:
        text = f"{row.rank:.2f}"
        rank = Cell(text, emphasis(text, best), number=row.rank)
    return Line(row.label, (*cells, rank), search=row.label)


def _summary_notes(summary: SummaryTable) -> Iterator[str]:
    ranked = sum(row.rank is not None for row in summary.lines)
    yield (
        f"Average rank: among the {ranked} methods with a number on each of {', '.join(summary.ranked)}; 1 "
        "is best. A rank over other datasets would not compare, so methods that lack one of these are not "
        "ranked."
        if ranked
        else "No method is ranked: none has a number on every dataset that counts."
    )
    yield f"Data: {', '.join(f'{data.dataset} {data.fingerprint[:8]}' for data in summary.data)}."
    if any(row.class_matched for row in summary.lines):
        yield PSEUDO_PAIRS_NOTE
    points = [row.label for row in summary.lines if row.role == "reference"]
    if points:
        yield REFERENCE_NOTE.format(", ".join(points))
    yield from given_note((row.label, digest) for row in summary.lines for digest in row.given)
    entries = [entry for row in summary.lines for entry in row.entries.values()]
    counts = sorted({entry.seeds for entry in entries if entry.seeds})
    yield f"Seeds: {' to '.join(str(one) for one in sorted({*counts[:1], *counts[-1:]})) or 'none'}."
    if any(entry.seeds == 1 for entry in entries):
        yield ONE_SEED_NOTE
    zeros = [
        f"{row.label} on {name}: {', '.join(rows.words for rows in entry.zeros)}"
        for row in summary.lines
        for name, entry in row.entries.items()
        if entry.zeros
    ]
    if zeros:
        yield NO_DIRECTION_NOTE.format("; ".join(zeros))
    yield from (f"Not ranked: {reason}." for reason in summary.omitted)
    for row in summary.lines:
        lacks = (f"{name}: {entry.reason}" for name, entry in row.entries.items() if entry.reason)
        yield from (f"{row.label} on {lack}" for lack in lacks)


def _summary_values(summary: SummaryTable) -> Iterator[tuple[object, ...]]:
    fingerprints = {data.dataset: data.fingerprint for data in summary.data}
    for row in summary.lines:
        for dataset, entry in row.entries.items():
            pairing = "class-matched" if dataset in row.class_matched else ""
            yield (
                *(*summary.about, row.method, row.label, row.rank, " ".join(summary.ranked), row.unranked),
                *(dataset, fingerprints[dataset], pairing, *entry_values(entry), entry.reason),
                digests(entry.records),
            )


TOPIC: Final = Topic(
    "tables", "mAP tables", parts, figures, folder="tables", formats=(".md", ".tex", ".html")
)
