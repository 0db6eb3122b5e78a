"""Protocols of mean average precision with their ids, and what is computed from ranks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from bench.contract import UsageError
from bench.evaluation.inputs import Matrix, Vector
from bench.evaluation.ties import Counts, Measure, Ranks, TieGroups, TieRule, hits_inside, precision_sum

Denominator = Literal["hits", "min", "relevant"]
"""``hits``: relevant items found in the top k; ``min``: min(R, k); ``relevant``: R."""

EmptyRule = Literal["zero", "skip"]
"""``zero``: a query without hits counts 0; ``skip``: it is NaN, and left out of the mean."""

_GRAMMAR = (
    "map@all or map@K, then /hits, /min or /relevant for map@K, "
    "then optionally /skip, and one of /optimistic, /pessimistic or /argsort"
)
_CHOICES = {
    "denominator": get_args(Denominator),
    "ties": get_args(TieRule),
    "empty": get_args(EmptyRule),
}


def check_cutoff(k: int | None) -> None:
    """Refuse a cut-off that is no rank.

    Raises:
        UsageError: unless k is None or a whole number of at least 1.
    """
    if k is not None and (isinstance(k, bool) or k != int(k) or k < 1):
        raise UsageError(f"k must be a rank of at least 1, or None for the full ranking, not {k!r}")


@dataclass(frozen=True)
class Protocol:
    """A rule by which mean average precision is computed.

    Attributes:
        k: cut-off, a rank of the gallery; None for the full ranking.
        denominator: what the sum of precisions is divided by; all three are equal without cut-off.
        ties: expectation over all orders of tied items, the best, the worst, or a sort's order.
        empty: what becomes of a query without hits.

    Raises:
        UsageError: if a value is none of those.
    """

    k: int | None = None
    denominator: Denominator = "hits"
    ties: TieRule = "expected"
    empty: EmptyRule = "zero"

    def __post_init__(self) -> None:
        """Check the values; give every rule one spelling."""
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise UsageError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        check_cutoff(self.k)
        if self.k is None:
            object.__setattr__(self, "denominator", "hits")

    @property
    def id(self) -> str:
        """The rule's name, such as ``map@50/min``; `parse` reads it back."""
        parts = ["map@all"] if self.k is None else [f"map@{self.k}", self.denominator]
        parts += ["skip"] if self.empty == "skip" else []
        parts += [self.ties] if self.ties != "expected" else []
        return "/".join(parts)

    def __str__(self) -> str:
        """Return the id."""
        return self.id

    @classmethod
    def parse(cls, text: str) -> Protocol:
        """Return the protocol called ``text``, such as ``map@all`` or ``map@50/hits/skip``.

        Raises:
            UsageError: if there is no such protocol.
        """
        head, *rest = text.strip().lower().split("/")
        match = re.fullmatch(r"map@(all|\d+)", head)
        if match is None:
            raise UsageError(f"{text!r} is not a protocol; write {_GRAMMAR}")
        k = None if match[1] == "all" else int(match[1])
        chosen: dict[str, str] = {}
        for part in rest:
            kind = next((name for name, choices in _CHOICES.items() if part in choices), None)
            if kind is None or kind in chosen:
                problem = "stands for nothing here" if kind is None else f"is a second {kind} rule"
                raise UsageError(f"{part!r} in protocol {text!r} {problem}; write {_GRAMMAR}")
            chosen[kind] = part
        if k is not None and "denominator" not in chosen:
            options = ", ".join(f"map@{k}/{name}" for name in get_args(Denominator))
            raise UsageError(f"{text!r} does not say what to divide by; write one of {options}")
        return cls(k, **cast("dict[str, Any]", chosen))


STANDARD_PROTOCOLS: tuple[Protocol, ...] = (
    Protocol(),
    Protocol(50, "hits"),
    Protocol(50, "min"),
    Protocol(50, "relevant"),
)
"""The rules that every result is reported under."""


def mean_of_queries(values: Vector) -> float:
    """Return the mean over the queries that were not skipped; NaN if all were."""
    counted = values[~np.isnan(values)]
    return float(counted.mean()) if len(counted) else float("nan")


def average_precision_measure(protocol: Protocol) -> Measure:
    """Return the measure ``(b, 1)`` of a protocol; NaN where it skips a query."""

    def measure(ranks: Ranks) -> Matrix:
        b, n_relevant = ranks.above.shape
        if n_relevant == 0:
            return _nothing(b, 1, protocol.empty)
        k = ranks.n_gallery if protocol.k is None else min(protocol.k, ranks.n_gallery)
        values = _average_precision(ranks, k, protocol)
        if protocol.empty == "skip" and protocol.denominator == "hits":
            values[ranks.above[:, 0] >= k] = np.nan  # no order brings a hit into the top k
        return values[:, None]

    return measure


def precision_at_measure(ks: Sequence[int], empty: EmptyRule = "zero") -> Measure:
    """Return the measure ``(b, len(ks))``: expected hits in the top k, divided by k."""

    def measure(ranks: Ranks) -> Matrix:
        if ranks.above.shape[1] == 0:
            return _nothing(len(ranks.above), len(ks), empty)
        hits = _hits_before(ranks.above, ks).astype(np.float64)
        ties = ranks.ties
        for column, k in enumerate(ks if len(ties.row) else ()):
            g = np.flatnonzero((ties.before < k) & (k < ties.before + ties.size))  # at most one per query
            outside = (ties.before + ties.size - k)[g] / ties.size[g]
            hits[ties.row[g], column] -= ties.relevant[g] * outside
        return np.asarray(hits / np.asarray(ks))

    return measure


def interpolated_precision_measure(levels: Sequence[float], empty: EmptyRule = "zero") -> Measure:
    """Return the measure ``(b, len(levels))``: interpolated precision of the expected hits.

    Let e_i be the expected number of hits among the first i items. The value at level l is the largest
    e_i / i over all ranks i with e_i >= l R. Inside a tie group e_i grows evenly and e_i / i moves one
    way only, so that the group's first admissible rank and its end are the ranks to look at.
    """

    def measure(ranks: Ranks) -> Matrix:
        b, n_relevant = ranks.above.shape
        if n_relevant == 0:
            return _nothing(b, len(levels), empty)
        hits, upto, size = _tie_spans(ranks)
        at_end = upto / (ranks.above + size)
        from_here = np.maximum.accumulate(at_end[:, ::-1], axis=1)[:, ::-1]
        needed = np.asarray(levels) * n_relevant - 1e-9  # .7 * 10 is a little more than 7
        j = np.maximum(np.ceil(needed).astype(np.intp) - 1, 0)
        p, h = ranks.above[:, j], hits[:, j]
        share = (upto[:, j] - h) / size[:, j]
        step = np.maximum(np.ceil((needed - h) / share - 1e-9), 1.0)
        return np.asarray(np.maximum((h + step * share) / (p + step), from_here[:, j]))

    return measure


def _nothing(b: int, width: int, empty: EmptyRule) -> Matrix:
    """Return the values of queries without relevant items."""
    return np.full((b, width), np.nan if empty == "skip" else 0.0)


def _average_precision(ranks: Ranks, k: int, protocol: Protocol) -> Vector:
    """Sum the precision at every hit inside the cut-off; tie groups give their sums as a whole."""
    n_relevant, ties = ranks.above.shape[1], ranks.ties
    above = ranks.above[:, :k]  # the relevant item in column j has at least j items above
    precision = np.arange(1, above.shape[1] + 1) / (above + 1)
    inside = above < k
    crossing = np.empty(0, dtype=np.intp)
    if len(ties.row):  # a group before the cut-off has its whole sum in its first column
        within = np.clip(k - ties.before, 0, ties.size)
        crossing = np.flatnonzero((within > 0) & (within < ties.size))  # at most one per query
        whole = ties.take(np.flatnonzero(within == ties.size))
        _blank(precision, whole)
        _blank(inside, ties.take(crossing))
        precision[whole.row, whole.hits] = precision_sum(
            protocol.ties, whole.before, whole.hits, whole.size, whole.relevant
        )
    total = precision.sum(axis=1, where=inside)
    values = np.asarray(total / _denominator(inside.sum(axis=1), n_relevant, k, protocol))
    for g in crossing:
        row = ties.row[g]
        values[row] = _straddling(ties, int(g), float(total[row]), n_relevant, k, protocol)
    return values


def _blank(matrix: NDArray[Any], ties: TieGroups) -> None:
    """Set the columns of the relevant items of tie groups to zero, in place."""
    rows, columns = ties.items()
    kept = columns < matrix.shape[1]
    matrix[rows[kept], columns[kept]] = 0


def _straddling(ties: TieGroups, g: int, total: float, n_relevant: int, k: int, protocol: Protocol) -> float:
    """Average precision of a query whose tie group ``g`` crosses the cut-off.

    Given the number x of hits that fall inside, the sum and the denominator are known.
    """
    p, h, t, r = (int(column[g]) for column in (ties.before, ties.hits, ties.size, ties.relevant))
    x, chance = hits_inside(t, r, k - p)
    sums = total + precision_sum(protocol.ties, p, h, k - p, x)
    values = sums / _denominator(h + x, n_relevant, k, protocol)
    if protocol.ties == "expected":
        return float((chance * values).sum())
    return float(values.max() if protocol.ties == "optimistic" else values.min())


def _denominator(hits: Counts, n_relevant: int, k: int, protocol: Protocol) -> Counts | int:
    if protocol.denominator == "hits":
        return np.maximum(hits, 1)
    return min(n_relevant, k) if protocol.denominator == "min" else n_relevant


def _hits_before(above: Counts, ks: Sequence[int]) -> Counts:
    """Return how many relevant items have fewer than k items above them, ``(b, len(ks))``, in one pass."""
    order = np.argsort(ks)
    bins = len(ks) + 1
    reached = np.searchsorted(np.asarray(ks)[order], above, side="right")  # cut-offs that an item misses
    reached += np.arange(len(above))[:, None] * bins
    counts = np.bincount(reached.reshape(-1), minlength=len(above) * bins).reshape(len(above), bins)
    hits = np.empty((len(above), len(ks)), dtype=np.int64)
    hits[:, order] = counts.cumsum(axis=1)[:, :-1]
    return hits


def _tie_spans(ranks: Ranks) -> tuple[Counts, Counts, Counts]:
    """Return, per relevant item: hits before its tie group, hits up to the group's end, the group's size."""
    hits = np.tile(np.arange(ranks.above.shape[1]), (len(ranks.above), 1))
    upto, size = hits + 1, np.ones_like(hits)
    ties = ranks.ties
    if len(ties.row):
        items = ties.items()
        hits[items] = np.repeat(ties.hits, ties.relevant)
        upto[items] = np.repeat(ties.hits + ties.relevant, ties.relevant)
        size[items] = np.repeat(ties.size, ties.relevant)
    return hits, upto, size
