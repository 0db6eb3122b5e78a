"""mAP tables: all datasets at a glance, then one by one, real data before look-alikes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bench.analysis.across_datasets import SummaryRow, SummaryTable, summary_tables_of
from bench.analysis.comparisons import marks_note
from bench.analysis.labels import abbreviations
from bench.analysis.tables import AVERAGE, Direction, Row, Table, direction_name
from bench.report.cells import (
    DATA_FIELDS,
    FEW_DIRECTIONS,
    ONE_SEED_NOTE,
    PSEUDO_PAIRS,
    PSEUDO_PAIRS_NOTE,
    REFERENCE_NOTE,
    data_values,
    emphasis,
    entry_cell,
    entry_values,
    given_note,
    seeds_cell,
    tops_of,
    zero_embeddings_note,
    zero_rows_note,
)
from bench.report.exhibit import (
    Cell,
    Column,
    Fold,
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
from bench.report.text import block_rule, block_stem, dataset_title, kind_remark, study_stem, table_caption

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
    "them would be chosen on test data (see ablations.md). The same holds for fits on three or more "
    "modalities that are not those of most methods."
)


def parts(data: ReportData) -> list[Part]:
    """Return all tables; of several protocols the first is open on the page."""
    done = sum(record.status == "done" for record in data.records)
    counted = f"{done} of {len(data.records)} recorded cells are done."
    exhibits = [
        *(
            summary_exhibit(one, data.fold(one.about.protocol, one.about.condition))
            for one in summary_tables_of(data.plain_tables, data.blocks)
        ),
        *(table_exhibit(one, data.fold(one.protocol, one.data.condition)) for one in data.tables),
    ]
    kinds = {kind: [one for one in exhibits if one.subject.kind == kind] for kind in ("real", "look-alike")}
    parts = [Part(text=(counted, *_INTRODUCTION)), Part("Real data", exhibits=kinds["real"], kind="real")]
    if kinds["look-alike"]:
        parts.append(Part("Look-alikes", (_LOOK_ALIKES,), kinds["look-alike"], kind="look-alike"))
    return parts


def figures(data: ReportData) -> list[Part]:
    """Return the tables as shaded grids: methods by datasets, and by directions."""
    return [Part("At a glance", exhibits=[*dataset_grids(data), *direction_grids(data)])]


def table_exhibit(table: Table, fold: Fold = "") -> TableExhibit:
    """Return a table of mAP: its directions, their average, and the number of seeds.

    The best and the second number of a column are emphasised; only `Table.competing` rows compete.
    """
    competing = table.competing
    tops = tops_of(table.columns, [row.entries for row in competing], table.protocol)
    data, name = table.data, study_stem(table.data, table.protocol, table.selection)
    return TableExhibit(
        name=name,
        caption=table_caption(table),
        corner="Method",
        columns=(*_columns(table), Column("seeds")),
        lines=tuple(_line(row, table.columns, tops if row in competing else {}) for row in table.rows),
        notes=tuple(_notes(table)),
        title=dataset_title(data.dataset, data.condition),
        subject=data_subject(data, table.protocol),
        fold=fold,
        values=(Values(f"tables/{name}.csv", FIELDS, list(_values(table))),),
    )


def summary_exhibit(summary: SummaryTable, fold: Fold = "") -> TableExhibit:
    """Return methods by datasets; best and second are emphasised per dataset and among the ranks."""
    key, competing = summary.about, [row.entries for row in summary.lines if row.role != "reference"]
    tops = tops_of(summary.datasets, competing, key.protocol)
    ranks = {f"{row.rank:.2f}": row.rank for row in summary.lines if row.rank is not None}
    best = sorted(ranks, key=lambda text: ranks[text])[:2]
    name, of = block_stem("overall", key), f"{key.protocol}, average over directions, {block_rule(key)}"
    columns = (Column(dataset, direction="average") for dataset in summary.datasets)
    return TableExhibit(
        name=name,
        caption=f"All datasets{kind_remark(key.kind)} — {of}",
        corner="Method",
        columns=(*columns, Column("average rank")),
        lines=tuple(_summary_line(row, summary, tops, best) for row in summary.lines),
        notes=tuple(_summary_notes(summary)),
        title=dataset_title("All datasets", key.condition),
        subject=block_subject(key),
        fold=fold,
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
        if direction == AVERAGE or len(table.directions) <= FEW_DIRECTIONS:
            yield Column(name, direction=name)
        else:
            query, gallery = direction
            yield Column(f"{short[query]}→{short[gallery]}", name, f"{query} queries", name)


def _notes(table: Table) -> Iterator[str]:
    entries = [entry for row in table.rows for entry in row.entries.values()]
    if len(table.directions) > FEW_DIRECTIONS:
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
    yield from zero_embeddings_note(table.rows)
    if any(entry.seeds == 1 for entry in entries):
        yield ONE_SEED_NOTE
    for row in table.rows:
        known = " ".join(row.lacking)
        reasons = {entry.reason for entry in row.entries.values() if entry.reason}
        yield from (f"{row.label}: {reason}" for reason in row.lacking)
        where = " in some columns" if any(entry.mean is not None for entry in row.entries.values()) else ""
        yield from (f"{row.label}{where}: {reason}" for reason in sorted(reasons) if reason not in known)
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
                " ".join(entry.records),
            )


def _summary_line(
    row: SummaryRow, summary: SummaryTable, tops: Mapping[str, Sequence[str]], best: Sequence[str]
) -> Line:
    reference = row.role == "reference"
    cells = []
    for name in summary.datasets:
        mark = PSEUDO_PAIRS if name in row.class_matched else ""
        cells.append(entry_cell(row.entries[name], () if reference else tops[name], mark))
    rank = Cell("reference" if reference else "not ranked", missing=True)
    if row.rank is not None:
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
    yield from zero_rows_note(
        (f"{row.label} on {name}", entry.zeros)
        for row in summary.lines
        for name, entry in row.entries.items()
    )
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
                " ".join(entry.records),
            )


TOPIC: Final = Topic(
    "tables",
    "mAP tables",
    parts,
    figures,
    folder="tables",
    formats=(".md", ".tex", ".html"),
    order=10,
)
