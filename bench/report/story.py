"""The whole story of a cell as text, from its record: sections of lines, for a terminal."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tabulate import tabulate

from bench.analysis.chance import advice
from bench.analysis.convergence import TraceSummary
from bench.analysis.groups import device_of
from bench.analysis.labels import EARLIER
from bench.analysis.settings import SettingsProvenance
from bench.records.schema import Metric, Record, Result, Selected

_WIDTH: Final = 78
_LOG_LINES: Final = 12
_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True)
class Section:
    """A part of a story; its lines may hold anything that a record holds, control characters too."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """What a story is told from.

    Attributes:
        record: of the cell, whatever its status.
        label: of its row in the tables.
        folder: that holds the record.
        origins: where its settings have their values from.
        trace: in short.
        log: what it printed.
        standing: what is known of its place among the others, in sentences; empty without a result.
        stale: what is another now of the code that made it; empty where nothing is.
        since: settings for which settings files have other values by now.
    """

    record: Record
    label: str
    folder: str
    origins: SettingsProvenance
    trace: TraceSummary
    log: str
    standing: tuple[str, ...]
    stale: tuple[str, ...] = ()
    since: Mapping[str, Any] = field(default_factory=dict)


def story_of(told: Told) -> list[Section]:
    """Return the story, in the order in which things happened."""
    record, result = told.record, told.record.result
    sections = [Section("Cell", tuple(_cell(told))), Section("Data", tuple(_data(record)))]
    sections.append(Section("Settings", tuple(_settings(told.origins))))
    if result is not None:
        sections.append(Section("Selection", tuple(_selection(result))))
    sections.append(Section("Training", tuple(_trace(told.trace))))
    if result is not None:
        sections.append(Section("Result", tuple(_numbers(result))))
        sections.append(Section("Among the others", told.standing))
        sections.append(Section("What the method noted", tuple(_notes(result.notes))))
    if record.failure is not None:
        sections.append(Section("Why there is no result", tuple(_failure(record))))
    sections.append(Section("Made", tuple(_made(record))))
    sections.append(Section("The log's end", tuple(told.log.splitlines()[-_LOG_LINES:])))
    sections.append(Section("To make it again", (record.environment.command,)))
    sections.append(Section("Since then", tuple(_since(told))))
    return [section for section in sections if section.lines]


def _cell(told: Told) -> Iterator[str]:
    record, who = told.record, told.record.identity
    kind = "real data" if who.data_kind == "real" else "LOOK-ALIKE, generated data, not the benchmark"
    yield f"{who.title}: {record.status}"
    threads = _count(who.threads, "thread")
    yield f"{told.label}, variant {who.variant}; {kind}; {who.profile} profile; {threads}"
    device = device_of(who, record.environment)
    yield f"device {device}; harness: {who.harness or EARLIER}; method: {who.code or EARLIER}"
    yield f"record {record.digest} in {told.folder}"
    if told.stale:
        yield from textwrap.wrap(f"STALE, other code made it: {', '.join(told.stale)}", _WIDTH)


def _data(record: Record) -> Iterator[str]:
    who, result = record.identity, record.result
    yield f"{who.dataset}, {who.data_kind}, fingerprint {who.fingerprint[:16]}"
    if result is None:
        return
    yield f"split: {result.split}; pairing of the training rows: {result.pairing}"
    rows = [
        [name, size.dimension, size.train, size.validation, size.test] for name, size in result.rows.items()
    ]
    yield from _table(rows, ["modality", "width", "train", "validation", "test"])


def _settings(origins: SettingsProvenance) -> Iterator[str]:
    if origins.defaults:
        yield from textwrap.wrap(f"Of the defaults: {origins.defaults}", _WIDTH)
    rows = [
        [origin.setting, json.dumps(origin.value), "\n".join(textwrap.wrap(origin.words, _WIDTH))]
        for origin in origins.settings
    ]
    yield from _table(rows, ["setting", "value", "from"])


def _selection(result: Result) -> Iterator[str]:
    if not result.selected:
        yield "in closed form: there was nothing to select"
    for item in result.selected:
        used = ", which the tables print" if item.rule == result.selection else ""
        yield f"{item.rule}: {_epoch(item)} by {item.criterion}{_criterion(item)}{used}"
        if item.rule in result.refused:
            yield from textwrap.wrap(f"no numbers of {item.rule}: {result.refused[item.rule]}", _WIDTH)
    yield from textwrap.wrap(f"audit: {result.audit}", _WIDTH)


def _trace(brief: TraceSummary) -> Iterator[str]:
    if not brief.epochs:
        yield "no epochs were traced"
        return
    headings = ["", *(f"{row.get('stage', '')} {row.get('epoch', '')}".strip() for _, row in brief.rows)]
    lines: list[list[str]] = [["shown as", *(why.replace(", ", "\n") for why, _ in brief.rows)]]
    lines += [
        [column, *(_value(row.get(column, "")) for _, row in brief.rows)]
        for column in brief.columns
        if column not in ("stage", "epoch")
    ]
    yield from _table(lines, headings)
    left_out = f"; columns not shown: {', '.join(brief.left_out)}" if brief.left_out else ""
    yield from textwrap.wrap(f"{_count(brief.epochs, 'epoch')} in trace.csv{left_out}", _WIDTH)


def _numbers(result: Result) -> Iterator[str]:
    own = [metric for metric in result.metrics if metric.selection == result.selection]
    protocols = list(dict.fromkeys(metric.protocol for metric in own))
    directions = list(dict.fromkeys((metric.query, metric.gallery) for metric in own))
    values = {(metric.query, metric.gallery, metric.protocol): metric for metric in own}
    rows = []
    for direction in directions:
        found = [values.get((*direction, protocol)) for protocol in protocols]
        sizes = next(metric for metric in found if metric is not None)
        numbers = ["" if metric is None else f"{metric.value:.4f}" for metric in found]
        rows.append([f"{direction[0]}→{direction[1]}", sizes.queries, sizes.items, *numbers])
    averages = _averages(own)
    if len(directions) > 1:
        rows.append(["average", "", "", *(f"{averages[protocol]:.4f}" for protocol in protocols)])
    yield f"mean average precision, selection {result.selection}"
    yield from _table(rows, ["direction", "queries", "gallery", *protocols])
    for rule in dict.fromkeys(metric.selection for metric in result.metrics):
        if rule != result.selection:
            others = _averages([metric for metric in result.metrics if metric.selection == rule])
            words = (
                f"{protocol} {value:.4f} ({value - averages.get(protocol, value):+.4f})"
                for protocol, value in others.items()
            )
            label = f"{rule} (TEST oracle, never a result)" if rule == "oracle" else rule
            yield f"selection {label} instead, average: {', '.join(words)}"
    for rule, reason in result.refused.items():
        yield f"selection {rule} has no numbers: refused: {reason}"
    for rule, counts in result.zero_rows.items():
        yield from (_zeros(rule, name, count, result) for name, count in counts.items())
    if result.snapshot_error:
        yield f"nothing can be drawn of it: {result.snapshot_error}"


def _zeros(rule: str, modality: str, count: int, result: Result) -> str:
    rows = f" of {result.rows[modality].test}" if modality in result.rows else ""
    return (
        f"selection {rule}: {count}{rows} {modality} test rows have no direction, as their embeddings are "
        "zero: their similarity to everything is 0, and ties count by their expectation"
    )


def _notes(notes: Mapping[str, Any]) -> Iterator[str]:
    for key, value in notes.items():
        text = json.dumps(value)
        yield f"{key}: {text if len(text) <= 2 * _WIDTH else text[: 2 * _WIDTH] + '...'}"


def _failure(record: Record) -> Iterator[str]:
    assert record.failure is not None
    yield f"{record.status} ({record.failure.kind}): {record.failure.reason}"
    if record.status == "refused":
        yield advice(record.identity)
    yield from record.failure.traceback.splitlines()


def _made(record: Record) -> Iterator[str]:
    run, who = record.environment, record.identity
    seconds = ", ".join(f"{name} {value:.2f} s" for name, value in run.seconds.items())
    yield f"{run.started}: {seconds or 'no times'}"
    memory = f"memory {_size(run.peak_memory)}"
    yield memory + (f", on the GPU {_size(run.peak_device_memory)}" if run.peak_device_memory else "")
    host = ", ".join(f"{name} {value}" for name, value in run.host.items())
    yield f"on {run.device}; {host}"
    yield ", ".join(f"{name} {value}" for name, value in run.versions.items())
    dirty = " with uncommitted changes" if run.dirty else ""
    yield f"numbers of {', '.join(filter(None, (who.harness, who.code))) or 'code without versions'}"
    yield f"commit {run.commit or 'unknown'}{dirty}; the method's file {run.source[:16] or 'unknown'}"


def _since(told: Told) -> Iterator[str]:
    if told.since:
        yield "settings files give other values today; to make it again, add to the command:"
        words = (
            f"{told.record.identity.method}.{key}={json.dumps(value)}" for key, value in told.since.items()
        )
        yield " ".join(f"--set {shlex.quote(word)}" for word in words)


def _averages(metrics: Sequence[Metric]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for metric in metrics:
        values.setdefault(metric.protocol, []).append(metric.value)
    return {protocol: sum(found) / len(found) for protocol, found in values.items()}


def _epoch(item: Selected) -> str:
    if isinstance(item.epoch, dict):
        return ", ".join(f"{name} epoch {epoch}" for name, epoch in item.epoch.items())
    return f"epoch {item.epoch}"


def _criterion(item: Selected) -> str:
    if item.value is None:
        return ""
    if isinstance(item.value, dict):
        return " (" + ", ".join(f"{name} {value:.4f}" for name, value in item.value.items()) + ")"
    return f" ({item.value:.4f})"


def _value(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _size(size: int | None) -> str:
    return "unknown" if size is None else f"{size / _MEBIBYTE:.0f} MiB"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _table(rows: Sequence[Sequence[object]], headings: Sequence[str]) -> list[str]:
    return tabulate(rows, headers=headings, disable_numparse=True, stralign="left").splitlines()
