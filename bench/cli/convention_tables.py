"""Output of `explain`: values of one set of embeddings under every convention, as table, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final, get_args

from bench.analysis.tables import direction_name
from bench.cli.formatting import table
from bench.evaluation.conventions import AVERAGE, NEAR, WHOLE, Match, Reading
from bench.evaluation.ties import TieRule
from bench.plural import counted
from bench.signed import signed

TIES: Final[tuple[TieRule, ...]] = get_args(TieRule)


def row_of(reading: Reading) -> dict[str, Any]:
    """Return a reading as a flat row; unknown values are None."""
    rule = reading.protocol
    return {
        "query": reading.query,
        "gallery": reading.gallery,
        "similarity": reading.similarity,
        "protocol": rule.id,
        "measure": rule.measure,
        "level": rule.level,
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
    """Return the source's facts, the readings, and the matches of printed numbers as JSON."""
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
        given = [reading for reading in here if reading.similarity == here[0].similarity]
        whole = [reading for reading in given if reading.share == WHOLE]
        plain = [
            reading
            for reading in here
            if (reading.protocol.ties, reading.protocol.empty) == ("expected", "zero")
        ]
        usual = [reading for reading in plain if reading in given and reading.protocol.measure == "map"]
        size = f"{counted(here[0].queries or 0, 'query')}, a gallery of {here[0].items}"
        yield from [
            "",
            "average over all directions" if direction == AVERAGE else f"{direction_name(direction)}: {size}",
        ]
        yield from _ties_table(whole)
        if len(given) < len(here):  # of several similarities: the whole gallery, a line per rule
            shown = [reading for reading in plain if reading.share == WHOLE]
            by_rule = _pivot(
                shown, lambda reading: reading.protocol.id, lambda reading: reading.similarity or ""
            )
            names = list(dict.fromkeys(reading.similarity or "" for reading in shown))
            rows = [
                [rule, *(_number(by_name[name], 6) for name in names)] for rule, by_name in by_rule.items()
            ]
            yield from ["", *table(rows, ["ties expected", *names])]
        if len(whole) < len(given):  # of parts of the gallery: the mean over draws, and their span
            by_share = _pivot(usual, lambda reading: reading.share, lambda reading: reading.protocol.id)
            lines = {share: [*line.values()] for share, line in by_share.items()}
            rows = [[_part(share), line[0].items, *map(_spread, line)] for share, line in lines.items()]
            rules = dict.fromkeys(reading.protocol.id for reading in usual)
            yield from ["", *table(rows, ["part of the gallery", "items", *rules])]
        yield from _extremes(
            "by convention alone", [reading for reading in whole if reading.protocol.measure == "map"]
        )
        if len(whole) < len(given):
            yield from _extremes(
                "by the gallery's size alone", [reading for reading in usual if reading.protocol.k is None]
            )


def match_lines(printed: float, matches: Sequence[Match]) -> Iterator[str]:
    """Yield the lines of a printed number's matches; readings that differ in ties alone share one."""
    if not matches:
        yield f"{printed:g}: no convention gives a number within {NEAR:g} of it"
        return
    groups: dict[tuple[object, ...], list[Match]] = {}
    for match in matches:
        reading = match.reading
        rule = replace(reading.protocol, ties="expected", empty="zero").id
        key = direction_name(reading.direction), rule, reading.similarity or "", _part(reading.share)
        groups.setdefault(key, []).append(match)
    rows = []
    for parts, members in groups.items():
        rules = [match.reading.protocol for match in members]
        ties = ", ".join(dict.fromkeys(rule.ties for rule in rules))
        empty = ", ".join(dict.fromkeys(rule.empty for rule in rules))
        numbers = f"{members[0].reading.value:.6f}", signed(members[0].difference, "+.6f")
        rows.append([*parts, ties, empty, *numbers])
    yield f"{printed:g} may be, the nearest first:"
    headings = ["direction", "rule", "similarity", "gallery", "ties", "queries without hits"]
    yield from table(rows, [*headings, "nearest", "difference"])


def _pivot(
    readings: Sequence[Reading], row: Callable[[Reading], Any], column: Callable[[Reading], Any]
) -> dict[Any, dict[Any, Reading]]:
    """Return readings by row and column, in the order in which these come up."""
    values: dict[Any, dict[Any, Reading]] = {}
    for reading in readings:
        values.setdefault(row(reading), {})[column(reading)] = reading
    return values


def _ties_table(readings: Sequence[Reading]) -> Iterator[str]:
    """Yield the table of the whole gallery: a line per rule, a column per rule for ties."""
    values = _pivot(
        readings,
        lambda reading: replace(reading.protocol, ties="expected"),
        lambda reading: reading.protocol.ties,
    )
    rows = [
        [rule.id, *(_number(by_ties[ties], 6) for ties in TIES), by_ties["expected"].skipped]
        for rule, by_ties in values.items()
        if rule.empty == "zero" or any(reading.skipped for reading in by_ties.values())
    ]
    yield from table(rows, ["rule", *TIES, "queries left out"])
    if len(rows) < len(values):
        yield "a /skip that is not listed would leave out no query"


def _part(share: Fraction) -> str:
    return "whole" if share == WHOLE else str(share)


def _extremes(what: str, readings: Sequence[Reading]) -> Iterator[str]:
    """Yield the least and the largest number, and the conventions that give them."""
    known = [(reading.value, reading) for reading in readings if reading.value is not None]
    if known:
        # Of equal numbers the first is named: the usual rule comes before its variations.
        ends = [pick(known, key=lambda pair: pair[0]) for pick in (min, max)]
        parts = ["" if reading.share == WHOLE else f", {reading.share} of the gallery" for _, reading in ends]
        low, high = (
            f"{value:.4f} ({reading.protocol.id}{part})"
            for (value, reading), part in zip(ends, parts, strict=True)
        )
        yield f"{what}: from {low} to {high}"


def _number(reading: Reading, digits: int) -> str:
    return "" if reading.value is None else f"{reading.value:.{digits}f}"


def _spread(reading: Reading) -> str:
    span = reading.low != reading.high  # of the draws
    return _number(reading, 4) + (f" ({reading.low:.4f} to {reading.high:.4f})" if span else "")
