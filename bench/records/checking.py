"""What the numbers of a record must satisfy, so that checksums which fit are not enough to be believed.

The schema knows types only. Here stands what holds between fields: numbers within the range of their measure,
every direction once, counts that agree with the sizes, selection rules that agree with each other, and arrays
per query that the metrics are the means of.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from itertools import permutations
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.records.schema import Environment, Identity, Record, Result

Key = tuple[str, str, str, str]
"""(selection, protocol, query, gallery) of a metric."""


T = TypeVar("T", bound=Key)


class Range(NamedTuple):
    """Least and largest value of a measure, for one query as for the mean over queries."""

    least: float
    largest: float


MEASURES: Final[Mapping[str, Range]] = {"map": Range(0.0, 1.0)}
"""Measures by the word before ``@`` in a protocol's id; the value of each is the mean over queries."""

_ROUNDING: Final = 1e-12
"""How far a metric may be from the mean of its queries: another order of summation."""


def check_record(record: Record) -> None:
    """Check all that a record says by itself.

    Raises:
        ValueError: if its numbers cannot be; one sentence.
    """
    _check_environment(record.environment)
    if record.result is not None:
        measured = _check_rules(record.result)
        _check_sizes(record.identity, record.result)
        _check_metrics(record.identity, record.result, measured)
        _check_marks(record.identity, record.result)


def check_per_query(record: Record, stored: Collection[Key], arrays: Mapping[T, NDArray[np.float64]]) -> None:
    """Check a finished record's values per query; a failed one may have any, for nothing rests on them.

    Args:
        record: checked by `check_record`.
        stored: names of all arrays.
        arrays: those that were read, float64.

    Raises:
        ValueError: if they are not those that the metrics are the means of; one sentence.
    """
    if record.result is None:
        return
    metrics = {(m.selection, m.protocol, m.query, m.gallery): m for m in record.result.metrics}
    _require_equal({*stored}, metrics.keys(), "values per query")
    for key, values in arrays.items():
        metric = metrics[key]
        if values.shape != (metric.queries,):
            raise ValueError(f"{_named(key)} has values of shape {values.shape} for {metric.queries} queries")
        least, largest = _range_of(metric.protocol)
        # Bare reductions take half the time of the methods, and a record may have hundreds of arrays.
        lowest, highest = np.minimum.reduce(values), np.maximum.reduce(values)
        if not (lowest >= least and highest <= largest):  # NaN is neither
            raise ValueError(f"{_named(key)} has a query outside of {least:g} to {largest:g}")
        mean = float(np.add.reduce(values)) / len(values)
        if abs(mean - metric.value) > _ROUNDING:
            raise ValueError(f"{_named(key)} is {metric.value!r}, but its queries have the mean {mean!r}")


def _check_environment(environment: Environment) -> None:
    for part, seconds in environment.seconds.items():
        _require(0.0 <= seconds < math.inf, f"it says that {part} took {seconds!r} seconds")
    for memory in (environment.peak_memory, environment.peak_device_memory):
        _require(memory is None or memory >= 0, f"it says that {memory} bytes of memory were used")


def _check_rules(result: Result) -> set[str]:
    """Return the rules that there must be numbers of."""
    rules = [selected.rule for selected in result.selected]
    _require(len({*rules}) == len(rules), "a selection rule has chosen twice")
    _require("none" not in rules, "the rule none has chosen a state")
    for selected in result.selected:
        _require(all(epoch >= 0 for epoch in _parts(selected.epoch)), f"{selected.rule} has no such epoch")
        values = () if selected.value is None else _parts(selected.value)
        _require(all(map(math.isfinite, values)), f"{selected.rule} has chosen by a value that is not finite")
    known = {*rules} or {"none"}
    _require(result.refused.keys() <= known, "a rule is refused that has chosen nothing")
    measured = known - result.refused.keys()
    _require(result.selection in measured, f"the rule of the tables, {result.selection}, has no numbers")
    return measured


def _check_sizes(identity: Identity, result: Result) -> None:
    _require(result.rows.keys() == {*identity.modalities}, "its sizes are not of its modalities")
    for name, rows in result.rows.items():
        least = min(rows.train, rows.validation)
        _require(least >= 0 and rows.test >= 1 and rows.dimension >= 1, f"{name} cannot have such sizes")


def _check_metrics(identity: Identity, result: Result, measured: set[str]) -> None:
    keys = [(m.selection, m.protocol, m.query, m.gallery) for m in result.metrics]
    _require(len({*keys}) == len(keys), "a metric is there twice")
    protocols = {metric.protocol for metric in result.metrics}
    pairs = [*permutations(identity.modalities, 2)]
    wanted = {(rule, protocol, *pair) for rule in measured for protocol in protocols for pair in pairs}
    _require(bool(keys), "it has no metrics")
    _require_equal({*keys}, wanted, "metrics")
    ranges = {protocol: _range_of(protocol) for protocol in protocols}
    for metric, key in zip(result.metrics, keys, strict=True):
        least, largest = ranges[metric.protocol]
        if not least <= metric.value <= largest:
            raise ValueError(f"{_named(key)} is {metric.value!r}, outside of {least:g} to {largest:g}")
        sizes = result.rows[metric.query].test, result.rows[metric.gallery].test
        if (metric.queries, metric.items) != sizes:
            raise ValueError(f"{_named(key)} has other numbers of queries and items than the test split")


def _check_marks(identity: Identity, result: Result) -> None:
    """Check the rows of zeros and the values of chance, which only newer records have."""
    rules = {selected.rule for selected in result.selected} or {"none"}
    _require(result.zero_rows.keys() <= rules, "rows of zeros are counted for a rule that has chosen nothing")
    for counts in result.zero_rows.values():
        for name, count in counts.items():
            known = name in result.rows and 0 <= count <= result.rows[name].test
            _require(known, f"{count} rows of {name} cannot be zero")
    directions = {f"{query}>{gallery}" for query, gallery in permutations(identity.modalities, 2)}
    _require(result.chance.keys() in (set(), directions), "the values of chance are not of its directions")
    in_range = all(0.0 <= value <= 1.0 for value in result.chance.values())
    _require(in_range, "a value of chance is outside of 0 to 1")


def _range_of(protocol: str) -> Range:
    measure = protocol.partition("@")[0]
    if measure not in MEASURES:
        raise ValueError(f"{protocol} is a measure that this program does not know")
    return MEASURES[measure]


def _parts(value: Any) -> Collection[Any]:
    return value.values() if isinstance(value, dict) else (value,)


def _require_equal(found: Collection[Key], wanted: Collection[Key], what: str) -> None:
    odd = sorted({*found} ^ {*wanted})
    if odd:
        fault = "which cannot be" if odd[0] in found else "which are missing"
        raise ValueError(f"it has not the right {what}: those of {_named(odd[0])}, {fault}")


def _named(key: Key) -> str:
    selection, protocol, query, gallery = key
    return f"{protocol} of {query} -> {gallery} ({selection})"


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise ValueError(sentence)
