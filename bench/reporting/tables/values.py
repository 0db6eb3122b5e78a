"""Tables as CSV: a line per number, in full precision, with everything that it belongs to."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from bench.analysis.overall import Overall
from bench.analysis.tables import Entry, Table

_NUMBER = ("mean", "deviation", "seeds", "significance", "reference", "reason", "records")
FIELDS = (
    *("dataset", "data_kind", "profile", "fingerprint", "protocol", "selection"),
    *("method", "label", "pairing", "query", "gallery", *_NUMBER),
)
OVERALL_FIELDS = (
    *("data_kind", "profile", "protocol", "selection", "method", "label"),
    *("average_rank", "ranked_over", "unranked_because"),
    *("dataset", "fingerprint", "pairing", "mean", "deviation", "seeds", "reason", "records"),
)


def table_csv(table: Table) -> str:
    """Return a line per row and direction; doubles read back to the same value."""
    return csv_of(FIELDS, _lines(table))


def overall_csv(overall: Overall) -> str:
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
    data = (table.dataset, table.kind, table.profile, table.fingerprint, table.protocol, table.selection)
    for row in table.rows:
        for column in table.columns:
            entry = row.entries[column]
            marked = (entry.mark, table.reference if entry.mark else "")
            yield (
                *(*data, row.method, row.label, row.pairing, *column),
                *(*_mean(entry), *marked, entry.reason, " ".join(entry.records)),
            )


def _overall_lines(overall: Overall) -> Iterator[tuple[object, ...]]:
    head = (overall.kind, overall.profile, overall.protocol, overall.selection)
    for line in overall.lines:
        for dataset, entry in line.entries.items():
            pairing = "class-matched" if dataset in line.class_matched else ""
            yield (
                *(*head, line.method, line.label, line.rank, " ".join(overall.ranked), line.unranked),
                *(dataset, overall.fingerprints[dataset], pairing),
                *(*_mean(entry), entry.reason, " ".join(entry.records)),
            )


def _mean(entry: Entry) -> tuple[object, ...]:
    return entry.mean, entry.deviation, entry.seeds
