"""Readings of one set of embeddings as tables, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, get_args

from tabulate import tabulate

from bench.evaluation.conventions import AVERAGE, NEAR, WHOLE, Match, Reading
from bench.evaluation.protocol import Protocol
from bench.evaluation.ties import TieRule

TIES: Final[tuple[TieRule, ...]] = get_args(TieRule)

COLUMNS: Final = (
    "query",
    "gallery",
    "protocol",
    "cutoff",
    "denominator",
    "ties",
    "empty",
    "share",
    "queries",
    "items",
    "value",
    "low",
    "high",
    "skipped",
)


def name_of(direction: tuple[str, str]) -> str:
    """Return a direction as it is printed."""
    return "average" if direction == AVERAGE else f"{direction[0]}→{direction[1]}"


def row_of(reading: Reading) -> dict[str, Any]:
    """Return a reading as a flat row with the keys `COLUMNS`; what is not known is None."""
    rule = reading.protocol
    return {
        "query": reading.query,
        "gallery": reading.gallery,
        "protocol": rule.id,
        "cutoff": rule.k,
        "denominator": rule.denominator,
        "ties": rule.ties,
        "empty": rule.empty,
        "share": str(reading.share),
        **{name: getattr(reading, name) for name in ("queries", "items", "value", "low", "high", "skipped")},
    }


def csv_of(found: Sequence[Reading]) -> str:
    """Return all readings as CSV, numbers in full precision."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for reading in found:
        writer.writerow({key: "" if value is None else value for key, value in row_of(reading).items()})
    return out.getvalue()


def json_of(
    facts: Mapping[str, Any], found: Sequence[Reading], matches: Mapping[float, Sequence[Match]]
) -> str:
    """Return all that is known as JSON: the source's facts, the readings, and what printed numbers may be."""
    answer = {
        "source": facts,
        "readings": [row_of(reading) for reading in found],
        "printed": [
            {
                "printed": printed,
                "near": [{**row_of(one.reading), "difference": one.difference} for one in near],
            }
            for printed, near in matches.items()
        ],
    }
    return json.dumps(answer, indent=1)


def tables_of(found: Sequence[Reading]) -> Iterator[str]:
    """Yield the lines that show all readings, one direction after the other."""
    for direction in dict.fromkeys(reading.direction for reading in found):
        own = [reading for reading in found if reading.direction == direction]
        yield from ["", _heading(own)]
        yield from _whole(own)
        yield from _parts(own)
        yield from _span(own)


def matches_of(printed: float, matches: Sequence[Match]) -> Iterator[str]:
    """Yield the lines that say what a printed number may be; readings that differ in ties alone share one."""
    if not matches:
        yield f"{printed:g}: no convention gives a number within {NEAR:g} of it"
        return
    groups: dict[tuple[object, ...], list[Match]] = {}
    for match in matches:
        one = match.reading
        plain = replace(one.protocol, ties="expected", empty="zero").id
        groups.setdefault((name_of(one.direction), plain, one.share), []).append(match)
    rows = [
        [
            name,
            protocol,
            "whole" if share == WHOLE else f"{share}",
            ", ".join(dict.fromkeys(match.reading.protocol.ties for match in members)),
            ", ".join(dict.fromkeys(match.reading.protocol.empty for match in members)),
            f"{members[0].reading.value:.6f}",
            f"{members[0].difference:+.6f}",
        ]
        for (name, protocol, share), members in groups.items()
    ]
    headings = ["direction", "rule", "gallery", "ties", "queries without hits", "nearest", "difference"]
    yield f"{printed:g} may be, the nearest first:"
    yield from tabulate(rows, headers=headings, disable_numparse=True).splitlines()


def _heading(own: Sequence[Reading]) -> str:
    first = own[0]
    if first.direction == AVERAGE:
        return "average over all directions"
    return f"{name_of(first.direction)}: {first.queries} queries, a gallery of {first.items}"


def _whole(own: Sequence[Reading]) -> list[str]:
    """Return the table of the whole gallery: a line per rule, a column per rule for ties."""
    values: dict[Protocol, dict[str, Reading]] = {}
    for reading in own:
        if reading.share == WHOLE:
            line = replace(reading.protocol, ties="expected")
            values.setdefault(line, {})[reading.protocol.ties] = reading
    rows = [
        [line.id, *(_number(by_ties[ties], 6) for ties in TIES), by_ties["expected"].skipped]
        for line, by_ties in values.items()
        if line.empty == "zero" or any(reading.skipped for reading in by_ties.values())
    ]
    lines = tabulate(rows, headers=["rule", *TIES, "queries left out"], disable_numparse=True).splitlines()
    if len(rows) < len(values):
        lines.append("a /skip that is not listed would leave out no query")
    return lines


def _parts(own: Sequence[Reading]) -> list[str]:
    """Return the table of parts of the gallery, ties expected: the mean over draws, and their span."""
    shares = list(dict.fromkeys(reading.share for reading in own))
    if len(shares) == 1:
        return []
    chosen = [
        reading for reading in own if (reading.protocol.ties, reading.protocol.empty) == ("expected", "zero")
    ]
    protocols = list(dict.fromkeys(reading.protocol.id for reading in chosen))
    rows = []
    for share in shares:
        line = [reading for reading in chosen if reading.share == share]
        items = "" if line[0].items is None else line[0].items
        rows.append(["whole" if share == WHOLE else str(share), items, *(_spread(one) for one in line)])
    headings = ["part of the gallery", "items", *protocols]
    return ["", *tabulate(rows, headers=headings, disable_numparse=True).splitlines()]


def _span(own: Sequence[Reading]) -> Iterator[str]:
    """Yield how far convention alone moves the number: with the whole gallery, and over its parts."""
    whole = [reading for reading in own if reading.share == WHOLE]
    yield from _extremes("by convention alone", whole)
    if len(whole) < len(own):
        standard = [
            reading for reading in own if reading.protocol.ties == "expected" and reading.protocol.k is None
        ]
        counting = [reading for reading in standard if reading.protocol.empty == "zero"]
        yield from _extremes("by the gallery's size alone", counting)


def _extremes(what: str, members: Sequence[Reading]) -> Iterator[str]:
    known = [(reading.value, reading) for reading in members if reading.value is not None]
    if known:
        # Of equal numbers the first is named: the usual rule comes before its variations.
        (low, first), (high, last) = (pick(known, key=lambda pair: pair[0]) for pick in (min, max))
        yield f"{what}: from {low:.4f} ({_words(first)}) to {high:.4f} ({_words(last)})"


def _words(reading: Reading) -> str:
    part = "" if reading.share == WHOLE else f", {reading.share} of the gallery"
    return reading.protocol.id + part


def _number(reading: Reading, digits: int) -> str:
    return "" if reading.value is None else f"{reading.value:.{digits}f}"


def _spread(reading: Reading) -> str:
    if reading.value is None or reading.low is None or reading.high is None:
        return ""
    if reading.low == reading.high:
        return _number(reading, 4)
    return f"{reading.value:.4f} ({reading.low:.4f} to {reading.high:.4f})"
