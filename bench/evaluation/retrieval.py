"""Items of several modalities, embedded or compared by a method, and the ranking of each direction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.contract import Array, Method, Similarity, Split, UsageError
from bench.contract.data import read_only
from bench.evaluation.independence import embed_rows
from bench.evaluation.inputs import (
    Indices,
    Precision,
    check_embeddings,
    check_ids,
    check_similarities,
    check_widths,
    count_zero_rows,
    label_sets,
    to_array,
)
from bench.evaluation.matches import Matches
from bench.evaluation.ranking import ASKED_ROWS, Ranking
from bench.evaluation.scale import Scale
from bench.evaluation.similarity import Compare, Side, embedded_side, expanded, raw_side


class Embedded(NamedTuple):
    """Embeddings of several modalities, each by name."""

    rows: Mapping[str, Any]  # ``(n, d)``
    labels: Mapping[str, Any]  # ``(n,)`` class numbers or ``(n, C)`` 0/1
    # ``(n,)`` integers, equal for the same object; empty where they are not known
    ids: Mapping[str, Any] = {}


_KEPT_NUMBERS = 1 << 26
"""Learned similarities of at most this many pairs are kept for the other direction, 256 MB."""


class Retrieval:
    """Items of several modalities in canonical order, and how they are compared.

    Attributes:
        similarity: by which embeddings are compared; None for a learned one.
        embeddings: modality -> rows ``(n, d)`` of the queries; empty under a learned similarity.
        zero_rows: modality -> how many rows are zero, which the cosine cannot compare, of the queries and of
            a separate gallery; modalities without such rows are left out.
    """

    def __init__(
        self,
        sides: Sequence[Mapping[str, Side]],
        given: Sequence[Embedded] = (),
        *,
        similarity: Similarity | None = None,
        method: Method | None = None,
        dtype: Precision = "float32",
        threads: int | None = None,
        device: str | None = None,
    ) -> None:
        """Compare items; `of_method` and `of_embeddings` put them in order.

        ``sides`` and ``given`` hold the queries and, if it is separate, the gallery.
        """
        self.similarity = similarity
        self.embeddings: Mapping[str, Array] = given[0].rows if given else {}
        counts: Counter[str] = Counter()
        for part in given if similarity == "cosine" else ():
            counts.update({name: count_zero_rows(rows) for name, rows in part.rows.items()})
        self.zero_rows = {name: counts[name] for name in self.embeddings if counts[name]}
        self._given, self._sides, self._items = given, sides[0], sides[-1]
        self._method, self._dtype, self._threads, self._device = method, dtype, threads, device
        self._kept: dict[tuple[str, str], Array] = {}

    @classmethod
    def of_method(
        cls,
        method: Method,
        split: Split,
        dtype: Precision = "float32",
        threads: int | None = None,
        device: str | None = None,
        *,
        gallery: Split | None = None,
    ) -> Retrieval:
        """Embed a split with a fitted method, or take its features where the method has a learned similarity.

        Either way the method gets the rows of each modality in an order unrelated to their
        labels and to another modality's order. Embeddings are compared by the similarity of the method's
        card. ``device`` and ``gallery`` are as in `evaluate`.

        Raises:
            RefusedEmbeddings: as `bench.evaluation.check_embeddings`, or for unequal widths.
            UsageError: if the gallery lacks a modality, or a row has no label.
        """
        for what, rows in (("queries", split), ("gallery", split if gallery is None else gallery)):
            if absent := sorted(split.keys() - rows.keys()):
                raise UsageError(f"the gallery has no rows of {', '.join(absent)}")
            if rows.labelled() is not rows:
                raise UsageError(
                    f"rows of the {what} have no label and cannot be evaluated: use split.labelled()"
                )
        parts = [split] if gallery is None else [split, gallery.select(tuple(split))]
        if type(method).similarity is not Method.similarity:
            return cls([_raw_sides(part) for part in parts], method=method)
        embedded = [
            Embedded(
                {name: embed_rows(method, name, modality.features) for name, modality in part.items()},
                {name: modality.labels for name, modality in part.items()},
                {name: modality.ids for name, modality in part.items() if modality.ids is not None},
            )
            for part in parts
        ]
        return cls.of_embeddings(
            *embedded,
            similarity=method.card.similarity,
            dtype=dtype,
            threads=threads,
            device=device if device is not None and device.startswith("cuda") else None,
        )

    @classmethod
    def of_embeddings(
        cls,
        queries: Embedded,
        gallery: Embedded | None = None,
        *,
        similarity: Similarity = "cosine",
        dtype: Precision = "float32",
        threads: int | None = None,
        device: str | None = None,
    ) -> Retrieval:
        """Take embeddings; without a ``gallery`` the queries of each modality rank those of the others.

        See `average_precision` for the options.

        Raises:
            RefusedEmbeddings: as `of_method`.
            UsageError: for labels or ids that do not fit.
        """
        parts = [
            part._replace(rows={name: to_array(rows) for name, rows in part.rows.items()})
            for part in (queries, gallery)
            if part is not None
        ]
        every = [(name, rows) for part in parts for name, rows in part.rows.items()]
        for name, rows in every:
            check_embeddings(name, rows, len(rows), similarity)
        check_widths({name: int(rows.shape[1]) for name, rows in every})
        scale = Scale.of(similarity, [rows for _, rows in every])
        sides = [
            {
                name: embedded_side(
                    rows,
                    label_sets(part.labels[name], len(rows), f"labels of modality {name!r}"),
                    dtype,
                    f"the embeddings of modality {name!r}",
                    threads,
                    ids=check_ids(part.ids.get(name), len(rows), f"ids of modality {name!r}"),
                    scale=scale,
                )
                for name, rows in part.rows.items()
            }
            for part in parts
        ]
        return cls(sides, parts, similarity=similarity, dtype=dtype, threads=threads, device=device)

    def under(self, similarity: Similarity) -> Retrieval:
        """Return the same embeddings, compared in another way.

        Raises:
            RefusedEmbeddings: if they cannot be compared so.
        """
        return self.of_embeddings(
            *self._given, similarity=similarity, dtype=self._dtype, threads=self._threads, device=self._device
        )

    @property
    def knows_ids(self) -> bool:
        """Whether ids name the same objects in every direction."""
        sides = *self._sides.values(), *self._items.values()
        return all(side.ids is not None for side in sides)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self._sides)

    def size(self, modality: str) -> int:
        """Return how many queries a modality has."""
        return len(self._sides[modality].order)

    def gallery_size(self, modality: str) -> int:
        """Return how many items a modality has."""
        return len(self._items[modality].order)

    def ranking(self, query: str, gallery: str, items: Indices | None = None) -> Ranking:
        """Return the ranking of one direction; ``items`` ``(m,)`` are rows that the gallery is confined to.

        Raises:
            UsageError: if the labels of the two modalities cannot be compared.
        """
        left, right = self._sides[query], self._items[gallery]
        left.order.labels.check_comparable(right.order.labels)
        if items is not None:
            right = right.confined(items, gallery)
        if self._method is None:
            return Ranking.of_sides(left, right, threads=self._threads, device=self._device)
        whole = items is None and self._items is self._sides
        compare = self._learned(self._method, (query, left), (gallery, right), whole=whole)
        block = expanded(compare, left.order, right.order)
        matches = Matches.by_ids(left.ids, right.ids, right.order)
        # One thread, since a method need not be thread-safe.
        return Ranking(left.order, right.order, block, block, threads=1, in_row_order=True, matches=matches)

    def _learned(
        self, method: Method, query: tuple[str, Side], gallery: tuple[str, Side], *, whole: bool
    ) -> Compare:
        """Return a method's learned similarities; symmetric ones are computed once.

        That is possible for ``whole`` modalities, which are ranked in the other direction, too.
        """
        (query_name, left), (item_name, right) = query, gallery

        def compare(rows: Indices) -> Array:
            queries, items = read_only(left.rows[rows]), read_only(right.rows)
            values = method.similarity(query_name, queries, item_name, items)
            return check_similarities(values, (len(queries), len(items))).copy()

        if not (method.mutual and whole and len(left.rows) * len(right.rows) <= _KEPT_NUMBERS):
            return compare
        if (item_name, query_name) in self._kept:
            kept = self._kept[item_name, query_name].T
        else:
            rows = np.arange(len(left.rows))
            blocks = [rows[start : start + ASKED_ROWS] for start in range(0, len(rows), ASKED_ROWS)]
            kept = self._kept[query_name, item_name] = np.concatenate([compare(block) for block in blocks])
        return lambda rows: np.asarray(kept[rows])


def _raw_sides(split: Split) -> dict[str, Side]:
    return {
        name: raw_side(
            modality.features,
            label_sets(modality.labels, len(modality), f"labels of modality {name!r}"),
            name,
            modality.ids,
        )
        for name, modality in split.items()
    }
