"""A method's retrieval performance on a split: every ordered pair of modalities, every protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import permutations
from types import MappingProxyType

import numpy as np

from bench.contract import Array, Method, Split, UsageError
from bench.evaluation.arrays import Matrix, Precision, Vector, check_embeddings, check_same_width
from bench.evaluation.measures import average_precision_measure
from bench.evaluation.metrics import mean_of_queries, rank_sides
from bench.evaluation.protocol import STANDARD_PROTOCOLS, Protocol
from bench.evaluation.ranking import Measure, measure_rankings
from bench.evaluation.relevance import LabelSets, label_sets
from bench.evaluation.similarity import (
    ArgsortOrder,
    LearnedSimilarities,
    Side,
    Similarities,
    embedded_side,
    raw_side,
)

Rank = Callable[..., list[Matrix]]
"""Applies measures to the ranking of one direction: ``rank(measures, by_argsort=False)``."""


@dataclass(frozen=True, eq=False)
class Direction:
    """Queries of one modality against the gallery of another.

    Attributes:
        query: modality of the queries.
        gallery: modality of the gallery.
        ap: protocol id -> average precision per query, ``(n_queries,)``; NaN where skipped.
        measured: what else was asked for, by its name: ``(n_queries, width)``.
    """

    query: str
    gallery: str
    ap: Mapping[str, Vector] = field(repr=False)
    measured: Mapping[str, Matrix] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The direction in words, such as ``image>text``."""
        return f"{self.query}>{self.gallery}"

    def map(self, protocol_id: str = "map@all") -> float:
        """Return the mean average precision over queries.

        Raises:
            UsageError: if that protocol was not evaluated.
        """
        if protocol_id not in self.ap:
            raise UsageError(f"{protocol_id!r} was not evaluated; available are {', '.join(self.ap)}")
        return mean_of_queries(self.ap[protocol_id])


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The outcome of `evaluate`: a direction for each ordered pair of modalities.

    Attributes:
        directions: in the order of the split's modalities.
        embeddings: modality -> rows ``(n, d)`` that were ranked; empty under a method's own similarity.
    """

    directions: tuple[Direction, ...]
    embeddings: Mapping[str, Array] = field(default_factory=dict)

    def __getitem__(self, pair: tuple[str, str]) -> Direction:
        """Return the direction ``(query modality, gallery modality)``.

        Raises:
            KeyError: if there is none.
        """
        for direction in self.directions:
            if (direction.query, direction.gallery) == pair:
                return direction
        raise KeyError(f"{pair}: no such direction; there are {', '.join(d.name for d in self.directions)}")

    @property
    def protocols(self) -> tuple[str, ...]:
        """Ids of the protocols evaluated."""
        return tuple(self.directions[0].ap)

    def mean(self, protocol_id: str = "map@all") -> float:
        """Return the mean over directions of the mean average precision."""
        return float(np.mean([direction.map(protocol_id) for direction in self.directions]))

    def __str__(self) -> str:
        """Return a table: a row per direction and their mean, a column per protocol."""
        names = [direction.name for direction in self.directions]
        width = max(len(name) for name in [*names, "mean"])
        columns = [(key, max(len(key), 6)) for key in self.protocols]
        lines = [" " * width + "".join(f"  {key:>{size}}" for key, size in columns)]
        for direction in self.directions:
            cells = "".join(f"  {direction.map(key):>{size}.4f}" for key, size in columns)
            lines.append(f"{direction.name:<{width}}{cells}")
        lines.append(
            f"{'mean':<{width}}" + "".join(f"  {self.mean(key):>{size}.4f}" for key, size in columns)
        )
        return "\n".join(lines)

    __repr__ = __str__


def evaluate(
    method: Method,
    split: Split,
    protocols: Sequence[Protocol | str] = STANDARD_PROTOCOLS,
    *,
    measures: Mapping[str, Measure] = MappingProxyType({}),
    dtype: Precision = "float32",
    threads: int | None = None,
) -> Evaluation:
    """Evaluate a fitted method on a split, in every direction and under every protocol.

    Each modality is embedded once, and each direction ranked once for all protocols. A method that
    overrides `Method.similarity` is asked for similarities instead, at most 256 queries at a time.

    Args:
        method: fitted.
        split: at least two modalities.
        protocols: rules, or their ids.
        measures: what else to compute from the same rankings, by a name of the caller's choice.
        dtype: precision of the cosine similarities.
        threads: CPU threads for ranking; the result does not depend on it.

    Raises:
        RefusedEmbeddings: for embeddings of a wrong shape, or NaN, infinite, zero-norm or collapsed rows.
        UsageError: for fewer than two modalities, no protocol or an unknown one.
    """
    rules = [Protocol.parse(rule) if isinstance(rule, str) else rule for rule in protocols]
    if not rules or len(split) < 2:
        raise UsageError(
            f"evaluation needs a protocol and two modalities; given {len(rules)} and {', '.join(split)}"
        )
    learned = type(method).similarity is not Method.similarity
    embeddings = {} if learned else _embeddings(method, split)
    sides = _raw_sides(split) if learned else _embedded_sides(embeddings, split, dtype, threads)
    directions = []
    for query, gallery in permutations(split, 2):
        pair = sides[query], sides[gallery]
        sides[query].arrangement.labels.check_comparable(sides[gallery].arrangement.labels)
        rank: Rank = partial(rank_sides, *pair, threads=threads)
        if learned:
            rank = partial(_rank_learned, method, query, gallery, *pair)
        directions.append(_measured(query, gallery, rules, measures, rank))
    return Evaluation(tuple(directions), embeddings)


def validation_map(method: Method, split: Split, *, threads: int | None = None) -> dict[str, float]:
    """Return the mAP@all of every direction, such as ``{"image>text": .54}``: what training selects by.

    Raises:
        RefusedEmbeddings: as `evaluate`.
    """
    result = evaluate(method, split, STANDARD_PROTOCOLS[:1], threads=threads)
    return {direction.name: direction.map() for direction in result.directions}


def _measured(
    query: str, gallery: str, rules: Sequence[Protocol], more: Mapping[str, Measure], rank: Rank
) -> Direction:
    """Rank one direction, once for all that share a ranking, and measure it."""
    ap: dict[str, Vector] = {}
    measured: dict[str, Matrix] = {}
    for by_argsort, chosen in _by_ranking(rules, bool(more)).items():
        extra = {} if by_argsort else more
        values = rank([*map(average_precision_measure, chosen), *extra.values()], by_argsort=by_argsort)
        ap |= {rule.id: value[:, 0] for rule, value in zip(chosen, values, strict=False)}
        measured |= dict(zip(extra, values[len(chosen) :], strict=True))
    return Direction(query, gallery, {rule.id: ap[rule.id] for rule in rules}, measured)


def _by_ranking(rules: Sequence[Protocol], usual: bool) -> dict[bool, list[Protocol]]:
    """Return the rules that share a ranking: all but those that want ties in a sort's order.

    Args:
        rules: to share out.
        usual: whether the usual ranking is wanted even if no rule asks for it.
    """
    shared: dict[bool, list[Protocol]] = {False: []} if usual else {}
    for rule in rules:
        shared.setdefault(rule.ties == "argsort", []).append(rule)
    return shared


def _embeddings(method: Method, split: Split) -> dict[str, Array]:
    embeddings: dict[str, Array] = {}
    for name, modality in split.items():
        embeddings[name] = check_embeddings(name, method.embed(name, modality.features), len(modality))
    check_same_width(embeddings)
    return embeddings


def _embedded_sides(
    embeddings: Mapping[str, Array], split: Split, dtype: Precision, threads: int | None
) -> dict[str, Side]:
    return {
        name: embedded_side(
            rows, _labels(split, name), dtype, f"the embeddings of modality {name!r}", threads
        )
        for name, rows in embeddings.items()
    }


def _raw_sides(split: Split) -> dict[str, Side]:
    return {name: raw_side(modality.features, _labels(split, name)) for name, modality in split.items()}


def _labels(split: Split, name: str) -> LabelSets:
    return label_sets(split[name].labels, len(split[name]), f"labels of modality {name!r}")


def _rank_learned(
    method: Method,
    query: str,
    gallery: str,
    left: Side,
    right: Side,
    measures: Sequence[Measure],
    by_argsort: bool,
) -> list[Matrix]:
    """Rank by the method's own similarity; one thread, since a method need not be thread-safe."""

    def similarity(queries: Array, items: Array) -> Array:
        return method.similarity(query, queries, gallery, items)

    learned: Similarities = LearnedSimilarities(left, right, similarity)
    if by_argsort:
        learned = ArgsortOrder(learned, right.arrangement)
    return measure_rankings(learned, left.arrangement, right.arrangement, measures, threads=1)
