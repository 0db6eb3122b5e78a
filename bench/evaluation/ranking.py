"""The ranking of a gallery by queries: one pass serves every measure.

Per query, all similarities are sorted, as integers whose lowest bit marks relevant items: the index of a
marked one is a rank. Any number of measures is then computed from the ranks, so that four protocols
cost one ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, UsageError
from bench.evaluation.block import cosines, rank_numpy
from bench.evaluation.inputs import Indices, Matrix, Vector, to_array
from bench.evaluation.keys import order_keys
from bench.evaluation.matches import Matches, locate
from bench.evaluation.measures import measure_of
from bench.evaluation.order import CanonicalOrder, inverse
from bench.evaluation.protocols import Protocol
from bench.evaluation.similarity import (
    Block,
    Side,
    argsort_ranks,
    compared,
    expanded,
    lift_for,
    sorted_by_others,
)
from bench.evaluation.threads import run_blocks
from bench.evaluation.ties import Columns, Counts, Measure, Ranks, count_columns

RankBlock = Callable[[Any, Columns], Ranks]
"""Ranks the relevant ``Columns`` of a block of similarities ``(b, n)`` or their keys; may overwrite it."""

# Similarities held at a time, per thread; products with few rows take nearly as long as with many.
_BLOCK_ITEMS = 1 << 25
_BLOCK_ROWS = 512
ASKED_ROWS = 256  # queries at a time whose learned similarities are computed
_LABEL_ITEMS = 1 << 26  # labels of all gallery positions that are kept
_RELEVANT_ITEMS = 1 << 18  # ranks of relevant items held at a time, per thread


@dataclass(frozen=True, eq=False)
class Ranking:
    """Queries that rank a gallery: similarities, relevance and the order of ties, for all measures."""

    queries: CanonicalOrder  # canonical order of the queries, with their labels
    gallery: CanonicalOrder  # canonical order of the gallery, with its labels
    similarities: Block  # block by block; equal ones are tied
    sorted_similarities: Block  # what the tie rule ``argsort`` sorts
    rank_block: RankBlock = rank_numpy  # ranks a block of similarities
    # ``(n,)`` what makes `cosines` of ``similarities``; None where they need nothing more
    squares: Array | None = None
    # CPU threads, None for as many as the process may use; the result does not depend on it
    threads: int | None = None
    # whether similarities are computed in the order of the queries' rows, and not label by label: for a
    # learned similarity, which must not get labels from its queries' positions
    in_row_order: bool = False
    matches: Matches | None = None  # which items have a query's id; None where ids are not known
    # computes those of some protocols that need nothing of the host; None on the CPU
    on_device: Callable[[Sequence[Protocol]], dict[str, Vector]] | None = None

    @classmethod
    def of_sides(
        cls, queries: Side, gallery: Side, *, threads: int | None = None, device: str | None = None
    ) -> Ranking:
        """Rank embeddings by their similarity, on the CPU or on a CUDA ``device`` (its torch name)."""
        orders = queries.order, gallery.order
        on_cpu, by_others = (
            expanded(compare(queries, gallery), *orders) for compare in (compared, sorted_by_others)
        )
        matches = Matches.by_ids(queries.ids, gallery.ids, gallery.order)
        squares = None
        if gallery.similarity == "cosine":
            bound = 2.0**60 * lift_for(gallery.rows.shape[1])  # of squared products, by a squared norm
            squares = gallery.squares[gallery.order.members(np.arange(len(gallery.order)))] * bound
        ranking = cls(*orders, on_cpu, by_others, squares=squares, threads=threads, matches=matches)
        if device is None:
            return ranking
        from bench.evaluation.device_ranking import evaluate_on_device, rank_torch
        from bench.evaluation.device_side import DeviceSide, similarities

        there = DeviceSide.of_side(queries, device), DeviceSide.of_side(gallery, device)
        return replace(
            ranking,
            similarities=similarities(*there),
            rank_block=rank_torch,
            squares=None,
            threads=1,
            on_device=partial(evaluate_on_device, *there),
        )

    def evaluate(
        self, protocols: Sequence[Protocol], measures: Mapping[str, Measure] = {}
    ) -> tuple[dict[str, Vector], dict[str, Matrix]]:
        """Rank once for all protocols, and once more for those whose ties are in a sort's order.

        Returns:
            Protocol id -> value per query ``(n_queries,)``, and name of a measure -> ``(n_queries, width)``.
        """
        known = {} if self.on_device is None else self.on_device(protocols)
        usual = [rule for rule in protocols if rule.ties != "argsort" and rule.id not in known]
        by_sort = [rule for rule in protocols if rule.ties == "argsort"]
        values, further = self._evaluate(usual, measures)
        order = argsort_ranks(self.sorted_similarities, self.gallery)
        sorted_once = replace(self, similarities=order, rank_block=rank_numpy, squares=None)
        values |= known | sorted_once._evaluate(by_sort, {})[0]
        return {rule.id: values[rule.id] for rule in protocols}, further

    def _evaluate(
        self, protocols: Sequence[Protocol], measures: Mapping[str, Measure]
    ) -> tuple[dict[str, Vector], dict[str, Matrix]]:
        by_class = [rule for rule in protocols if rule.level == "class"]
        by_id = [rule for rule in protocols if rule.level == "instance"]
        if by_id and self.matches is None:
            raise UsageError(f"{by_id[0]} needs ids of both modalities, which name the same objects")
        graded = self.queries.labels.sets.ndim == 2 and any(rule.measure == "ndcg" for rule in by_class)
        cuts = [rule.k for rule in by_class if rule.k is not None and rule.denominator != "first"]
        all_cut = len(cuts) == len(by_class) and not measures
        values = self.measure(
            [*map(measure_of, by_class), *measures.values()],
            [*map(measure_of, by_id)],
            graded=graded,
            top=max(cuts, default=None) if all_cut else None,
        )
        n_labels = len(by_class) + len(measures)
        rules = zip([*by_class, *by_id], [*values[: len(by_class)], *values[n_labels:]], strict=True)
        further = dict(zip(measures, values[len(by_class) : n_labels], strict=True))
        return {rule.id: value[:, 0] for rule, value in rules}, further

    def measure(
        self,
        measures: Sequence[Measure],
        by_id: Sequence[Measure] = (),
        *,
        graded: bool = False,
        top: int | None = None,
    ) -> list[Matrix]:
        """Rank the gallery for every query; return a matrix per measure, in the order of the queries' rows.

        Args:
            measures: of items that share a label with the query, ``(n_queries, width)`` each.
            by_id: of items that have its id, ``(n_queries, 1)`` each.
            graded: whether ``measures`` need to know how many labels an item shares.
            top: rank after which items do not count in ``measures``; None if all do.
        """
        if not measures and not by_id:
            return []
        positions, which = self._distinct_queries()
        codes = self.queries.labels.codes[self.queries.order[positions]]
        most = ASKED_ROWS if self.in_row_order else _BLOCK_ROWS
        step = min(most, max(8, _BLOCK_ITEMS // len(self.gallery)))
        blocks = [slice(i, min(i + step, len(positions))) for i in range(0, len(positions), step)]
        results: list[list[Matrix]] = [[] for _ in blocks]
        instances = [np.empty((len(self.queries), 1)) for _ in by_id]
        by_query = np.argsort(which, kind="stable") if by_id else np.empty(0, dtype=np.intp)
        bounds = np.searchsorted(which[by_query], np.arange(len(positions) + 1))

        def work(block: slice) -> None:
            here = codes[block]
            values, rank = self._block(positions[block], top, keys=bool(by_id), graded=graded)
            order = np.argsort(here, kind="stable") if self.in_row_order else np.arange(len(here))
            if self.in_row_order:
                values = values[order]
            finish = None
            if self.matches is not None and by_id:
                rows = by_query[bounds[block.start] : bounds[block.stop]]
                finish = self._matched(values, rows, inverse(order)[which[rows] - block.start], self.matches)
            measured = self._measured(values, here[order], rank, measures, graded=graded)
            results[block.start // step] = [column[inverse(order)] for column in measured]
            for chosen, ranks in finish() if finish else ():
                for column, measure in zip(instances, by_id, strict=True):
                    column[chosen] = measure(ranks)

        run_blocks(work, blocks, self.threads)
        return [*(np.concatenate(column)[which] for column in zip(*results, strict=True)), *instances]

    def _block(
        self, positions: Indices, top: int | None, *, keys: bool, graded: bool
    ) -> tuple[Any, RankBlock]:
        """Return a block of queries and what ranks it; on request `order_keys`, which are ranked whole."""
        values, squares = self.similarities(positions), self.squares
        if squares is not None and (keys or graded):  # similarities are compared besides
            for row in values:
                row[:] = cosines(row, squares)
            squares = None
        if keys:
            values, top = order_keys(to_array(values)), None
        on_host = isinstance(values, np.ndarray)
        return values, partial(rank_numpy, k=top, squares=squares) if on_host else self.rank_block

    def _matched(
        self, keys: Array, rows: Indices, local: Indices, matches: Matches
    ) -> Callable[[], Iterator[tuple[Indices, Ranks]]]:
        """Remember the keys of the items that have the queries' ids; rank them once all are sorted.

        Query rows ``(q,)`` have the rows ``local`` of ``keys`` ``(b, n)``, which are not sorted yet.
        """
        by_local = np.argsort(local, kind="stable")
        rows = rows[by_local]
        pair, position = matches.pairs(rows)
        row = local[by_local][pair]
        similar = keys[row, position]
        return lambda: matches.ranks(rows, *locate(keys, row, similar), keys.shape[1])

    def _measured(
        self, values: Any, codes: Indices, rank: RankBlock, measures: Sequence[Measure], *, graded: bool
    ) -> list[Matrix]:
        """Rank a block of queries, which are sorted by label: those with equal labels together."""
        parts: list[list[Matrix]] = []
        for start, stop in pairwise([0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]):
            columns = self._relevant_columns(int(codes[start]))
            gains = self._gains(int(codes[start]), columns) if graded else None
            width = count_columns(columns)
            step = max(1, _RELEVANT_ITEMS // max(width, 1))
            for i in range(start, stop, step):
                block, ordered = values[i : min(i + step, stop)], None
                if gains is not None:  # best first; in ties they fall
                    falling, similar = np.argsort(-gains, kind="stable"), to_array(block)[:, columns]
                    keys = (similar if similar.dtype.kind == "i" else -similar)[:, falling]
                    ordered = np.asarray(gains[falling][np.argsort(keys, axis=1, kind="stable")])
                ranks = rank(block, columns)._replace(gains=ordered)
                parts.append([measure(ranks) for measure in measures])
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _gains(self, code: int, columns: Columns) -> Counts | None:
        """Return how many labels the relevant gallery positions share with a label set; None for 1 each."""
        shared = (self.gallery.labels.sets & self.queries.labels.sets[code]).sum(axis=1)
        gains = np.repeat(shared, np.diff(self.gallery.starts))[columns]
        return gains if len(gains) and int(gains.max()) > 1 else None

    def _distinct_queries(self) -> tuple[Indices, Indices]:
        """Return positions of queries that differ in content or label, and which one each query equals."""
        queries = self.queries
        codes = queries.labels.codes[queries.order]
        fresh = np.ones(len(codes), dtype=bool)
        if queries.member is not None:  # equal contents of one label set are adjacent
            fresh[1:] = (codes[1:] != codes[:-1]) | (queries.member[1:] != queries.member[:-1])
        which = np.empty(len(codes), dtype=np.intp)
        which[queries.order] = np.cumsum(fresh) - 1
        positions = np.flatnonzero(fresh)
        if self.in_row_order:
            order = np.argsort(queries.members(positions), kind="stable")
            positions, which = positions[order], inverse(order)[which]
        return positions, which

    @cached_property
    def _by_label(self) -> NDArray[np.bool_] | None:
        """Which gallery positions have each of several labels, ``(C, n)``; None if that takes much memory."""
        sets = self.gallery.labels.sets
        if sets.ndim == 1 or sets.shape[1] * len(self.gallery) > _LABEL_ITEMS:
            return None
        return np.repeat(sets.T, np.diff(self.gallery.starts), axis=1)

    def _relevant_columns(self, code: int) -> Columns:
        """Return which gallery positions are relevant to a label set of the queries."""
        labels, starts = self.queries.labels.sets[code], self.gallery.starts
        if self._by_label is not None:
            return np.asarray(self._by_label[labels].any(axis=0))
        relevant: NDArray[np.bool_] = self.gallery.labels.relevant_to(labels)
        chosen = np.flatnonzero(relevant)
        if len(chosen) == 0:
            return slice(0, 0)
        if chosen[-1] - chosen[0] + 1 == len(chosen):
            return slice(int(starts[chosen[0]]), int(starts[chosen[-1] + 1]))
        return np.repeat(relevant, np.diff(starts))
