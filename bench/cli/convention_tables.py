"""Readings of one set of embeddings under conventions of mAP, as tables, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, get_args

from bench.cli.formatting import table
from bench.evaluation.conventions import AVERAGE, NEAR, WHOLE, Match, Reading
from bench.evaluation.measures import Protocol
from bench.evaluation.ties import TieRule

TIES: Final[tuple[TieRule, ...]] = get_args(TieRule)


def row_of(reading: Reading) -> dict[str, Any]:
    """Return a reading as a flat row; what is not known is None."""
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


def csv_of(readings: Sequence[Reading]) -> str:
    """Return readings as CSV, numbers in full precision."""
    out = io.StringIO()
    rows = [row_of(reading) for reading in readings]
    writer = csv.DictWriter(out, rows[0] if rows else (), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)  # None is written as an empty field
    return out.getvalue()


def json_of(
    facts: Mapping[str, Any], readings: Sequence[Reading], matches: Mapping[float, Sequence[Match]]
) -> str:
    """Return all that is known as JSON: the source's facts, the readings, and what printed numbers may be."""
    printed = [
        {
            "printed": number,
            "near": [{**row_of(match.reading), "difference": match.difference} for match in near],
        }
        for number, near in matches.items()
    ]
    answer = {"source": facts, "readings": [row_of(reading) for reading in readings], "printed": printed}
    return json.dumps(answer, indent=1)


def table_lines(readings: Sequence[Reading]) -> Iterator[str]:
    """Yield the lines that show readings, one direction after the other."""
    for direction in dict.fromkeys(reading.direction for reading in readings):
        here = [reading for reading in readings if reading.direction == direction]
        size = f"{here[0].queries} queries, a gallery of {here[0].items}"
        average = direction == AVERAGE
        yield from ["", "average over all directions" if average else f"{_name(direction)}: {size}"]
        whole = [reading for reading in here if reading.share == WHOLE]
        yield from _ties_table(whole)
        yield from _galleries_table(here)
        yield from _extremes("by convention alone", whole)
        if len(whole) < len(here):
            standard = [
                reading
                for reading in here
                if (reading.protocol.ties, reading.protocol.empty) == ("expected", "zero")
                and reading.protocol.k is None
            ]
            yield from _extremes("by the gallery's size alone", standard)


def match_lines(printed: float, matches: Sequence[Match]) -> Iterator[str]:
    """Yield the lines that say what a printed number may be; readings that differ in ties alone share one."""
    if not matches:
        yield f"{printed:g}: no convention gives a number within {NEAR:g} of it"
        return
    groups: dict[tuple[object, ...], list[Match]] = {}
    for match in matches:
        reading = match.reading
        rule = replace(reading.protocol, ties="expected", empty="zero").id
        share = "whole" if reading.share == WHOLE else str(reading.share)
        groups.setdefault((_name(reading.direction), rule, share), []).append(match)
    rows = [
        [
            *key,
            ", ".join(dict.fromkeys(match.reading.protocol.ties for match in members)),
            ", ".join(dict.fromkeys(match.reading.protocol.empty for match in members)),
            f"{members[0].reading.value:.6f}",
            f"{members[0].difference:+.6f}",
        ]
        for key, members in groups.items()
    ]
    yield f"{printed:g} may be, the nearest first:"
    yield from table(
        rows, ["direction", "rule", "gallery", "ties", "queries without hits", "nearest", "difference"]
    )


def _name(direction: tuple[str, str]) -> str:
    return "average" if direction == AVERAGE else f"{direction[0]}→{direction[1]}"


def _ties_table(readings: Sequence[Reading]) -> Iterator[str]:
    """Yield the table of the whole gallery: a line per rule, a column per rule for ties."""
    values: dict[Protocol, dict[str, Reading]] = {}
    for reading in readings:
        rule = replace(reading.protocol, ties="expected")
        values.setdefault(rule, {})[reading.protocol.ties] = reading
    rows = [
        [rule.id, *(_number(by_ties[ties], 6) for ties in TIES), by_ties["expected"].skipped]
        for rule, by_ties in values.items()
        if rule.empty == "zero" or any(reading.skipped for reading in by_ties.values())
    ]
    yield from table(rows, ["rule", *TIES, "queries left out"])
    if len(rows) < len(values):
        yield "a /skip that is not listed would leave out no query"


def _galleries_table(readings: Sequence[Reading]) -> list[str]:
    """Return the table of parts of the gallery, ties expected: the mean over draws, and their span."""
    shares = list(dict.fromkeys(reading.share for reading in readings))
    if len(shares) == 1:
        return []
    chosen = [
        reading
        for reading in readings
        if (reading.protocol.ties, reading.protocol.empty) == ("expected", "zero")
    ]
    rows = []
    for share in shares:
        line = [reading for reading in chosen if reading.share == share]
        name = "whole" if share == WHOLE else str(share)
        rows.append([name, line[0].items, *(_spread(reading) for reading in line)])
    protocols = dict.fromkeys(reading.protocol.id for reading in chosen)
    return ["", *table(rows, ["part of the gallery", "items", *protocols])]


def _extremes(what: str, readings: Sequence[Reading]) -> Iterator[str]:
    """Yield the least and the largest number, and the conventions that give them."""
    known = [(reading.value, reading) for reading in readings if reading.value is not None]
    if known:
        # Of equal numbers the first is named: the usual rule comes before its variations.
        (low, first), (high, last) = (pick(known, key=lambda pair: pair[0]) for pick in (min, max))
        yield f"{what}: from {low:.4f} ({_convention(first)}) to {high:.4f} ({_convention(last)})"


def _convention(reading: Reading) -> str:
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
