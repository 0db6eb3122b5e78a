"""The report of one cell from its record: sections of sentences and tables, for `why` and for the page."""

from __future__ import annotations

import json
import shlex
import statistics
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tabulate import tabulate

from bench.analysis.chance import advice
from bench.analysis.comparisons import marks_note
from bench.analysis.convergence import TraceSummary
from bench.analysis.findings import ranks_in_table
from bench.analysis.groups import data_of, device_of
from bench.analysis.labels import EARLIER
from bench.analysis.settings import settings_provenance
from bench.analysis.tables import Row, Table, direction_name
from bench.conditions.names import validation_rows
from bench.records.protocols import base_of
from bench.records.schema import Metric, Record, Result
from bench.report.cells import zero_embeddings_note
from bench.report.text import dataset_title, made_by, under
from bench.signed import signed

_WIDTH: Final = 78
_NOTE: Final = 2 * _WIDTH
_LOG_LINES: Final = 12
_MEBIBYTE: Final = 1 << 20


class Rows(NamedTuple):
    """A table of a section; a cell may have several lines."""

    headings: Sequence[str]
    rows: Sequence[Sequence[object]]

    @property
    def lines(self) -> list[str]:
        """Return it for a terminal."""
        wrapped = [[_wrapped(cell) for cell in row] for row in self.rows]
        text = tabulate(wrapped, headers=self.headings, disable_numparse=True, stralign="left")
        return text.splitlines()


class Section(NamedTuple):
    """A part of the report; its items may hold any text of a record, with control characters."""

    title: str  # heading
    items: Sequence[str | Rows]  # sentences and tables
    verbatim: bool = False  # whether its sentences are output of a program, or commands

    @property
    def lines(self) -> list[str]:
        """Return it for a terminal."""
        lines = list[str]()
        for item in self.items:
            if isinstance(item, Rows):
                lines += item.lines
            else:
                lines += (item if self.verbatim else _wrapped(item)).splitlines()
        return lines


@dataclass(frozen=True)
class CellContext:
    """The input of the report of a cell, besides its record."""

    label: str  # of its row in the tables
    folder: str  # that holds the record
    trace: TraceSummary  # in short
    log: str  # printed output of the cell
    position: tuple[str, ...]  # its ranks among the other rows, in lines; empty without a result
    stale: tuple[str, ...] = ()  # which code behind it has changed; empty if none has
    model: str = ""  # whether its selected state was kept, and where; empty if keeping it was not requested
    # settings for which settings files have other values by now
    since: Mapping[str, Any] = field(default_factory=dict)


def cell_report(record: Record, context: CellContext | None = None) -> list[Section]:
    """Return all sections about a cell, in the order of its run; without a context from the record alone."""
    defaults, words = settings_provenance(record)
    settings = [[key, json.dumps(record.identity.settings[key]), origin] for key, origin in words.items()]
    about = [f"Of the defaults: {defaults}"] if defaults else []
    found = [
        Section("Cell", list(_cell(record, context))),
        Section("Data", list(_data(record))),
        Section("Settings", [*about, Rows(("setting", "value", "from"), settings)]),
    ]
    result, failure = record.result, record.failure
    if result is not None:
        found.append(Section("Selection", list(_selection(result, given=record.identity.given))))
    if context:
        found.append(Section("Training", list(_trace(context.trace))))
    if result is not None:
        found.append(Section("Result", list(_numbers(result))))
        found += [Section("Rank among methods", context.position, verbatim=True)] if context else []
        notes = ((key, json.dumps(value)) for key, value in sorted(result.notes.items()))
        short = [f"{key}: {text if len(text) <= _NOTE else text[:_NOTE] + '...'}" for key, text in notes]
        found.append(Section("Notes of the method", short))
        found += [Section("Stored model", [context.model])] if context and context.model else []
    if failure is not None:
        advices = [advice(record.identity)] if record.status == "refused" else []
        items = [f"{record.status} ({failure.kind}): {failure.reason}", *advices, failure.traceback]
        found.append(Section("Reason", items, verbatim=True))
    found.append(Section("Environment", list(_made(record))))
    log = context.log.splitlines()[-_LOG_LINES:] if context else []
    found.append(Section("End of the log", log, verbatim=True))
    found.append(Section("Command", [record.environment.command], verbatim=True))
    if context and context.since:
        changes = (f"{record.identity.method}.{key}={json.dumps(one)}" for key, one in context.since.items())
        intro = "settings files give other values today; to make it again, add to the command:"
        since = [intro, " ".join(f"--set {shlex.quote(word)}" for word in changes)]
        found.append(Section("Changed settings", since, verbatim=True))
    return [section for section in found if section.items]


def _cell(record: Record, context: CellContext | None) -> Iterator[str]:
    identity = record.identity
    kind = "real data" if identity.data_kind == "real" else "LOOK-ALIKE, generated data, not the benchmark"
    yield f"{identity.title}: {record.status}"
    threads = f"{identity.threads} thread{'' if identity.threads == 1 else 's'}"
    label = f"{context.label}, " if context else ""
    yield f"{label}variant {identity.variant}; {kind}; {identity.profile} profile; {threads}"
    device = device_of(identity, record.environment)
    yield f"device {device}; harness: {identity.harness or EARLIER}; method: {identity.code or EARLIER}"
    yield f"record {record.digest}" + (f" in {context.folder}" if context else "")
    if context and context.stale:
        yield f"STALE, other code made it: {', '.join(context.stale)}"


def _data(record: Record) -> Iterator[str | Rows]:
    identity, result = record.identity, record.result
    yield f"{identity.dataset}, {identity.data_kind}, fingerprint {identity.fingerprint[:16]}"
    if identity.condition:
        level = "" if result is None else f"effective level: {result.effective}"
        facts = f"condition {identity.condition}", level, validation_rows(identity.condition)
        yield "; ".join(filter(None, facts))
    if result is not None:
        yield f"split: {result.split}; pairing of the training rows: {result.pairing}"
        sizes = sorted(result.rows.items())
        rows = [[name, one.dimension, one.train, one.validation, one.test] for name, one in sizes]
        yield Rows(("modality", "width", "train", "validation", "test"), rows)


def _selection(result: Result, *, given: bool) -> Iterator[str]:
    if given:
        yield "unknown: the embeddings or similarities were computed elsewhere"
    elif not result.selected:
        yield "in closed form: there was nothing to select"
    for item in result.selected:
        epochs = item.epoch if isinstance(item.epoch, dict) else {"": item.epoch}
        epoch = ", ".join(f"{name} epoch {number}".strip() for name, number in epochs.items())
        values = item.value if isinstance(item.value, dict) else {"": item.value}
        known = [f"{name} {value:.4f}".strip() for name, value in values.items() if value is not None]
        criterion = f"{item.criterion} ({', '.join(known)})" if known else item.criterion
        used = ", which the tables print" if item.rule == result.selection else ""
        yield f"{item.rule}: {epoch} by {criterion}{used}"
        if item.rule in result.refused:
            yield f"no numbers of {item.rule}: {result.refused[item.rule]}"
    yield f"audit: {result.audit}"


def _trace(trace: TraceSummary) -> Iterator[str | Rows]:
    if not trace.epochs:
        yield "no epochs were traced"
        return
    headings = ["", *(f"{row.get('stage', '')} {row.get('epoch', '')}".strip() for _, row in trace.rows)]
    rows: list[list[str]] = [["shown as", *(why.replace(", ", "\n") for why, _ in trace.rows)]]
    for column in trace.columns:
        if column not in ("stage", "epoch"):
            values = (row.get(column, "") for _, row in trace.rows)
            rows.append([column, *(f"{one:.4f}" if isinstance(one, float) else str(one) for one in values)])
    yield Rows(headings, rows)
    left_out = f"; columns not shown: {', '.join(trace.left_out)}" if trace.left_out else ""
    yield f"{trace.epochs} epoch{'' if trace.epochs == 1 else 's'} in trace.csv{left_out}"


def _numbers(result: Result) -> Iterator[str | Rows]:
    printed = [metric for metric in result.metrics if metric.selection == result.selection]
    averages = _averages(printed)
    directions: dict[tuple[str, str], dict[str, Metric]] = {}
    for metric in printed:
        directions.setdefault((metric.query, metric.gallery), {})[metric.protocol] = metric
    rows = []
    for direction, metrics in directions.items():
        sizes = next(iter(metrics.values()))
        numbers = [f"{metrics[one].value:.4f}" if one in metrics else "" for one in averages]
        rows.append([direction_name(direction), str(sizes.queries), str(sizes.items), *numbers])
    if len(directions) > 1:
        rows.append(["average", "", "", *(f"{value:.4f}" for value in averages.values())])
    yield f"numbers by protocol, selection {result.selection}"
    yield Rows(("direction", "queries", "gallery", *averages), rows)
    for rule in dict.fromkeys(metric.selection for metric in result.metrics):
        if rule != result.selection:
            others = _averages([metric for metric in result.metrics if metric.selection == rule])
            gains = {name: value - averages.get(name, value) for name, value in others.items()}
            words = (f"{name} {value:.4f} ({signed(gains[name], '+.4f')})" for name, value in others.items())
            label = f"{rule} (TEST oracle, never a result)" if rule == "oracle" else rule
            yield f"selection {label} instead, average: {', '.join(words)}"
    yield from (f"selection {rule} has no numbers: refused: {why}" for rule, why in result.refused.items())
    for rule, counts in result.zero_rows.items():
        for name, count in counts.items():
            part = result.rows.get(name)
            size = "" if part is None else f" of {part.evaluated}"
            split = "test and gallery" if part is not None and part.gallery else "test"
            yield (
                f"selection {rule}: {count}{size} {name} {split} rows have no direction, as their embeddings "
                "are zero: their similarity to everything is 0, and ties count by their expectation"
            )
    yield from (f"{protocol} is not defined here: {why}" for protocol, why in result.unavailable.items())
    if result.snapshot_error:
        yield f"nothing can be drawn of it: {result.snapshot_error}"


def _made(record: Record) -> Iterator[str]:
    run, identity = record.environment, record.identity
    seconds = ", ".join(f"{name} {value:.2f} s" for name, value in sorted(run.seconds.items()))
    yield f"{run.started}: {seconds or 'no times'}"
    memory, device = (
        f"{(size or 0) / _MEBIBYTE:.0f} MiB" for size in (run.peak_memory, run.peak_device_memory)
    )
    gpu = f", on the GPU {device}" if run.peak_device_memory else ""
    yield f"memory {'unknown' if run.peak_memory is None else memory}{gpu}"
    if run.reused:
        yield f"not trained: only pairs change, and the method makes no use of them; numbers of {run.reused}"
    yield f"on {run.device}; {', '.join(f'{name} {value}' for name, value in sorted(run.host.items()))}"
    yield ", ".join(f"{name} {value}" for name, value in sorted(run.versions.items()))
    versions = ", ".join(filter(None, (identity.harness, identity.code)))
    yield f"numbers of {versions or 'code without versions'}"
    dirty = " with uncommitted changes" if run.dirty else ""
    yield f"commit {run.commit or 'unknown'}{dirty}; the method's file {run.source[:16] or 'unknown'}"


def _averages(metrics: Sequence[Metric]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for metric in metrics:
        values.setdefault(metric.protocol, []).append(metric.value)
    return {protocol: sum(found) / len(found) for protocol, found in values.items()}


def _wrapped(cell: object) -> str:
    lines = str(cell).splitlines()
    parts = (textwrap.wrap(line, _WIDTH, break_long_words=False, break_on_hyphens=False) for line in lines)
    return "\n".join(line for part in parts for line in part)


def position_lines(table: Table, row: Row) -> Iterator[str]:
    """Yield the ranks of a row in every column of its table, and what its marks mean."""
    rows = []
    tested = table.reference not in ("", row.label)
    for rank in ranks_in_table(table, row):
        entry = rank.entry
        number = f"{entry.mean:.4f}" + ("" if entry.deviation is None else f" ± {entry.deviation:.4f}")
        best = "" if rank.best_mean is None else f"{rank.best} {rank.best_mean:.4f}"
        floor = ", ".join(f"{label} {mean:.4f}" for label, mean in rank.points.items())
        cells = [direction_name(rank.column), number, entry.seeds, f"{rank.rank} of {rank.of}", best, floor]
        rows.append([*cells, entry.mark] if tested else cells)
    headings = ["direction", table.protocol, "seeds", "rank", "best other", "reference points"]
    yield f"{row.label}, all seeds, in its table of {len(table.rows)} rows (selection {table.selection})"
    yield from Rows([*headings, "mark"] if tested else headings, rows).lines
    if table.reference == row.label:
        others = sum(any(entry.mark for entry in other.entries.values()) for other in table.rows)
        yield f"it is the row that others are tested against: {others} of them differ in some direction"
    elif tested:
        yield marks_note(table)
    yield from zero_embeddings_note([row])
    if row.near is not None and row.role != "reference":
        yield f"{row.near.words}: {row.near.advice}"


def overview_lines(
    records: Sequence[Record], labels: Mapping[str, str], narrowings: Mapping[str, str]
) -> Iterator[str]:
    """Yield a line per cell, and the mean of cells that differ in the seed alone.

    By digest, ``labels`` are those of the rows in the tables, ``narrowings`` the options that select a cell.
    """
    rows = []
    groups: dict[str, list[float]] = {}  # a label is unlike any other of its data
    for record in records:
        identity, data, label, result = record.identity, data_of(record), labels[record.digest], record.result
        printed = [one for one in result.metrics if one.selection == result.selection] if result else []
        averages = {base_of(name): value for name, value in _averages(printed).items()}
        value = averages.get("map@all")
        made, modalities = made_by(data.device, data.harness), "+".join(identity.modalities)
        outcome = "" if value is None else f"{value:.4f}"
        if record.failure is not None:
            outcome = " ".join(record.failure.reason.split())[:60]
        title, version = dataset_title(identity.dataset, identity.condition), identity.fingerprint[:8]
        about = (label, title, f"{identity.data_kind} {version}", made, identity.profile)
        rows.append([*about, modalities, identity.seed, record.status, outcome, narrowings[record.digest]])
        kind = f"{data.kind}, {under(data)}{data.profile} profile"
        key = f"{label} ({modalities}), {kind}, data {version}, {made}"
        if value is not None:
            groups.setdefault(key, []).append(value)
    headings = ("method", "dataset", "data", "made by", "profile", "modalities", "seed", "status")
    yield f"{len(records)} cells fit; for a full report of one, add the options of its last column"
    yield from Rows((*headings, "map@all", "only this"), rows).lines
    for key, values in groups.items():
        if len(values) > 1:
            mean, deviation = statistics.fmean(values), statistics.stdev(values)
            yield f"{key}: {mean:.4f} ± {deviation:.4f} over {len(values)} seeds"
