"""Items of several modalities that rank one another, in whole galleries or in parts of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from bench.contract import Array, Method, Split
from bench.evaluation.arrays import (
    Indices,
    Matrix,
    Precision,
    Vector,
    check_embeddings,
    check_same_width,
    count_zero_rows,
)
from bench.evaluation.measures import average_precision_measure
from bench.evaluation.metrics import rank_sides
from bench.evaluation.protocol import Protocol
from bench.evaluation.ranking import Measure, measure_rankings
from bench.evaluation.relevance import LabelSets, label_sets
from bench.evaluation.shuffling import embed_rows
from bench.evaluation.similarity import (
    ArgsortOrder,
    KeptSimilarities,
    LearnedSimilarities,
    Side,
    Similarities,
    embedded_side,
    raw_side,
)

NOTHING_ELSE: Mapping[str, Measure] = MappingProxyType({})

_KEPT_NUMBERS = 1 << 26
"""Learned similarities of at most this many pairs are kept for the other direction, 256 MB."""

_Rank = Callable[..., list[Matrix]]
"""Applies measures to the ranking of one direction: ``rank(measures, by_argsort=False)``."""


class Retrieval:
    """Items of several modalities, arranged once, and how they are compared.

    Attributes:
        embeddings: modality -> rows ``(n, d)`` that are ranked by cosine; empty under a method's own
            similarity.
        zero_rows: modality -> how many of these rows are zero; modalities without such rows are left out.
    """

    def __init__(
        self,
        sides: Mapping[str, Side],
        embeddings: Mapping[str, Array],
        method: Method | None,
        threads: int | None,
    ) -> None:
        """Compare arranged items; `of_method` and `of_embeddings` arrange them.

        Args:
            sides: by modality.
            embeddings: as the attribute.
            method: whose similarity ranks raw features; None for the cosine of embeddings.
            threads: CPU threads for ranking; the result does not depend on it.
        """
        self.embeddings = embeddings
        zeros = {name: count_zero_rows(rows) for name, rows in embeddings.items()}
        self.zero_rows = {name: count for name, count in zeros.items() if count}
        self._sides = sides
        self._method = method
        self._threads = threads
        self._kept: dict[tuple[str, str], Array] = {}

    @classmethod
    def of_method(
        cls, method: Method, split: Split, dtype: Precision = "float32", threads: int | None = None
    ) -> Retrieval:
        """Embed a split with a fitted method, or take its features where the method has its own similarity.

        Either way the method gets the rows of each modality in an order that has nothing to do with their
        labels, nor with another modality's order.

        Raises:
            RefusedEmbeddings: as `bench.evaluation.check_embeddings`, or for unequal widths.
        """
        labels = {name: modality.labels for name, modality in split.items()}
        if type(method).similarity is not Method.similarity:
            sides = {
                name: raw_side(modality.features, _label_sets(labels, name), name)
                for name, modality in split.items()
            }
            return cls(sides, {}, method, threads)
        embeddings = {name: embed_rows(method, name, modality.features) for name, modality in split.items()}
        return cls.of_embeddings(embeddings, labels, dtype, threads)

    @classmethod
    def of_embeddings(
        cls,
        embeddings: Mapping[str, Any],
        labels: Mapping[str, Any],
        dtype: Precision = "float32",
        threads: int | None = None,
    ) -> Retrieval:
        """Take embeddings ``(n, d)`` and labels ``(n,)`` or ``(n, C)`` 0/1 by modality.

        Raises:
            RefusedEmbeddings: as `of_method`.
            UsageError: for labels that do not fit.
        """
        rows = {name: check_embeddings(name, given, len(given)) for name, given in embeddings.items()}
        check_same_width(rows)
        sides = {
            name: embedded_side(
                own, _label_sets(labels, name), dtype, f"the embeddings of modality {name!r}", threads
            )
            for name, own in rows.items()
        }
        return cls(sides, rows, None, threads)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self._sides)

    def size(self, modality: str) -> int:
        """Return how many items a modality has."""
        return len(self._sides[modality].arrangement)

    def rank(
        self,
        query: str,
        gallery: str,
        rules: Sequence[Protocol],
        measures: Mapping[str, Measure] = NOTHING_ELSE,
        items: Indices | None = None,
    ) -> tuple[dict[str, Vector], dict[str, Matrix]]:
        """Rank one direction, once for all that share a ranking, and measure it.

        Args:
            query: modality of the queries.
            gallery: modality of the gallery.
            rules: to compute average precision by.
            measures: what else to compute, by a name of the caller's choice.
            items: ``(m,)`` rows of the gallery to which it is confined; None for all.

        Returns:
            Protocol id -> average precision per query ``(n_queries,)``, and name -> ``(n_queries, width)``.

        Raises:
            UsageError: if the labels of the two modalities cannot be compared.
        """
        left, right = self._sides[query], self._sides[gallery]
        left.arrangement.labels.check_comparable(right.arrangement.labels)
        if items is not None:
            right = _confined(right, items, gallery)
        rank: _Rank = partial(rank_sides, left, right, threads=self._threads)
        if self._method is not None:
            learned = self._learned(self._method, query, gallery, left, right, whole=items is None)
            rank = partial(_rank_learned, learned, left, right)
        return _measured(rules, measures, rank)

    def _learned(
        self, method: Method, query: str, gallery: str, left: Side, right: Side, *, whole: bool
    ) -> Similarities:
        """Return a method's own similarities; those that hold from either side are asked for once.

        Args:
            method: whose similarity it is.
            query: modality of the queries.
            gallery: modality of the gallery.
            left: the queries.
            right: the gallery.
            whole: whether these are all items of the gallery's modality.
        """

        def similarity(queries: Array, items: Array) -> Array:
            return method.similarity(query, queries, gallery, items)

        learned = LearnedSimilarities(left, right, similarity)
        if not (method.mutual and whole and len(left.rows) * len(right.rows) <= _KEPT_NUMBERS):
            return learned
        if (gallery, query) in self._kept:
            return KeptSimilarities(left, right, self._kept[gallery, query].T)
        self._kept[query, gallery] = learned.of_all_rows()
        return KeptSimilarities(left, right, self._kept[query, gallery])


def _measured(
    rules: Sequence[Protocol], more: Mapping[str, Measure], rank: _Rank
) -> tuple[dict[str, Vector], dict[str, Matrix]]:
    ap: dict[str, Vector] = {}
    measured: dict[str, Matrix] = {}
    for by_argsort, chosen in _by_ranking(rules, bool(more)).items():
        extra = {} if by_argsort else more
        values = rank([*map(average_precision_measure, chosen), *extra.values()], by_argsort=by_argsort)
        ap |= {rule.id: value[:, 0] for rule, value in zip(chosen, values, strict=False)}
        measured |= dict(zip(extra, values[len(chosen) :], strict=True))
    return {rule.id: ap[rule.id] for rule in rules}, measured


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


def _label_sets(labels: Mapping[str, Any], name: str) -> LabelSets:
    return label_sets(labels[name], len(labels[name]), f"labels of modality {name!r}")


def _confined(side: Side, items: Indices, modality: str) -> Side:
    """Return a side with only some of its items, in the caller's order."""
    arrangement = side.arrangement
    place = np.empty(len(arrangement), dtype=np.intp)
    place[arrangement.order] = np.arange(len(arrangement))
    rows = side.rows[arrangement.members(place[items])]
    labels = LabelSets(arrangement.labels.sets, arrangement.labels.codes[items])
    if len(side.squares) == 0:  # raw features, for a similarity that a method has learned
        return raw_side(rows, labels, modality)
    return embedded_side(rows, labels, "float32" if rows.dtype == np.float32 else "float64", "the gallery")


def _rank_learned(
    learned: Similarities, left: Side, right: Side, measures: Sequence[Measure], by_argsort: bool
) -> list[Matrix]:
    """Rank by the method's own similarity; one thread, since a method need not be thread-safe."""
    if by_argsort:
        learned = ArgsortOrder(learned, right.arrangement)
    return measure_rankings(
        learned, left.arrangement, right.arrangement, measures, threads=1, in_row_order=True
    )
