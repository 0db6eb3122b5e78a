"""Sensitivity: how much a method's numbers depend on its settings, from records that differ in one or two."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from typing import Any, Final

from bench.analysis.groups import Data, RowGroup, differs_in
from bench.analysis.labels import Labels, made, usual_of
from bench.analysis.results import Results
from bench.analysis.tables import AVERAGE, Direction, Row, Spread, directions_of, rows_of, spread_of
from bench.records.schema import Record

Trace = Callable[[str], Sequence[Mapping[str, object]]]
"""Gives a record's trace by its digest."""

_SPREAD: Final = 8.0  # largest over smallest value from which a setting is shown by its ratios


@dataclass(frozen=True)
class Point:
    """A method with one choice of the settings that vary."""

    values: tuple[Any, ...]  # of these settings, in their order
    usual: bool  # whether these are the values that were usual when the last of the records was made
    row: Row
    validation: Spread | None  # highest validation mAP of an epoch, over seeds; None without a trace


@dataclass(frozen=True)
class Sensitivity:
    """Records of one method on one data that differ from one another in one or two settings."""

    data: Data
    protocol: str
    selection: str
    method: str
    title: str  # the method, with its variant where it is one, and the other settings that are not the usual
    settings: tuple[str, ...]  # names of those that vary: one makes a curve, two a grid
    columns: tuple[Direction, ...]
    points: tuple[Point, ...]  # sorted by their values

    def values(self, index: int) -> list[Any]:
        """Return the values of the setting at an index, each once, in order."""
        return sorted_values(point.values[index] for point in self.points)


def sensitivities_of(
    results: Results, protocols: Sequence[str], selection: str = "best", trace: Trace = lambda _: ()
) -> list[Sensitivity]:
    """Return all grids and curves, in the order of data, methods and settings.

    A grid has at least two values of either setting in every combination; what only one other value shares
    with it is left out of it, but for the usual settings. A curve that a grid shows is none by itself.
    """

    @cache  # a record may serve in several
    def best(digest: str) -> float | None:
        values = [row.get("validation_map") for row in trace(digest)]
        return max((float(value) for value in values if isinstance(value, int | float)), default=None)

    found = []
    for data, groups in results.groups.items():
        alike: dict[Hashable, list[RowGroup]] = defaultdict(list)
        for group in groups:
            alike[group.key._replace(settings=""), tuple(sorted(group.identity.settings))].append(group)
        series = [each for rows in alike.values() for each in _series(rows, _usual(rows, results.labels))]
        for settings, members in series:
            members.sort(key=lambda group: [_order(value) for value in _values(group, settings)])
            usual = _usual(members, results.labels)
            title = _title(members[0], settings, usual, groups)
            directions = directions_of(members, results.labels)
            for protocol in (results.protocol_id(data, name) for name in protocols):
                rows = rows_of(results, members, directions, protocol, selection)
                points = []
                for group, row in zip(members, rows, strict=True):
                    as_usual, reached = _is_usual(group, settings, usual), _validation(group.records, best)
                    points.append(Point(_values(group, settings), as_usual, row, reached))
                about = data, protocol, selection, members[0].key.method, title, settings
                found.append(Sensitivity(*about, (*directions, AVERAGE), tuple(points)))
    return found


def sorted_values(values: Iterable[Any]) -> list[Any]:
    """Return values of a setting, each once: numbers by size, then all others by how JSON writes them."""
    distinct = {_written(value): value for value in values}
    return [distinct[word] for word in sorted(distinct, key=lambda word: _order(distinct[word]))]


def is_number(value: Any) -> bool:
    """Return whether a setting's value is a number that a float can hold; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) <= sys.float_info.max


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


def _series(
    groups: Sequence[RowGroup], usual: Mapping[str, Any] | None
) -> list[tuple[tuple[str, ...], list[RowGroup]]]:
    """Return grids, then curves, of rows that differ in settings alone, each with those that vary."""
    written = [{name: _written(value) for name, value in group.identity.settings.items()} for group in groups]
    varying = [name for name in sorted(written[0]) if len({each[name] for each in written}) > 1]

    def sharing(*names: str) -> list[list[int]]:
        """Return the indices of the rows that have all settings in common but these."""
        indices: dict[Hashable, list[int]] = defaultdict(list)
        for index, each in enumerate(written):
            indices[tuple(each[name] for name in varying if name not in names)].append(index)
        return list(indices.values())

    grids = []
    for one, two in combinations(varying, 2):
        kept = {index for index, group in enumerate(groups) if _is_usual(group, (one, two), usual)}
        for indices in sharing(one, two):
            cells = {index: (written[index][one], written[index][two]) for index in indices}
            if grid := _grid(cells, kept):
                grids.append(((one, two), grid))
    curves = [
        ((name,), indices)
        for name in varying
        for indices in sharing(name)
        if len(indices) > 1 and not any(name in names and {*indices} <= {*grid} for names, grid in grids)
    ]
    return [(names, [groups[index] for index in indices]) for names, indices in (*grids, *curves)]


def _grid(cells: Mapping[int, tuple[str, str]], usual: Collection[int]) -> list[int]:
    """Return the indices of those cells that make a grid; none where there is no grid."""
    by_row: dict[str, set[str]] = defaultdict(set)
    for row, column in cells.values():
        by_row[row].add(column)
    if not any(len(one & two) > 1 for one, two in combinations(by_row.values(), 2)):
        return []
    while True:
        rows = Counter(row for row, _ in cells.values())
        columns = Counter(column for _, column in cells.values())
        kept = {
            index: cell
            for index, cell in cells.items()
            if index in usual or (rows[cell[0]] > 1 and columns[cell[1]] > 1)
        }
        if len(kept) == len(cells):
            return [*kept]
        cells = kept


def _title(
    group: RowGroup, settings: tuple[str, ...], usual: Mapping[str, Any] | None, groups: Iterable[RowGroup]
) -> str:
    """Return the method and whatever holds for all of a series' records and is not the usual."""
    words = [
        f"{name}={_written(value)}"
        for name, value in sorted(group.identity.settings.items())
        if name not in settings and usual is not None and usual.get(name) != value
    ]
    words += differs_in(group, groups)
    variant = "" if group.key.variant == "full" else f" {group.key.variant}"
    return group.title + variant + (f" [{', '.join(words)}]" if words else "")


def _validation(records: Sequence[Record], best: Callable[[str], float | None]) -> Spread | None:
    """Return the highest validation mAP of each seed's records, over seeds; None where no trace has any."""
    by_seed: dict[int, list[float]] = defaultdict(list)
    for record in records:
        value = best(record.digest)
        if value is not None:
            by_seed[record.identity.seed].append(value)
    means = [math.fsum(by_seed[seed]) / len(by_seed[seed]) for seed in sorted(by_seed)]
    return spread_of(means) if means else None


def _usual(groups: Sequence[RowGroup], labels: Labels) -> Mapping[str, Any] | None:
    """Return the settings that were usual when the last record of several rows was made."""
    return usual_of(max((record for group in groups for record in group.records), key=made), labels)


def _is_usual(group: RowGroup, names: Sequence[str], usual: Mapping[str, Any] | None) -> bool:
    """Return whether these settings have their usual values."""
    return usual is not None and all(usual.get(name) == group.identity.settings[name] for name in names)


def _values(group: RowGroup, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(group.identity.settings[name] for name in names)


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _order(value: Any) -> tuple[bool, float, str]:
    return (False, float(value), "") if is_number(value) else (True, 0.0, _written(value))
