"""Cells without a result, records that are damaged, stale or keep no snapshot, and all records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from bench.analysis.groups import condition_order, data_of
from bench.analysis.labels import Labels, newest_first
from bench.records.schema import Record
from bench.report.cells import number_cell
from bench.report.exhibit import Cell, Line, Listing, Part, Topic, data_subject, plain_table
from bench.report.report_data import ReportData
from bench.report.text import dataset_title


def without_result(data: ReportData) -> list[Part]:
    """Return the cells without a result, and records that are left out or stale."""
    headings = ("Method", "Status", "Dataset", "Kind", "Profile", "Modalities", "Seed", "Record", "Reason")
    lines = []
    for record in sorted(data.records, key=lambda record: (record.identity.title, record.digest)):
        if record.failure is not None:
            reason = record.failure.reason.partition("\n")[0] or "no reason given"
            status = Cell(record.status, records=(record.digest,))
            lines.append(_line(record, data.labels, [status], [Cell(record.digest), Cell(reason)]))
    exhibit = plain_table("cells_without_result", "Cells without a result", headings, lines)
    undrawn = Counter(record.result.snapshot_error for record in data.records if record.result is not None)
    del undrawn[""]
    reasons = [f"{count} cells: {why}" for why, count in undrawn.most_common()]
    listings = (
        Listing("Records left out", [f"{folder}: {sentence}" for folder, sentence in data.problems]),
        Listing("Records of other code (run --retry stale makes them again)", data.stale),
        Listing("Cells without a snapshot for figures", reasons),
    )
    return [Part(exhibits=[exhibit] if lines else [], listings=[one for one in listings if one.items])]


def all_records(data: ReportData) -> list[Part]:
    """Return a line per record, each an anchor that numbers of the page point to."""
    headings = ("Method", "Record", "Status", "Dataset", "Kind", "Profile", "Modalities", "Seed", "Seconds")
    records = in_order(data.records, data.labels)
    lines = []
    for record in records:
        run = record.environment
        first = [Cell(record.digest[:8], records=(record.digest,)), Cell(record.status)]
        last = [number_cell(run.seconds.get("total"), ",.1f"), Cell(run.commit[:8] or "—")]
        lines.append(_line(record, data.labels, first, last, f"record-{record.digest}"))
    caption = f"{len(records)} records"
    table = plain_table("all_records", caption, (*headings, "Commit"), lines, fold="all")
    return [Part(exhibits=[table])]


def in_order(records: Iterable[Record], labels: Labels) -> list[Record]:
    """Return records by data, then in the order of the tables, then by seed."""

    def key(record: Record) -> tuple[Any, ...]:
        identity = record.identity
        return (
            *(identity.data_kind != "real", identity.dataset, identity.fingerprint, identity.profile),
            *(data_of(record).device, newest_first(identity.harness), condition_order(identity.condition)),
            *(labels.order(identity.method), identity.variant != "full", identity.variant),
            *(identity.modalities, identity.seed, newest_first(identity.code), record.digest),
        )

    return sorted(records, key=key)


def record_name(record: Record, labels: Labels) -> str:
    """Return the title of a record's method, with its variant."""
    variant = record.identity.variant
    return labels.title(record.identity.method) + ("" if variant == "full" else f" {variant}")


def _line(
    record: Record, labels: Labels, first: Sequence[Cell], last: Sequence[Cell], anchor: str = ""
) -> Line:
    identity, name = record.identity, record_name(record, labels)
    title, modalities = dataset_title(identity.dataset, identity.condition), " + ".join(identity.modalities)
    about = map(Cell, (title, identity.data_kind, identity.profile, modalities))
    cells = (*first, *about, number_cell(identity.seed, "d"), *last)
    return Line(name, cells, f"{name} {identity.method}", data_subject(data_of(record)), anchor)


WITHOUT_RESULT: Final = Topic(
    "failures", "Cells without a result", without_result, file="tables.md", order=150
)
ALL: Final = Topic("records", "All records", all_records, file="-", order=160)
