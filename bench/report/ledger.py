"""The reproduction ledger: published values beside ours, as a page and as CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, get_args

from bench.analysis.groups import Data, data_order
from bench.analysis.labels import Labels
from bench.analysis.ledger import CLOSE, REPRODUCED, LedgerRow, Verdict, confined_to, run_command
from bench.analysis.tables import AVERAGE, direction_name
from bench.report.tables.markdown import markdown
from bench.report.tables.sheet import Cell, Column, Line, Sheet
from bench.report.tables.values import csv_of, data_values
from bench.report.text import data_name, escape_markdown, stem_of

FIELDS: Final = (
    *("method", "dataset", "direction", "metric", "published", "source"),
    *("verdict", "because", "difference", "ours", "deviation", "seeds"),
    *("method_here", "dataset_here", "data_kind", "profile", "fingerprint", "device", "harness"),
    *("protocol", "query", "gallery", "records", "remark", "command"),
)
INTRODUCTION: Final = (
    f"Values as papers and logs print them, beside ours: reproduced within {REPRODUCED} mAP, close within "
    f"{CLOSE}, not reproduced beyond. Only the method itself with its published settings, on the real "
    "data, in the paper profile, under the same protocol and on the same modalities stands beside a "
    "published value; whatever else is recorded is named with the reason why it does not. A published "
    "value is a reference, not a truth: the same method differs by up to .1 between papers, so each source "
    "has a line of its own, and how a paper chose its epoch is not always known."
)
NOTHING: Final = "There are no published values to compare with; they belong into results/published."
_COMPARED: Final = ("reproduced", "close", "not reproduced", "no result")


def ledger_page(lines: Sequence[LedgerRow], labels: Labels) -> str:
    """Return the ledger as Markdown: counts, what could be compared, what could not, and what to run."""
    parts = ["# Reproduction ledger", escape_markdown(INTRODUCTION)]
    if not lines:
        return "\n\n".join([*parts, NOTHING]) + "\n"
    parts.append("Every value has a line in [ledger.csv](ledger.csv).")
    parts += [markdown(sheet, level=2).strip() for sheet in ledger_sheets(lines, labels)]
    parts += _to_run(lines)
    absent = absent_names(lines)
    if absent:
        parts += ["## Not in this project", *map(escape_markdown, absent)]
    return "\n\n".join(parts) + "\n"


def ledger_csv(lines: Iterable[LedgerRow]) -> str:
    """Return every published value with everything that is known about it."""
    return csv_of(FIELDS, map(_fields, lines))


def ledger_sheets(lines: Sequence[LedgerRow], labels: Labels) -> list[Sheet]:
    """Return the ledger as tables: counts by verdict, a table per data, and what could not be compared."""
    sources = {
        source: place + 1 for place, source in enumerate(dict.fromkeys(one.value.source for one in lines))
    }
    by_data: dict[Data, list[LedgerRow]] = {}
    for line in lines:
        if line.verdict in _COMPARED and line.ours is not None:
            by_data.setdefault(line.ours.data, []).append(line)
    compared = [_compared(data, by_data[data], sources, labels) for data in sorted(by_data, key=data_order)]
    apart = [line for line in lines if line.verdict in ("not comparable", "not run yet")]
    return [_summary(lines), *compared, *([_apart(apart, sources)] if apart else [])]


def commands(lines: Sequence[LedgerRow]) -> list[str]:
    """Return what would have to be run: a command per dataset, for all its methods."""
    wanted: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}
    for line in lines:
        if line.command:
            key = line.meaning.dataset, confined_to(line.meaning)
            wanted.setdefault(key, {})[line.meaning.method] = None
    return [run_command(list(methods), *key) for key, methods in sorted(wanted.items())]


def absent_names(lines: Sequence[LedgerRow]) -> list[str]:
    """Return which published methods and datasets the project does not have, in sentences."""
    absent = [line for line in lines if line.verdict == "not in this project"]
    methods = Counter(line.value.method for line in absent if not line.meaning.method)
    datasets = Counter(line.value.dataset for line in absent if not line.meaning.dataset)
    return [
        f"{what}: {', '.join(f'{name} ({count})' for name, count in sorted(names.items()))}."
        for what, names in (
            ("Methods, with their values", methods),
            ("Datasets, with their values", datasets),
        )
        if names
    ]


def _summary(lines: Sequence[LedgerRow]) -> Sheet:
    counts = Counter(line.verdict for line in lines)
    rows = tuple(
        Line(verdict, (Cell(str(counts[verdict]), number=float(counts[verdict])),))
        for verdict in get_args(Verdict)
        if counts[verdict]
    )
    return Sheet("ledger", "Verdicts", "verdict", (Column("published values"),), rows)


def _compared(data: Data, lines: Sequence[LedgerRow], sources: dict[str, int], labels: Labels) -> Sheet:
    """Return the table of one data; rows of one method stand together, in the roster's order."""
    ordered = sorted(lines, key=lambda line: labels.order(line.meaning.method))
    headings = ("direction", "protocol", "published", "source", "ours", "seeds", "difference", "verdict")
    used = dict.fromkeys(line.value.source for line in ordered)
    remarks = dict.fromkeys(line.meaning.remark for line in ordered if line.meaning.remark)
    return Sheet(
        name=f"ledger_{stem_of(data)}",
        caption=f"Beside ours: {data_name(data)}",
        corner="Method",
        columns=tuple(map(Column, headings)),
        lines=tuple(_row(line, sources[line.value.source], labels) for line in ordered),
        notes=(
            *(f"[{sources[source]}] {source}" for source in used),
            *(f"Note: {text}." for text in remarks),
        ),
    )


def _row(line: LedgerRow, source: int, labels: Labels) -> Line:
    assert line.ours is not None
    entry = line.ours.entry
    ours = Cell(entry.brief or "no result", missing=True)
    if entry.mean is not None:
        spread = "" if entry.deviation is None else f"{entry.deviation:.4f}"
        ours = Cell(f"{entry.mean:.4f}", number=entry.mean, records=entry.records, spread=spread)
    difference = Cell(line.because, missing=True)
    if line.difference is not None:
        difference = Cell(f"{line.difference:+.4f}", number=line.difference)
    cells = (
        Cell(direction_name(line.meaning.direction or AVERAGE)),
        Cell(line.meaning.protocol),
        Cell(f"{line.value.value:.4f}", number=line.value.value),
        Cell(f"[{source}]"),
        *(ours, Cell(str(entry.seeds)), difference, Cell(line.verdict)),
    )
    return Line(labels.title(line.meaning.method), cells)


def _apart(lines: Sequence[LedgerRow], sources: dict[str, int]) -> Sheet:
    """Return why values have nothing beside them, by dataset, source and reason."""
    groups: dict[tuple[str, ...], list[LedgerRow]] = {}
    for line in lines:
        value = line.value
        key = (value.dataset, value.metric, value.source, line.verdict, line.because)
        groups.setdefault(key, []).append(line)
    headings = ("metric", "source", "methods", "values", "verdict", "because")
    rows = []
    for (dataset, metric, source, verdict, because), members in groups.items():
        methods = ", ".join(dict.fromkeys(line.value.method for line in members))
        count = Cell(str(len(members)), number=float(len(members)))
        origin = Cell(f"[{sources[source]}]")
        cells = (Cell(metric), origin, Cell(methods), count, Cell(verdict), Cell(because))
        rows.append(Line(dataset, cells))
    used = dict.fromkeys(line.value.source for line in lines)
    return Sheet(
        "ledger_apart",
        "With nothing beside them",
        "dataset",
        tuple(map(Column, headings)),
        tuple(rows),
        tuple(f"[{sources[source]}] {source}" for source in used),
    )


def _to_run(lines: Sequence[LedgerRow]) -> Iterator[str]:
    wanted = commands(lines)
    if wanted:
        yield "## What would have to be run"
        yield (
            "The real files first: `python -m bench data doctor` says where they go. Without them a run "
            "makes a look-alike, which stands beside nothing."
        )
        yield "\n".join(["```text", *wanted, "```"])


def _fields(line: LedgerRow) -> tuple[object, ...]:
    value, meaning, ours = line.value, line.meaning, line.ours
    data = ours.data if ours is not None else None
    entry = ours.entry if ours is not None else None
    numbers = (entry.mean, entry.deviation, entry.seeds) if entry is not None else (None, None, 0)
    return (
        *(value.method, value.dataset, value.direction, value.metric, value.value, value.source),
        *(line.verdict, line.because, line.difference, *numbers, meaning.method, meaning.dataset),
        *(data_values(data)[1:] if data is not None else ("",) * 5),
        *(meaning.protocol, *(meaning.direction or ("", ""))),
        *(" ".join(entry.records) if entry is not None else "", meaning.remark, line.command),
    )
