"""A method's retrieval performance: every ordered pair of modalities, every protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np

from bench.contract import Array, Method, RefusedEmbeddings, Split, UsageError
from bench.contract.data import read_only
from bench.evaluation.independence import embed_rows
from bench.evaluation.inputs import (
    Indices,
    LabelSets,
    Matrix,
    Precision,
    Vector,
    check_embeddings,
    check_similarities,
    count_zero_rows,
    label_sets,
)
from bench.evaluation.measures import STANDARD_PROTOCOLS, Protocol, mean_of_queries
from bench.evaluation.ranking import NO_MEASURES, Ranking
from bench.evaluation.similarity import Compare, Side, embedded_side, expanded, raw_side
from bench.evaluation.ties import Measure

_KEPT_NUMBERS = 1 << 26
"""Learned similarities of at most this many pairs are kept for the other direction, 256 MB."""

_ASKED_ROWS = 256
"""Queries at a time that a method's similarity is asked for."""


class Retrieval:
    """Items of several modalities in canonical order, and how they are compared.

    Attributes:
        embeddings: modality -> rows ``(n, d)`` that are ranked by cosine; empty under a method's similarity.
        zero_rows: modality -> how many of these rows are zero; modalities without such rows are left out.
    """

    def __init__(
        self,
        sides: Mapping[str, Side],
        embeddings: Mapping[str, Array],
        *,
        method: Method | None = None,
        threads: int | None = None,
        device: str | None = None,
    ) -> None:
        """Compare items; `of_method` and `of_embeddings` put them in order."""
        self.embeddings = embeddings
        zeros = {name: count_zero_rows(rows) for name, rows in embeddings.items()}
        self.zero_rows = {name: count for name, count in zeros.items() if count}
        self._sides = sides
        self._method = method
        self._threads = threads
        self._device = device
        self._kept: dict[tuple[str, str], Array] = {}

    @classmethod
    def of_method(
        cls,
        method: Method,
        split: Split,
        dtype: Precision = "float32",
        threads: int | None = None,
        device: str | None = None,
    ) -> Retrieval:
        """Embed a split with a fitted method, or take its features where the method has its own similarity.

        Either way the method gets the rows of each modality in an order that has nothing to do with their
        labels, nor with another modality's order. ``device`` is as in `evaluate`.

        Raises:
            RefusedEmbeddings: as `bench.evaluation.check_embeddings`, or for unequal widths.
        """
        labels = {name: modality.labels for name, modality in split.items()}
        if type(method).similarity is not Method.similarity:
            sides = {
                name: raw_side(modality.features, _label_sets(labels, name), name)
                for name, modality in split.items()
            }
            return cls(sides, {}, method=method)
        embeddings = {name: embed_rows(method, name, modality.features) for name, modality in split.items()}
        return cls.of_embeddings(embeddings, labels, dtype, threads, device)

    @classmethod
    def of_embeddings(
        cls,
        embeddings: Mapping[str, Any],
        labels: Mapping[str, Any],
        dtype: Precision = "float32",
        threads: int | None = None,
        device: str | None = None,
    ) -> Retrieval:
        """Take embeddings ``(n, d)`` and labels ``(n,)`` or ``(n, C)`` 0/1 by modality.

        Raises:
            RefusedEmbeddings: as `of_method`.
            UsageError: for labels that do not fit.
        """
        rows = {name: check_embeddings(name, given, len(given)) for name, given in embeddings.items()}
        widths = {name: int(embedded.shape[1]) for name, embedded in rows.items()}
        if len(set(widths.values())) > 1:
            raise RefusedEmbeddings(
                f"the modalities are embedded in different widths, {widths}; there is no common space"
            )
        sides = {
            name: embedded_side(
                embedded, _label_sets(labels, name), dtype, f"the embeddings of modality {name!r}", threads
            )
            for name, embedded in rows.items()
        }
        return cls(sides, rows, threads=threads, device=device)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self._sides)

    def size(self, modality: str) -> int:
        """Return how many items a modality has."""
        return len(self._sides[modality].order)

    def ranking(self, query: str, gallery: str, items: Indices | None = None) -> Ranking:
        """Return the ranking of one direction.

        Args:
            query: modality of the queries.
            gallery: modality of the gallery.
            items: ``(m,)`` rows of the gallery to which it is confined; None for all.

        Raises:
            UsageError: if the labels of the two modalities cannot be compared.
        """
        left, right = self._sides[query], self._sides[gallery]
        left.order.labels.check_comparable(right.order.labels)
        if items is not None:
            right = right.confined(items, gallery)
        if self._method is None:
            return Ranking.by_cosine(left, right, threads=self._threads, device=self._device)
        compare = self._learned(self._method, (query, left), (gallery, right), whole=items is None)
        block = expanded(compare, left.order, right.order)
        # One thread, since a method need not be thread-safe.
        return Ranking(left.order, right.order, block, block, threads=1, in_row_order=True)

    def _learned(
        self, method: Method, query: tuple[str, Side], gallery: tuple[str, Side], *, whole: bool
    ) -> Compare:
        """Return a method's similarities; those that hold from either side are asked for once.

        Args:
            method: whose similarity it is.
            query: modality and items of the queries.
            gallery: modality and items of the gallery.
            whole: whether these are all items of the gallery's modality.
        """
        (asking, left), (asked, right) = query, gallery

        def compare(rows: Indices) -> Array:
            queries, items = read_only(left.rows[rows]), read_only(right.rows)
            values = method.similarity(asking, queries, asked, items)
            return check_similarities(values, (len(queries), len(items))).copy()

        if not (method.mutual and whole and len(left.rows) * len(right.rows) <= _KEPT_NUMBERS):
            return compare
        if (asked, asking) in self._kept:
            kept = self._kept[asked, asking].T
        else:
            rows = np.arange(len(left.rows))
            blocks = [rows[start : start + _ASKED_ROWS] for start in range(0, len(rows), _ASKED_ROWS)]
            kept = self._kept[asking, asked] = np.concatenate([compare(block) for block in blocks])
        return lambda rows: np.asarray(kept[rows])


def _label_sets(labels: Mapping[str, Any], name: str) -> LabelSets:
    return label_sets(labels[name], len(labels[name]), f"labels of modality {name!r}")


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
    """The result of `evaluate`: a direction for each ordered pair of modalities.

    Attributes:
        directions: in the order of the split's modalities.
        embeddings: modality -> rows ``(n, d)`` that were ranked; empty under a method's own similarity.
        zero_rows: modality -> how many of these rows are zero; modalities without such rows are left out.
    """

    directions: tuple[Direction, ...]
    embeddings: Mapping[str, Array] = field(default_factory=dict)
    zero_rows: Mapping[str, int] = field(default_factory=dict)

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
        from tabulate import tabulate

        rows = [[d.name, *map(d.map, self.protocols)] for d in self.directions]
        rows.append(["mean", *map(self.mean, self.protocols)])
        return tabulate(rows, headers=["", *self.protocols], tablefmt="plain", floatfmt=".4f")

    __repr__ = __str__


def evaluate(
    method: Method,
    split: Split,
    protocols: Sequence[Protocol | str] = STANDARD_PROTOCOLS,
    *,
    measures: Mapping[str, Measure] = NO_MEASURES,
    dtype: Precision = "float32",
    threads: int | None = None,
    device: str | None = None,
) -> Evaluation:
    """Evaluate a fitted method on a split, in every direction and under every protocol.

    Each modality is embedded once, and each direction ranked once for all protocols. A method that
    overrides `Method.similarity` is asked for similarities instead, at most 256 queries at a time. The method
    gets the rows of each modality in an order that has nothing to do with labels or other modalities; the
    results are in the order of the split. A row of zeros has similarity 0 to everything.

    Args:
        method: fitted.
        split: at least two modalities.
        protocols: rules, or their ids.
        measures: what else to compute from the same rankings, by a name of the caller's choice.
        dtype: precision of the cosine similarities.
        threads: CPU threads for ranking; the result does not depend on it.
        device: torch name of a CUDA device to rank embeddings on, whose products may round differently;
            None for the CPU.

    Raises:
        RefusedEmbeddings: for embeddings of a wrong shape, NaN or infinite values, collapsed rows, or if more
            than half of a modality's rows are zero.
        UsageError: for fewer than two modalities, no protocol or an unknown one.
    """
    rules = [Protocol.parse(rule) if isinstance(rule, str) else rule for rule in protocols]
    if not rules or len(split) < 2:
        raise UsageError(
            f"evaluation needs a protocol and two modalities; given {len(rules)} and {', '.join(split)}"
        )
    retrieval = Retrieval.of_method(method, split, dtype, threads, device)
    directions = [
        Direction(query, gallery, *retrieval.ranking(query, gallery).evaluate(rules, measures))
        for query, gallery in permutations(split, 2)
    ]
    return Evaluation(tuple(directions), retrieval.embeddings, retrieval.zero_rows)


def validation_map(
    method: Method, split: Split, *, threads: int | None = None, device: str = "cpu"
) -> dict[str, float]:
    """Return the mAP@all of every direction, such as ``{"image>text": .54}``: what training selects by.

    On a CUDA ``device`` it is ranked there.

    Raises:
        RefusedEmbeddings: as `evaluate`.
    """
    on = device if device.startswith("cuda") else None
    result = evaluate(method, split, STANDARD_PROTOCOLS[:1], threads=threads, device=on)
    return {direction.name: direction.map() for direction in result.directions}
