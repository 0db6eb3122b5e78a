"""Results by level of a condition: tables, drops relative to clean data, which methods take it."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from bench.analysis.groups import CLEAN, Data, data_of, harness_for_clean, name_and_level
from bench.analysis.results import Results
from bench.analysis.tables import ABSENT, AVERAGE, Entry, Row, Spread, Table, seed_values, spread_of
from bench.conditions import conditions, name_of
from bench.records.schema import Record

Seeds = Mapping[int, float]
"""mAP, mean over directions, by seed."""


class MethodKey(NamedTuple):
    """What a method's rows share under all conditions, as usually set."""

    method: str
    code: str
    threads: int


@dataclass(frozen=True)
class LevelSeries:
    """The tables of one condition on one data, level by level, and that of the clean data."""

    data: Data  # of the levels, as of clean data
    name: str  # of the condition with its variant, without level
    protocol: str  # id of the evaluation rule
    levels: Mapping[str, Table]  # by level as it is typed, those that change least first
    clean: Table | None  # of the same data and code; None where nothing is recorded

    @property
    def tables(self) -> dict[str, Table]:
        """Return the tables by level, clean data first."""
        return {**({} if self.clean is None else {CLEAN: self.clean}), **self.levels}

    @cached_property
    def rows(self) -> dict[str, dict[MethodKey, Row]]:
        """Return the rows of methods as they are usually set, in `tables`."""
        return {
            level: {MethodKey(row.method, row.code, row.threads): row for row in table.rows if row.usual}
            for level, table in self.tables.items()
        }


def level_series(tables: Iterable[Table]) -> list[LevelSeries]:
    """Return a series per data, protocol and condition, in the tables' order; mildest level first."""
    clean, levels = {}, defaultdict[tuple[Data, str, str], dict[str, Table]](dict)
    for table in tables:
        name, level = name_and_level(table.data.condition)
        if name == CLEAN:
            clean[table.data, table.protocol] = table
        else:
            levels[table.data._replace(condition=CLEAN), name, table.protocol][level] = table
    found = []
    for (data, name, protocol), tables_by_level in levels.items():
        condition = conditions().get(name_of(name))  # None where it is gone
        if condition and condition.card.lower_is_harder:
            tables_by_level = dict(reversed(tables_by_level.items()))
        found.append(
            LevelSeries(data, name, protocol, tables_by_level, clean.get((clean_of(data), protocol)))
        )
    return found


def clean_of(data: Data) -> Data:
    """Return clean data made by the same code."""
    return data._replace(harness=harness_for_clean(data), condition=CLEAN)


@dataclass(frozen=True)
class Drop:
    """Drop of a method under a condition, from its number on clean data."""

    key: MethodKey  # which method
    row: Row  # of its first level
    entries: Mapping[str, Entry]  # average over directions in each of the series' `LevelSeries.tables`
    mean: Spread | None  # over the levels, of seeds with all of them; None unless there are any
    comparable: bool  # whether all levels have the test rows of clean data; otherwise nothing is a drop
    drop: Spread | None  # clean minus mean, paired by seed; mean minus clean where lower numbers are better
    percent: float | None  # the drop in per cent of the clean mean
    drops: Mapping[str, Spread]  # at each level, paired by seed; without levels of no shared seed
    percents: Mapping[str, float]  # the same in per cent of the clean mean


def drops_of(series: LevelSeries, results: Results) -> list[Drop]:
    """Return the drop of each method, in the tables' order."""
    values = {level: _by_seed(series, level, results) for level in series.tables}
    found, sign = [], -1 if next(iter(series.levels.values())).lower_is_better else 1
    comparable = series.clean is None or all(
        _test_rows(table, results) <= _test_rows(series.clean, results) for table in series.levels.values()
    )
    for key in dict.fromkeys(key for level in series.levels for key in series.rows[level]):
        entries = {
            level: rows[key].entries[AVERAGE] if key in rows else ABSENT
            for level, rows in series.rows.items()
        }
        at = [values[level].get(key, {}) for level in series.levels]
        means = {seed: statistics.fmean(each[seed] for each in at) for seed in _shared(at)}
        clean = values.get(CLEAN, {}).get(key, {}) if comparable else {}
        each = {level: _drop(clean, seeds, sign) for level, seeds in zip(series.levels, at, strict=True)}
        drops = {level: one for level, (one, _) in each.items() if one is not None}
        percents = {level: one for level, (_, one) in each.items() if one is not None}
        first = next(series.rows[level][key] for level in series.levels if key in series.rows[level])
        mean = spread_of(list(means.values())) if means else None
        about = key, first, entries, mean, comparable
        found.append(Drop(*about, *_drop(clean, means, sign), drops, percents))
    return found


def _drop(clean: Seeds, after: Seeds, sign: int) -> tuple[Spread | None, float | None]:
    """Return what is lost, paired by seed, and in per cent of the clean mean of these seeds."""
    seeds = _shared([clean, after])
    if not seeds:
        return None, None
    drop = spread_of([sign * (clean[seed] - after[seed]) for seed in seeds])
    base = statistics.fmean(clean[seed] for seed in seeds)
    return drop, 100 * drop.mean / base if base else None


def differences_of(
    first: LevelSeries, second: LevelSeries, results: Results
) -> dict[MethodKey, dict[str, Spread]]:
    """Return the mAP of one series minus that of another by method and level, paired by seed."""
    found: dict[MethodKey, dict[str, Spread]] = defaultdict(dict)
    for level in first.levels.keys() & second.levels.keys():
        ours, theirs = (_by_seed(series, level, results) for series in (first, second))
        for key in ours.keys() & theirs.keys():
            if seeds := _shared([ours[key], theirs[key]]):
                found[key][level] = spread_of([ours[key][seed] - theirs[key][seed] for seed in seeds])
    return found


def _test_rows(table: Table, results: Results) -> set[tuple[str, int]]:
    """Return how many test rows the modalities of a table have."""
    digests = {digest for row in table.rows for entry in row.entries.values() for digest in entry.records}
    found = (results.by_digest[digest].result for digest in digests)
    return {(name, rows.test) for result in found if result is not None for name, rows in result.rows.items()}


def _by_seed(series: LevelSeries, level: str, results: Results) -> Mapping[MethodKey, Seeds]:
    table, found = series.tables[level], {}
    recorded = results.numbers(table.data, table.protocol, table.selection)
    for key, row in series.rows[level].items():
        by_seed = seed_values(recorded[row.label], table.directions)
        found[key] = {seed: numbers[AVERAGE] for seed, numbers in by_seed.items() if AVERAGE in numbers}
    return found


def _shared(found: Sequence[Collection[int]]) -> list[int]:
    """Return the seeds that all have, ascending."""
    return sorted(set(found[0]).intersection(*found[1:])) if found else []


class Taken(NamedTuple):
    """Whether and how a method accepted a condition."""

    how: Mapping[str, tuple[str, ...]]  # levels by how it took them: as `_how` says
    reasons: tuple[str, ...]  # why there is no result, each once
    records: tuple[str, ...]  # digests


def flexibility(results: Results) -> dict[Data, dict[str, dict[str, Taken]]]:
    """Return how methods accepted conditions, by data, method and condition; for data with any condition."""
    groups: dict[Data, dict[str, dict[str, list[Record]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for rows in results.groups.values():
        for row in rows:
            for record in row.records if row.usual else ():
                name = name_and_level(record.identity.condition)[0] or CLEAN
                groups[clean_of(data_of(record))][record.identity.method][name].append(record)
    return {
        data: {
            method: {name: _taken(members) for name, members in found.items()}
            for method, found in sorted(methods.items(), key=lambda item: results.labels.order(item[0]))
        }
        for data, methods in groups.items()
        if any(name != CLEAN for found in methods.values() for name in found)
    }


def _taken(records: Sequence[Record]) -> Taken:
    how: dict[str, dict[str, None]] = defaultdict(dict)
    for record in records:
        how[_how(record)][name_and_level(record.identity.condition)[1]] = None
    reasons = {record.failure.reason.split("\n")[0]: None for record in records if record.failure is not None}
    digests = tuple(sorted(record.digest for record in records))
    return Taken({words: tuple(levels) for words, levels in how.items()}, tuple(reasons), digests)


def _how(record: Record) -> str:
    if record.result is None:
        return record.status
    if record.result.pairing == "class-matched":
        return "pseudo-pairs"
    left_out = any(rows.train < rows.given for rows in record.result.rows.values())
    return "native, in part" if left_out else "native"
