"""One set of embeddings under every convention by which mean average precision is computed in this field."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations, product
from typing import Final, get_args

import numpy as np

from bench.evaluation.inputs import Indices
from bench.evaluation.measures import Denominator, EmptyRule, Protocol, mean_of_queries
from bench.evaluation.retrieval import Retrieval
from bench.evaluation.ties import TieRule

AVERAGE: Final = ("average", "")
WHOLE: Final = Fraction(1)
CUTOFFS: Final = (50,)
SHARES: Final = (WHOLE, Fraction(1, 2), Fraction(1, 4), Fraction(1, 8))
DRAWS: Final = 5
"""Random parts of the gallery per size: one alone would show its own luck."""
NEAR: Final = 5e-4
"""How far a number of three printed digits may be from what was printed."""


@dataclass(frozen=True)
class Reading:
    """The mAP of the embeddings in one direction under one convention.

    Attributes:
        query: modality of the queries; ``average`` for the mean over directions.
        gallery: modality of the gallery; empty for the mean over directions.
        protocol: cut-off, denominator, ties, and queries without hits.
        share: part of the gallery that was ranked.
        queries: how many there are; None for the mean over directions.
        items: size of what was ranked; None for the mean over directions.
        value: mean average precision, over draws where a part was ranked; None if all queries were skipped.
        low: least value of a draw.
        high: largest value of a draw.
        skipped: queries that the convention leaves out, at most in a draw.
    """

    query: str
    gallery: str
    protocol: Protocol
    share: Fraction
    queries: int | None
    items: int | None
    value: float | None
    low: float | None
    high: float | None
    skipped: int

    @property
    def direction(self) -> tuple[str, str]:
        """Query and gallery."""
        return self.query, self.gallery


@dataclass(frozen=True)
class Match:
    """A reading that is near a printed number; ``difference`` is the reading minus the print."""

    reading: Reading
    difference: float


def conventions(cutoffs: Sequence[int] = CUTOFFS) -> list[Protocol]:
    """Return every rule for the full ranking and for the cut-offs, each once."""
    choices = get_args(Denominator), get_args(EmptyRule), get_args(TieRule)
    rules = product((None, *cutoffs), *choices)
    return list(dict.fromkeys(Protocol(k, denominator, ties, empty) for k, denominator, empty, ties in rules))


def readings(
    retrieval: Retrieval,
    cutoffs: Sequence[int] = CUTOFFS,
    shares: Sequence[Fraction] = SHARES,
    draws: int = DRAWS,
) -> list[Reading]:
    """Return the mAP under every convention, by direction, and its mean over directions.

    The whole gallery is ranked under all conventions. A part of it is ranked under the exact expectation
    over ties alone, ``draws`` times: its items come from fixed random orders, of which a smaller part is the
    beginning of a larger one.

    Args:
        retrieval: items of at least two modalities.
        cutoffs: ranks of the gallery, besides the full ranking.
        shares: parts of the gallery, above 0 and at most 1; the whole is always among them.
        draws: per part.
    """
    by_direction = [
        reading
        for direction in permutations(retrieval.modalities, 2)
        for share in sorted({WHOLE, *shares}, reverse=True)
        for reading in _readings(retrieval, direction, conventions(cutoffs), share, draws)
    ]
    return [*by_direction, *_averages(by_direction)]


def near(candidates: Sequence[Reading], printed: float, within: float = NEAR) -> list[Match]:
    """Return the readings that a printed number may be, nearest first; above 1 it is per cent."""
    target = printed / 100 if printed > 1 else printed
    matches = [Match(reading, reading.value - target) for reading in candidates if reading.value is not None]
    close = [match for match in matches if abs(match.difference) <= within]
    return sorted(close, key=lambda match: abs(match.difference))


def _readings(
    retrieval: Retrieval, direction: tuple[str, str], rules: Sequence[Protocol], share: Fraction, draws: int
) -> Iterator[Reading]:
    size = items = retrieval.size(direction[1])
    parts: list[Indices | None] = [None]
    if share != WHOLE:
        rules = [rule for rule in rules if rule.ties == "expected"]
        items = max(1, round(size * share))
        parts = [np.sort(np.random.default_rng(draw).permutation(size)[:items]) for draw in range(draws)]
    ranked = [retrieval.ranking(*direction, part).evaluate(rules)[0] for part in parts]
    for rule in rules:
        values = [mean_of_queries(ap[rule.id]) for ap in ranked]
        skipped = max(int(np.isnan(ap[rule.id]).sum()) for ap in ranked)
        mean = _mean(values)
        low, high = (None, None) if mean is None else (min(values), max(values))
        yield Reading(*direction, rule, share, retrieval.size(direction[0]), items, mean, low, high, skipped)


def _averages(by_direction: Sequence[Reading]) -> Iterator[Reading]:
    groups: dict[tuple[Protocol, Fraction], list[Reading]] = {}
    for reading in by_direction:
        groups.setdefault((reading.protocol, reading.share), []).append(reading)
    for (protocol, share), members in groups.items():
        mean = _mean([math.nan if reading.value is None else reading.value for reading in members])
        skipped = sum(reading.skipped for reading in members)
        yield Reading(*AVERAGE, protocol, share, None, None, mean, mean, mean, skipped)


def _mean(values: Sequence[float]) -> float | None:
    return None if any(map(math.isnan, values)) else math.fsum(values) / len(values)
