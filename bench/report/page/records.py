"""The records on the page: embedded once for every number to lead to, and listed for who has no scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from markupsafe import Markup

from bench.analysis.groups import data_of
from bench.analysis.labels import Labels, newest_first
from bench.records.schema import Environment, Identity, Metric, Record, Result
from bench.report.page.exhibits import Exhibit, about_data, number, plain_sheet
from bench.report.tables import Cell, Line

_DIGITS = 6
"""Decimals of mAP on the page; all of them are in the records."""


class _Pool:
    """Things that many records share, each kept once."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._places: dict[bytes, int] = {}

    def place(self, item: Any) -> int:
        """Return where a thing is kept."""
        key = msgspec.json.encode(item, order="sorted")
        if key not in self._places:
            self._places[key] = len(self.items)
            self.items.append(item)
        return self._places[key]


def in_order(records: Iterable[Record], labels: Labels) -> list[Record]:
    """Return records as a reader looks for them: by data, then in the order of the tables, then by seed."""

    def key(record: Record) -> tuple[Any, ...]:
        who = record.identity
        return (
            *(who.data_kind != "real", who.dataset, who.fingerprint, who.profile),
            *(data_of(record).device, newest_first(who.harness)),
            *(labels.order(who.method), who.variant != "full", who.variant, who.modalities),
            *(who.seed, newest_first(who.code), record.digest),
        )

    return sorted(records, key=key)


def name_of(record: Record, labels: Labels) -> str:
    """Return a record's method and variant, as people call them."""
    who = record.identity
    return labels.title(who.method) + ("" if who.variant == "full" else f" {who.variant}")


def payload(records: Sequence[Record], labels: Labels) -> Markup:
    """Return the records as JSON that may stand in a ``script`` element, whatever texts are in them."""
    words, shared = _Pool(), _Pool()
    content = {
        "records": [_embedded(record, labels, words, shared) for record in records],
        "words": words.items,
        "shared": shared.items,
    }
    text = msgspec.json.encode(content).decode("utf-8")
    for character in "<>&\u2028\u2029":  # a script element ends at its end tag, wherever that stands
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 (nothing is left of it that HTML would read)


def records_list(records: Sequence[Record], labels: Labels) -> Exhibit:
    """Return a line per record, each an anchor that numbers point to."""
    lines = []
    for record in records:
        who, run = record.identity, record.environment
        total = run.seconds.get("total")
        cells = (
            *(Cell(record.digest[:8], records=(record.digest,)), Cell(record.status)),
            *(Cell(who.dataset), Cell(who.data_kind), Cell(who.profile), Cell(" + ".join(who.modalities))),
            *(Cell(str(who.seed), number=who.seed), number(total, 1), Cell(run.commit[:8] or "—")),
        )
        lines.append(Line(name_of(record, labels), cells))
    headings = ("Method", "Record", "Status", "Dataset", "Kind", "Profile", "Modalities", "Seed")
    sheet = plain_sheet("all-records", (*headings, "Seconds", "Commit"), lines, f"{len(records)} records")
    return Exhibit(
        sheet,
        methods=[f"{name_of(record, labels)} {record.identity.method}" for record in records],
        abouts=[about_data(data_of(record)) for record in records],
        anchors=[f"record-{record.digest}" for record in records],
        fold="all",
    )


def _embedded(record: Record, labels: Labels, words: _Pool, shared: _Pool) -> dict[str, Any]:
    return {
        "digest": record.digest,
        "name": name_of(record, labels),
        "status": record.status,
        **_identity(record.identity, shared),
        "failure": record.failure,
        "result": None if record.result is None else _result(record.result, words, shared),
        "run": _run(record.environment, shared),
    }


def _identity(who: Identity, shared: _Pool) -> dict[str, Any]:
    return {
        "method": who.method,
        "variant": who.variant,
        "dataset": who.dataset,
        "kind": who.data_kind,
        "fingerprint": who.fingerprint,
        "modalities": who.modalities,
        "seed": who.seed,
        "profile": who.profile,
        "threads": who.threads,
        "device": who.device,
        "harness": who.harness,
        "code": who.code,
        "settings": shared.place(_sorted(who.settings)),
    }


def _result(result: Result, words: _Pool, shared: _Pool) -> dict[str, Any]:
    return {
        "selection": result.selection,
        "selected": result.selected,
        "audit": result.audit,
        "pairing": result.pairing,
        "split": result.split,
        "rows": shared.place(_sorted(msgspec.to_builtins(result.rows))),
        "metrics": [_metric(metric, words) for metric in result.metrics],
        "notes": _sorted(result.notes),
        "zeroRows": _sorted(result.zero_rows),
        "refused": _sorted(result.refused),
        "undrawn": result.snapshot_error,
    }


def _metric(metric: Metric, words: _Pool) -> tuple[float, ...]:
    """Return places of query, gallery, protocol and selection; value; counts of queries and items."""
    names = (metric.query, metric.gallery, metric.protocol, metric.selection)
    places = [words.place(name) for name in names]
    return (*places, round(metric.value, _DIGITS), metric.queries, metric.items)


def _run(run: Environment, shared: _Pool) -> dict[str, Any]:
    return {
        "started": run.started,
        "seconds": _sorted(run.seconds),
        "memory": run.peak_memory,
        "deviceMemory": run.peak_device_memory,
        "device": run.device,
        "host": shared.place(_sorted(run.host)),
        "versions": shared.place(_sorted(run.versions)),
        "commit": run.commit,
        "dirty": run.dirty,
        "source": run.source,
        "command": run.command,
    }


def _sorted(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content by name, so that the order in which a file has it does not show."""
    return {key: content[key] for key in sorted(content)}
