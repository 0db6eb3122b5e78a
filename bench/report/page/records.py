"""The records in the page: JSON with sections of sentences and tables, to which every number links."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import msgspec
from markupsafe import Markup

from bench.analysis.tables import direction_name
from bench.records.protocols import base_of
from bench.records.schema import Record
from bench.report.cell_report import Rows, Section, cell_report
from bench.report.cells import LACKING
from bench.report.report_data import ReportData
from bench.report.text import dataset_title, visible
from bench.report.topics.records import record_name


def payload(records: Sequence[Record], data: ReportData) -> Markup:
    """Return the records as JSON for a ``script`` element, safe with any texts in them.

    Sections that several records share are kept once.
    """
    sections: dict[str, int] = {}
    shared: list[Any] = []

    def number_of(section: Section) -> int:
        items: list[Any] = []
        for item in section.items:
            if isinstance(item, Rows):
                rows = [[visible(str(cell)) for cell in row] for row in item.rows]
                items.append({"head": [*map(visible, item.headings)], "rows": rows})
            else:
                lines = ((line[: len(line) - len(line.lstrip(" "))], line) for line in item.splitlines())
                items.append("\n".join(indent + visible(line) for indent, line in lines))
        content = {"title": section.title, "items": items, "verbatim": section.verbatim}
        key = repr(content)
        if key not in sections:
            sections[key] = len(shared)
            shared.append(content)
        return sections[key]

    embedded = [_record(record, data, number_of) for record in records]
    text = msgspec.json.encode({"records": embedded, "sections": shared, "lacking": LACKING}).decode("utf-8")
    for letter in "<>&":  # a script element ends at the first end tag, also inside of a string
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 (no character of HTML is left)


def _record(record: Record, data: ReportData, number_of: Callable[[Section], int]) -> dict[str, Any]:
    identity = record.identity
    name = visible(record_name(record, data.labels))
    dataset = visible(dataset_title(identity.dataset, identity.condition))
    modalities = visible(" + ".join(identity.modalities))
    return {
        "digest": record.digest,
        "label": f"{name} {record.digest[:8]}",
        "title": f"{name} on {dataset} ({modalities}), seed {identity.seed}",
        "kind": identity.data_kind,
        "badges": [record.status, identity.data_kind, identity.profile],
        "row": [dataset, modalities, str(identity.seed), record.status],
        "command": visible(record.environment.command),
        "values": _values(record, data),
        "sections": [*map(number_of, cell_report(record))],
    }


def _values(record: Record, data: ReportData) -> dict[str, dict[str, str]]:
    """Return a record's contributions to the numbers of the tables, by protocol and direction."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for metric in () if record.result is None else record.result.metrics:
        if base_of(metric.protocol) in data.protocols and metric.selection in (data.selection, "none"):
            name = visible(direction_name((metric.query, metric.gallery)))
            found[metric.protocol][name] = metric.value
    for values in found.values():
        values["average"] = fmean(values.values())
    return {
        protocol: {name: f"{value:.4f}" for name, value in values.items()}
        for protocol, values in found.items()
    }
