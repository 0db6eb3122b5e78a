"""How much a method's numbers depend on its settings: records that differ in one or two settings only."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from typing import Any, Final

from bench.analysis.groups import Data, RowGroup, apart_from, by_data, row_groups
from bench.analysis.labels import Labels, made, usual_of
from bench.analysis.tables import Direction, Row, Spread, excerpt_of, spread_of
from bench.records.schema import Record

Trace = Callable[[str], Sequence[Mapping[str, object]]]
"""Gives a record's trace by its digest."""

_SPREAD: Final = 8.0
"""Largest over smallest value from which a setting is looked at by its ratios."""


@dataclass(frozen=True)
class Point:
    """A method with one choice of the settings that vary.

    Attributes:
        values: of these settings, in their order.
        usual: whether these are the values that were usual when the last of the records was made.
        row: its numbers.
        validation: highest validation mAP along the epochs, over seeds; None where no trace has any.
    """

    values: tuple[Any, ...]
    usual: bool
    row: Row
    validation: Spread | None


@dataclass(frozen=True)
class Sensitivity:
    """Records of one method on one data that differ from one another in one or two settings.

    Attributes:
        data: on which.
        protocol: id of the evaluation rule.
        selection: rule that chose the state.
        method: registry name.
        title: the method, with its variant where it is one, and the other settings that are not the usual.
        settings: names of those that vary: one makes a curve, two a grid.
        columns: directions, then the average.
        points: sorted by their values.
    """

    data: Data
    protocol: str
    selection: str
    method: str
    title: str
    settings: tuple[str, ...]
    columns: tuple[Direction, ...]
    points: tuple[Point, ...]

    def values(self, place: int) -> list[Any]:
        """Return the values of the setting at a place, each once, in order."""
        return sorted_values(point.values[place] for point in self.points)


def sensitivities_of(
    records: Iterable[Record],
    labels: Labels,
    protocols: Sequence[str],
    selection: str = "best",
    trace: Trace = lambda _: (),
) -> list[Sensitivity]:
    """Return all grids and curves, in the order of data, methods and settings.

    A grid has at least two values of either setting in every combination; what only one other value shares
    with it is left out of it, but for the usual settings. A curve that a grid shows is none by itself.
    """
    validation = cache(lambda digest: _best(trace(digest)))  # a record may serve in several
    return [
        _sensitivity(data, settings, members, every, labels, (protocol, selection), validation)
        for data, group in by_data(records).items()
        for every in [row_groups(group, labels)]
        for lines in _alike(every)
        for settings, members in _series(lines, labels)
        for protocol in protocols
    ]


def sorted_values(values: Iterable[Any]) -> list[Any]:
    """Return values of a setting, each once: numbers by size, then all others by how JSON writes them."""
    distinct = {_written(value): value for value in values}
    return [distinct[word] for word in sorted(distinct, key=lambda word: _order(distinct[word], word))]


def is_number(value: Any) -> bool:
    """Return whether a setting's value is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_geometric(values: Sequence[Any]) -> bool:
    """Return whether values are positive numbers that are spread by ratios rather than by differences."""
    if len(values) < 2 or not all(is_number(value) and value > 0 for value in values):
        return False
    ordered = sorted(float(value) for value in values)
    if ordered[-1] / ordered[0] < _SPREAD:
        return False
    steps = [high - low for low, high in pairwise(ordered)]
    ratios = [math.log(high / low) for low, high in pairwise(ordered)]
    return max(ratios) * min(steps) <= max(steps) * min(ratios)


def _alike(lines: Sequence[RowGroup]) -> list[list[RowGroup]]:
    """Return the lines that may differ in nothing but settings, in the order of their first."""
    groups: dict[tuple[Any, ...], list[RowGroup]] = defaultdict(list)
    for line in lines:
        groups[line.key._replace(settings=""), tuple(sorted(line.identity.settings))].append(line)
    return [members for members in groups.values() if len(members) > 1]


def _series(lines: Sequence[RowGroup], labels: Labels) -> list[tuple[tuple[str, ...], list[RowGroup]]]:
    """Return grids, then curves, each with the settings that vary in it."""
    written = [{key: _written(value) for key, value in line.identity.settings.items()} for line in lines]
    varying = [key for key in sorted(written[0]) if len({one[key] for one in written}) > 1]
    usual = _usual(lines, labels)
    grids = [
        (keys, grid)
        for keys in combinations(varying, 2)
        for places in _sharing(written, [key for key in varying if key not in keys])
        if (grid := _grid(places, written, keys, [_is_usual(line, keys, usual) for line in lines]))
    ]
    curves = [
        ((key,), places)
        for key in varying
        for places in _sharing(written, [other for other in varying if other != key])
        if len(places) > 1 and not any(key in keys and {*places} <= {*grid} for keys, grid in grids)
    ]
    return [(keys, [lines[place] for place in places]) for keys, places in (*grids, *curves)]


def _sharing(written: Sequence[Mapping[str, str]], keys: Sequence[str]) -> list[list[int]]:
    """Return the places of what has the same values of ``keys``."""
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, one in enumerate(written):
        groups[tuple(one[key] for key in keys)].append(place)
    return list(groups.values())


def _grid(
    places: Sequence[int], written: Sequence[Mapping[str, str]], keys: tuple[str, str], usual: Sequence[bool]
) -> list[int]:
    """Return those places that make a grid; none where there is no grid."""
    cells = {place: (written[place][keys[0]], written[place][keys[1]]) for place in places}
    if not _has_rectangle({*cells.values()}):
        return []
    while True:
        rows, columns = (
            Counter(row for row, _ in cells.values()),
            Counter(column for _, column in cells.values()),
        )
        kept = {
            place: cell
            for place, cell in cells.items()
            if usual[place] or (rows[cell[0]] > 1 and columns[cell[1]] > 1)
        }
        if len(kept) == len(cells):
            return [*kept]
        cells = kept


def _has_rectangle(cells: set[tuple[str, str]]) -> bool:
    by_row: dict[str, set[str]] = defaultdict(set)
    for row, column in cells:
        by_row[row].add(column)
    return any(len(one & other) > 1 for one, other in combinations(by_row.values(), 2))


def _sensitivity(
    data: Data,
    settings: tuple[str, ...],
    lines: Sequence[RowGroup],
    every: Sequence[RowGroup],
    labels: Labels,
    rules: tuple[str, str],
    validation: Callable[[str], float | None],
) -> Sensitivity:
    def values_of(line: RowGroup) -> tuple[Any, ...]:
        return tuple(line.identity.settings[key] for key in settings)

    def order(line: RowGroup) -> list[Any]:
        return [_order(value, _written(value)) for value in values_of(line)]

    ordered = sorted(lines, key=order)
    excerpt = excerpt_of(ordered, labels, *rules)
    usual = _usual(lines, labels)
    points = [
        Point(values_of(line), _is_usual(line, settings, usual), row, _validation(line.records, validation))
        for line, row in zip(ordered, excerpt.rows, strict=True)
    ]
    title = _title(ordered[0], settings, usual, every)
    return Sensitivity(
        data, *rules, ordered[0].identity.method, title, settings, excerpt.columns, tuple(points)
    )


def _title(
    line: RowGroup, settings: tuple[str, ...], usual: Mapping[str, Any] | None, every: Iterable[RowGroup]
) -> str:
    """Return the method and whatever holds for all of a group's records and is not the usual."""
    who = line.identity
    words = [
        f"{key}={_written(value)}"
        for key, value in sorted(who.settings.items())
        if key not in settings and usual is not None and usual.get(key) != value
    ]
    words += apart_from(line, every)
    variant = "" if who.variant == "full" else f" {who.variant}"
    return line.title + variant + (f" [{', '.join(words)}]" if words else "")


def _validation(records: Sequence[Record], best: Callable[[str], float | None]) -> Spread | None:
    """Return the highest validation mAP of each seed's records, over seeds."""
    by_seed: dict[int, list[float]] = defaultdict(list)
    for record in records:
        value = best(record.digest)
        if value is not None:
            by_seed[record.identity.seed].append(value)
    return spread_of([math.fsum(by_seed[seed]) / len(by_seed[seed]) for seed in sorted(by_seed)])


def _best(trace: Sequence[Mapping[str, object]]) -> float | None:
    values = [row.get("validation_map") for row in trace]
    return max((float(value) for value in values if isinstance(value, int | float)), default=None)


def _usual(lines: Sequence[RowGroup], labels: Labels) -> Mapping[str, Any] | None:
    """Return the settings that were usual when the last record of several lines was made."""
    return usual_of(max((record for line in lines for record in line.records), key=made), labels)


def _is_usual(line: RowGroup, settings: Sequence[str], usual: Mapping[str, Any] | None) -> bool:
    """Return whether these settings have their usual values."""
    return usual is not None and all(usual.get(key) == line.identity.settings[key] for key in settings)


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _order(value: Any, word: str) -> tuple[bool, float, str]:
    return (False, float(value), "") if is_number(value) else (True, 0.0, word)
