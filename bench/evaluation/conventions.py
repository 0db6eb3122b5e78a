"""One set of embeddings under every convention, measure and similarity by which this field prints numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import permutations, product
from typing import Final, get_args

import numpy as np

from bench.contract import RefusedEmbeddings, Similarity
from bench.evaluation.inputs import Indices
from bench.evaluation.protocols import Denominator, EmptyRule, Protocol
from bench.evaluation.retrieval import Retrieval
from bench.evaluation.ties import TieRule

AVERAGE: Final = ("average", "")
WHOLE: Final = Fraction(1)
CUTOFFS: Final = (50,)
SHARES: Final = (WHOLE, Fraction(1, 2), Fraction(1, 4), Fraction(1, 8))
DRAWS: Final = 5
"""Random parts of the gallery per size: one alone would depend on its draw."""
NEAR: Final = 5e-4
"""How far a number of three printed digits may be from what was printed."""
NEAR_RANK: Final = 0.05
"""How far a median or mean rank may be from what was printed with one digit."""
RECALLS: Final = (1, 5, 10)
"""Cut-offs of recall by instance, besides the given ones."""


@dataclass(frozen=True)
class Reading:
    """The number of the embeddings in one direction under one convention."""

    query: str  # modality of the queries; ``average`` for the mean over directions
    gallery: str  # modality of the gallery; empty for the mean over directions
    protocol: Protocol  # measure, cut-off, denominator, ties, and queries without hits
    similarity: Similarity | None  # by which embeddings are compared; None for a learned one
    share: Fraction  # part of the gallery that was ranked
    queries: int | None  # how many there are; None for the mean over directions
    items: int | None  # size of what was ranked; None for the mean over directions
    # of all queries, the mean over draws where a part was ranked; None if all queries were skipped
    value: float | None
    low: float | None  # least value of a draw
    high: float | None  # largest value of a draw
    skipped: int  # queries that the convention leaves out, at most in a draw

    @property
    def direction(self) -> tuple[str, str]:
        """Query and gallery."""
        return self.query, self.gallery


@dataclass(frozen=True)
class Match:
    """A reading that is near a printed number; ``difference`` is the reading minus the print."""

    reading: Reading
    difference: float


def conventions(cutoffs: Sequence[int] = CUTOFFS, *, by_id: bool = False) -> list[Protocol]:
    """Return every rule for the full ranking and for the cut-offs, each once; those of mAP first.

    With ``by_id`` the instance level is among them: recall, reciprocal, median and mean rank.
    """
    kinds = [(f"map@{k}", f"/{name}") for k in cutoffs for name in get_args(Denominator)]
    names = ["map@all", *(head + tail for head, tail in kinds)]
    names += [name.format(k) for k in cutoffs for name in ("precision@{}", "recall@{}/class", "ndcg@{}")]
    names += ["ndcg@all", "mrr/class"]
    if by_id:
        names += [f"recall@{k}" for k in (*RECALLS, *cutoffs)] + ["mrr", "medr", "meanr"]
    rules = product(map(Protocol.parse, names), get_args(EmptyRule), get_args(TieRule))
    return list(dict.fromkeys(replace(rule, empty=empty, ties=ties) for rule, empty, ties in rules))


def readings(
    retrieval: Retrieval,
    cutoffs: Sequence[int] = CUTOFFS,
    shares: Sequence[Fraction] = SHARES,
    draws: int = DRAWS,
) -> list[Reading]:
    """Return the number under every convention, by direction, and its mean over directions.

    The whole gallery is ranked under all conventions, and embeddings under all similarities that can compare
    them, the given one first. A part of the gallery is ranked under the given similarity, for mAP with the
    exact expectation over ties alone, ``draws`` times: its items come from fixed random orders, of which a
    smaller part is the beginning of a larger one. ``shares`` are these parts, above 0 and at most 1.
    """
    rules = conventions(cutoffs, by_id=retrieval.knows_ids)
    others = []
    for similarity in get_args(Similarity) if retrieval.similarity is not None else ():
        if similarity != retrieval.similarity:
            with suppress(RefusedEmbeddings):  # not codes, or too many rows of zeros
                others.append((retrieval.under(similarity), [WHOLE]))
    by_direction = [
        reading
        for direction in permutations(retrieval.modalities, 2)
        for ranked, parts in [(retrieval, sorted({WHOLE, *shares}, reverse=True)), *others]
        for share in parts
        for reading in _readings(ranked, direction, rules, share, draws)
    ]
    groups: dict[tuple[Protocol, Similarity | None, Fraction], list[Reading]] = {}
    for reading in by_direction:
        groups.setdefault((reading.protocol, reading.similarity, reading.share), []).append(reading)
    means = []
    for (rule, similarity, share), members in groups.items():
        mean = _mean([math.nan if reading.value is None else reading.value for reading in members])
        skipped = sum(reading.skipped for reading in members)
        means.append(Reading(*AVERAGE, rule, similarity, share, None, None, mean, mean, mean, skipped))
    return [*by_direction, *means]


def near(candidates: Sequence[Reading], printed: float, within: float = NEAR) -> list[Match]:
    """Return the readings that a printed number may be, nearest first.

    Above 1 it is per cent, or a median or mean rank, which may be `NEAR_RANK` from it.
    """
    matches: list[tuple[float, Match]] = []
    for reading in candidates:
        bounded = reading.protocol.bounded
        target = printed / 100 if bounded and printed > 1 else printed
        most = within if bounded else NEAR_RANK
        if reading.value is not None and abs(difference := reading.value - target) <= most:
            matches.append((abs(difference) / most, Match(reading, difference)))
    return [match for _, match in sorted(matches, key=lambda pair: pair[0])]


def _readings(
    retrieval: Retrieval, direction: tuple[str, str], rules: Sequence[Protocol], share: Fraction, draws: int
) -> Iterator[Reading]:
    size = items = retrieval.gallery_size(direction[1])
    parts: list[Indices | None] = [None]
    if share != WHOLE:
        rules = [rule for rule in rules if (rule.ties, rule.measure) == ("expected", "map")]
        items = max(1, round(size * share))
        parts = [np.sort(np.random.default_rng(draw).permutation(size)[:items]) for draw in range(draws)]
    ranked = [retrieval.ranking(*direction, part).evaluate(rules)[0] for part in parts]
    queries = retrieval.size(direction[0])
    for rule in rules:
        values = [rule.aggregate(per_query[rule.id]) for per_query in ranked]
        skipped = max(int(np.isnan(per_query[rule.id]).sum()) for per_query in ranked)
        mean = _mean(values)
        low, high = (None, None) if mean is None else (min(values), max(values))
        yield Reading(*direction, rule, retrieval.similarity, share, queries, items, mean, low, high, skipped)


def _mean(values: Sequence[float]) -> float | None:
    return None if any(map(math.isnan, values)) else math.fsum(values) / len(values)
