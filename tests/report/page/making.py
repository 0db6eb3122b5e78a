"""A small report with everything on its page: several seeds, look-alikes, failures, names that are markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations, product
from typing import Any

import msgspec
import numpy as np

from bench.analysis.ledger import Published
from bench.records import Record, Series
from bench.report import ReportData
from bench.report.exhibit import EVERYTHING, FigureExhibit, Part, Subject, Topic
from bench.report.page import page_html
from bench.report.topics import TOPICS
from tests.analysis.making import metric
from tests.analysis.test_tables import LABELS
from tests.records import making

PROTOCOLS = ("map@all", "map@50/hits")
SCRIPT = "<script>alert('ran')</script>"
HOSTILE = f'"><img src=x onerror=alert(1)>{SCRIPT}</script></style>{{{{ 7*7 }}}} & <b>bold</b>'
"""What HTML, a script element, a style element and a template each read as something else."""
QUERIES = 40
Arrays = dict[str, dict[Series, Any]]


def done(
    level: float,
    arrays: Arrays,
    modalities: Sequence[str] = ("image", "text"),
    rules: Sequence[str] = ("best", "last"),
    **changes: Any,
) -> Record:
    """Return a finished record of average precisions around a level, which are put among the arrays."""
    record = making.record(modalities=tuple(modalities), **changes)
    assert record.result is not None
    random = np.random.default_rng(record.identity.seed)
    found, metrics = arrays.setdefault(record.digest, {}), []
    sizes = {"queries": QUERIES, "items": QUERIES}
    directions = enumerate(permutations(modalities, 2))
    for (index, direction), protocol, rule in product(directions, PROTOCOLS, rules):
        values = np.clip(level + 0.01 * index + 0.05 * random.normal(size=QUERIES), 0, 1)
        found[Series(rule, protocol, *direction)] = values
        metrics.append(metric(direction, float(values.mean()), protocol, selection=rule, **sizes))
    result = msgspec.structs.replace(record.result, metrics=metrics, notes={"parameters": 5, "s": HOSTILE})
    return msgspec.structs.replace(record, result=result)


def records_of(arrays: Arrays) -> list[Record]:
    """Return the records of two datasets; the arrays of the finished ones are put among ``arrays``."""
    found = []
    for seed in range(3):
        for method, level in (("drcl", 0.6), ("sdml", 0.7), (HOSTILE, 0.5)):
            found.append(done(level, arrays, seed=seed, method=method))
        fake: dict[str, Any] = {"data_kind": "look-alike", "dataset": "many", "fingerprint": "e" * 16}
        found += [
            done(0.3, arrays, ("image", "text", "audio"), method=name, seed=seed, **fake)
            for name in ("drcl", "mcca")
        ]
    failed = making.record(method="bad", status="failed", reason=f"no luck {HOSTILE}")
    assert failed.failure is not None
    failure = msgspec.structs.replace(failed.failure, traceback=f"Traceback: {SCRIPT}")
    run = making.environment(command=f"python -m bench run --methods '{SCRIPT}'", host={"name": HOSTILE})
    found.append(msgspec.structs.replace(failed, failure=failure, environment=run))
    return found


def data_of(records: Sequence[Record], arrays: Mapping[str, Mapping[Series, Any]], **more: Any) -> ReportData:
    """Return the data of a page, without published values, to be quick."""
    fields: dict[str, Any] = {
        "labels": replace(LABELS, title=lambda method: method, reference="drcl"),
        "protocols": PROTOCOLS,
        "per_query": lambda digest: arrays.get(digest, {}),
        "problems": [("runs/x", f"runs/x: damaged {SCRIPT}")],
        "published": Published(),
    }
    return ReportData(records, **(fields | more))


def full() -> ReportData:
    """Return the whole small report."""
    arrays: Arrays = {}
    return data_of(records_of(arrays), arrays)


def page_of(data: ReportData, figures: Sequence[FigureExhibit] = (), folder: str = "") -> str:
    """Return the page of data, with figures in a further section."""
    sections = [(topic, topic.tables(data)) for topic in TOPICS]
    if figures:
        sections.append((Topic("drawn", "Drawn"), [Part(exhibits=figures)]))
    return page_html(data, sections, {one.name: SVG for one in figures}, folder)


def figure(name: str = "curve", subject: Subject = EVERYTHING) -> FigureExhibit:
    """Return a figure that is not drawn here."""

    def draw() -> Any:
        raise AssertionError("drawn although its SVG is there")

    return FigureExhibit(name, f"Curves {SCRIPT}", "A caption.", "Up.", subject, draw)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="300pt" height="100pt" onload="alert(1)"><g/></svg>'
