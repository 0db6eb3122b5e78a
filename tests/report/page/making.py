"""A small report with everything on its page: several seeds, look-alikes, failures, names that are markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any
from xml.sax.saxutils import escape

import msgspec
import numpy as np

from bench.analysis.groups import Data
from bench.analysis.ledger import Published
from bench.records import Metric, Record, Series
from bench.report import Material
from bench.report.figures import Picture
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
    own: dict[Series, Any] = {}
    metrics = []
    for place, (query, gallery) in enumerate(permutations(modalities, 2)):
        for protocol in PROTOCOLS:
            for rule in rules:
                values = np.clip(level + 0.01 * place + 0.05 * random.normal(size=QUERIES), 0, 1)
                own[Series(rule, protocol, query, gallery)] = values
                metrics.append(
                    Metric(
                        query=query,
                        gallery=gallery,
                        protocol=protocol,
                        selection=rule,
                        value=float(values.mean()),
                        queries=QUERIES,
                        items=QUERIES,
                    )
                )
    arrays[record.digest] = own
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


def material_of(
    records: Sequence[Record], arrays: Mapping[str, Mapping[Series, Any]], **more: Any
) -> Material:
    """Return what a page is made of; no published values, to be quick."""
    settings: dict[str, Any] = {
        "labels": replace(LABELS, title=lambda method: method, reference="drcl"),
        "protocols": PROTOCOLS,
        "per_query": lambda digest: arrays.get(digest, {}),
        "problems": [("runs/x", f"runs/x: damaged {SCRIPT}")],
        "published": Published(),
    }
    return Material(records, **(settings | more))


def full() -> Material:
    """Return the whole small report."""
    arrays: Arrays = {}
    return material_of(records_of(arrays), arrays)


def picture(stem: str = "curve", data: Data | None = None, **changes: Any) -> Picture:
    """Return a figure that is not drawn here."""

    def draw() -> Any:
        raise AssertionError("drawn although its SVG is there")

    words = {"section": "Convergence", "title": f"Curves {SCRIPT}", "caption": "A caption.", "alt": "Up."}
    return Picture(stem=stem, data=data, draw=draw, **(words | changes))


SVG = f"""<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 300 100"
 onload="alert(1)" style="stroke-linejoin:round;background:url(http://example.org/x)">
<style>* {{ fill: red }}</style><script>alert(2)</script>
<defs><path id="m" d="M0 0L3 3" style="stroke: #0072b2"/>
<clipPath id="c"><rect x="0" y="0" width="9" height="9"/></clipPath></defs>
<a href="javascript:alert(3)"><text>link</text></a>
<g clip-path="url(#c)"><use xlink:href="#m" x="5" y="5" onclick="alert(4)"/>
<use xlink:href="http://example.org/#m" x="1"/></g>
<text x="10" y="20" style="font: 7px 'DejaVu Sans'">{escape(HOSTILE)}</text>
<image href="http://example.org/a.png"/><image href="data:image/svg+xml;base64,AAAA"/>
<image href="data:image/png;base64,iVBORw0KGgo=" width="4" height="4"/>
<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><p>html</p></body></foreignObject>
<animate attributeName="href" to="javascript:alert(5)"/><set attributeName="onclick" to="alert(6)"/>
<rect id="free" width="1" height="1" fill="url(javascript:alert(7))"/>
</svg>"""
"""A figure with everything in it that must not get into a page."""
