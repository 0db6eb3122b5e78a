"""Tables as CSV: a line per number, in full precision, with everything that it belongs to."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from bench.analysis.across_datasets import SummaryTable
from bench.analysis.groups import Data
from bench.analysis.tables import Entry, Table

_NUMBER = ("mean", "deviation", "seeds", "significance", "reference", "reason", "zero_rows", "records")
FIELDS = (
    *("dataset", "data_kind", "profile", "fingerprint", "device", "harness", "protocol", "selection"),
    *("method", "code", "label", "pairing", "query", "gallery", *_NUMBER),
)
OVERALL_FIELDS = (
    *("data_kind", "profile", "device", "harness", "protocol", "selection", "method", "label"),
    *("average_rank", "ranked_over", "unranked_because"),
    *("dataset", "fingerprint", "pairing", "mean", "deviation", "seeds", "reason", "records"),
)


def table_csv(table: Table) -> str:
    """Return a line per row and direction; doubles read back to the same value."""
    return csv_of(FIELDS, _lines(table))


def overall_csv(overall: SummaryTable) -> str:
    """Return a line per method and dataset."""
    return csv_of(OVERALL_FIELDS, _overall_lines(overall))


def csv_of(fields: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return lines under their heads; numbers are written in full, None as nothing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows(lines)
    return out.getvalue()


def _lines(table: Table) -> Iterator[tuple[object, ...]]:
    head = (*data_values(table.data), table.protocol, table.selection)
    for row in table.rows:
        for column in table.columns:
            entry = row.entries[column]
            marked = (entry.mark, table.reference if entry.mark else "")
            yield (
                *(*head, row.method, row.code, row.label, row.pairing, *column),
                *(*_mean(entry), *marked, entry.reason, _zeros(entry), " ".join(entry.records)),
            )


def _overall_lines(overall: SummaryTable) -> Iterator[tuple[object, ...]]:
    fingerprints = {data.dataset: data.fingerprint for data in overall.data}
    for line in overall.lines:
        for dataset, entry in line.entries.items():
            pairing = "class-matched" if dataset in line.class_matched else ""
            yield (
                *(*overall.about, line.method, line.label),
                *(line.rank, " ".join(overall.ranked), line.unranked),
                *(dataset, fingerprints[dataset], pairing),
                *(*_mean(entry), entry.reason, " ".join(entry.records)),
            )


def data_values(data: Data) -> tuple[str, ...]:
    """Return data as its columns: dataset, kind, profile, fingerprint, device, harness."""
    return data.dataset, data.kind, data.profile, data.fingerprint, data.device, data.harness


def _zeros(entry: Entry) -> str:
    return "; ".join(one.words for one in entry.zeros)


def _mean(entry: Entry) -> tuple[object, ...]:
    return entry.mean, entry.deviation, entry.seeds
