"""The reproduction ledger: published values compared with those of the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, get_args

from bench.analysis.groups import Data, data_order
from bench.analysis.labels import Labels
from bench.analysis.ledger import CLOSE, REPRODUCED, LedgerRow, Verdict, confined_to, ledger_of, run_command
from bench.analysis.tables import ABSENT, AVERAGE, direction_name
from bench.report.cells import data_values, entry_cell, entry_values, number_cell
from bench.report.exhibit import (
    Cell,
    Line,
    Listing,
    Part,
    TableExhibit,
    Topic,
    Values,
    data_table,
    plain_table,
)
from bench.report.report_data import ReportData
from bench.report.text import data_name, data_stem

FIELDS: Final = (
    *("method", "dataset", "direction", "metric", "published", "source"),
    *("verdict", "because", "difference", "ours", "deviation", "seeds"),
    *("method_here", "dataset_here", "data_kind", "profile", "fingerprint", "condition", "device", "harness"),
    *("protocol", "query", "gallery", "records", "remark", "command"),
)
_INTRODUCTION: Final = (
    f"Values as papers and logs print them, and ours: reproduced within {REPRODUCED} mAP, close within "
    f"{CLOSE}, not reproduced beyond. Only the method itself with its published settings, on the real "
    "data under the same condition, in the paper profile, by the same protocol and on the same modalities is "
    "compared with a published value; other records are named with the reason why they are not. A published "
    "value is a reference, not a truth: the same method differs by up to .1 between papers, so each source "
    "has a separate line, and how a paper chose its epoch is not always known."
)
_NOTHING: Final = "There are no published values to compare with; they belong into results/published."
_REAL_FILES: Final = (
    "To run what is missing, the real files are needed: python -m bench data doctor says where they go. "
    "Without them a run makes a look-alike, which is compared with nothing."
)
_COMPARED: Final = ("reproduced", "close", "not reproduced", "no result")
_LONG: Final = 40
"""Lines from which a table opens on request."""


def parts(data: ReportData) -> list[Part]:
    """Return counts by verdict, a table per data, values without comparison, and commands to run."""
    rows, labels = ledger_of(data.results, data.published), data.labels
    if not rows:
        return [Part(text=(_INTRODUCTION, _NOTHING))]
    sources = {
        source: index + 1 for index, source in enumerate(dict.fromkeys(row.value.source for row in rows))
    }
    by_data: dict[Data, list[LedgerRow]] = {}
    for row in rows:
        if row.verdict in _COMPARED and row.ours is not None:
            by_data.setdefault(row.ours.data, []).append(row)
    compared = [_compared(one, by_data[one], sources, labels) for one in sorted(by_data, key=data_order)]
    apart = [row for row in rows if row.verdict in ("not comparable", "not run yet")]
    counts = Counter(row.verdict for row in rows)
    verdicts = plain_table(
        "ledger_verdicts",
        "Verdicts",
        ("verdict", "published values"),
        [Line(one, (number_cell(counts[one], "d"),)) for one in get_args(Verdict) if counts[one]],
        values=(Values("ledger.csv", FIELDS, list(map(_values, rows))),),
    )
    exhibits = [verdicts, *compared, *([_apart(apart, sources)] if apart else [])]
    needed = commands(rows)
    listings = [
        Listing("What would have to be run", needed, commands=True),
        Listing("Not in this project", absent_names(rows)),
    ]
    text = (_INTRODUCTION, *([_REAL_FILES] if needed else []))
    return [Part(text=text, exhibits=exhibits, listings=[one for one in listings if one.items])]


def commands(rows: Sequence[LedgerRow]) -> list[str]:
    """Return the commands that would run what is missing: one per dataset and condition, for all methods."""
    found: dict[tuple[str, tuple[str, ...], str], dict[str, None]] = {}
    for row in rows:
        if row.command:
            key = row.meaning.dataset, confined_to(row.meaning), row.meaning.condition
            found.setdefault(key, {})[row.meaning.method] = None
    return [run_command(list(methods), *key) for key, methods in sorted(found.items())]


def absent_names(rows: Sequence[LedgerRow]) -> list[str]:
    """Return sentences with the published methods and datasets that the project does not have."""
    absent = [row for row in rows if row.verdict == "not in this project"]
    methods = Counter(row.value.method for row in absent if not row.meaning.method)
    datasets = Counter(row.value.dataset for row in absent if not row.meaning.dataset)
    counted = (
        (what, ", ".join(f"{name} ({count})" for name, count in sorted(names.items())))
        for what, names in (("Methods", methods), ("Datasets", datasets))
    )
    return [f"{what}, with their values: {names}." for what, names in counted if names]


def _compared(data: Data, rows: Sequence[LedgerRow], sources: dict[str, int], labels: Labels) -> TableExhibit:
    """Return the table of one data; rows in the roster's order of methods."""
    ordered = sorted(rows, key=lambda row: labels.order(row.meaning.method))
    used = dict.fromkeys(row.value.source for row in ordered)
    remarks = dict.fromkeys(row.meaning.remark for row in ordered if row.meaning.remark)
    notes = (*(f"[{sources[source]}] {source}" for source in used), *(f"Note: {one}." for one in remarks))
    lines = []
    for row in ordered:
        meaning, title, entry = (
            row.meaning,
            labels.title(row.meaning.method),
            row.ours.entry if row.ours else ABSENT,
        )
        lacking = Cell(row.because, missing=True)
        cells = (
            *(Cell(direction_name(meaning.direction or AVERAGE)), Cell(meaning.protocol)),
            *(number_cell(row.value.value, ".4f"), Cell(f"[{sources[row.value.source]}]")),
            *(entry_cell(entry, form=".4f"), number_cell(entry.seeds, "d")),
            *(lacking if row.difference is None else number_cell(row.difference, "+.4f"), Cell(row.verdict)),
        )
        lines.append(Line(title, cells, search=title))
    numbers = ("published", "source", "ours", "seeds", "difference", "verdict")
    return data_table(
        f"ledger_{data_stem(data)}",
        f"Beside ours: {data_name(data)}",
        data,
        ("Method", "direction", "protocol", *numbers),
        lines,
        notes=notes,
        title="",
        fold="numbers" if len(ordered) > _LONG else "",
    )


def _apart(rows: Sequence[LedgerRow], sources: dict[str, int]) -> TableExhibit:
    """Return the values without comparison, by dataset, source and reason."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        value = row.value
        key = (value.dataset, value.metric, value.source, row.verdict, row.because)
        groups.setdefault(key, []).append(value.method)
    lines = []
    for (dataset, metric, source, verdict, because), methods in groups.items():
        names, reason = ", ".join(dict.fromkeys(methods)), (Cell(verdict), Cell(because))
        cells = (Cell(metric), Cell(f"[{sources[source]}]"), Cell(names), number_cell(len(methods), "d"))
        lines.append(Line(dataset, (*cells, *reason), search=names))
    return plain_table(
        "ledger_apart",
        "With nothing beside them",
        ("dataset", "metric", "source", "methods", "values", "verdict", "because"),
        lines,
        notes=tuple(f"[{sources[row]}] {row}" for row in dict.fromkeys(row.value.source for row in rows)),
        fold="numbers" if len(lines) > _LONG else "",
    )


def _values(row: LedgerRow) -> tuple[object, ...]:
    value, meaning, ours = row.value, row.meaning, row.ours
    entry = None if ours is None else ours.entry
    return (
        *(value.method, value.dataset, value.direction, value.metric, value.value, value.source),
        *(row.verdict, row.because, row.difference),
        *((None, None, 0) if entry is None else entry_values(entry)),
        *(meaning.method, meaning.dataset, *(("",) * 6 if ours is None else data_values(ours.data)[1:])),
        *(meaning.protocol, *(meaning.direction or ("", ""))),
        *("" if entry is None else " ".join(entry.records), meaning.remark, row.command),
    )


TOPIC: Final = Topic("ledger", "Published values", parts, csv_files={"ledger.csv": FIELDS}, order=30)
