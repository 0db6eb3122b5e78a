"""The ranking of a gallery by queries: one pass serves every measure.

Per query, all similarities are sorted, and the relevant ones among them are found by bisection. Any
number of measures is then computed from the ranks, so that four protocols cost one ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array
from bench.evaluation.inputs import Indices, Matrix, Vector
from bench.evaluation.measures import Protocol, average_precision_measure
from bench.evaluation.order import CanonicalOrder, inverse
from bench.evaluation.similarity import Block, Side, argsort_ranks, cosine, expanded, scipy_cosine
from bench.evaluation.threads import run_blocks
from bench.evaluation.ties import Measure, Ranks, TieGroups, tie_groups

Columns = slice | Indices

RankBlock = Callable[[Any, Columns], Ranks]
"""Ranks the relevant ``Columns`` of a block of similarities ``(b, n)``, which it may overwrite."""

NO_MEASURES: Mapping[str, Measure] = MappingProxyType({})

_BLOCK_ITEMS = 1 << 21  # similarities held at a time, per thread
_BLOCK_ROWS = 256
_RELEVANT_ITEMS = 1 << 18  # ranks of relevant items held at a time, per thread
_NO_TIES = TieGroups(*(np.empty(0, dtype=np.int64) for _ in TieGroups._fields))


def rank_numpy(block: Array, columns: Columns) -> Ranks:
    """Rank on the CPU; sorts the rows of ``block`` ``(b, n)`` in place."""
    relevant = np.sort(block[:, columns], axis=1)
    block.sort(axis=1)
    n_gallery, n_relevant = block.shape[1], relevant.shape[1]
    end = np.empty(relevant.shape, dtype=np.int64)
    for row in range(len(block)):
        end[row] = block[row].searchsorted(relevant[row], side="right")
    above = n_gallery - end[:, ::-1]
    # The item before the last one that is as similar tells whether there are several.
    tied = (np.take_along_axis(block, end - 2, axis=1) == relevant)[:, ::-1]
    rows, columns_tied = np.nonzero(tied)
    if len(rows) == 0:
        return Ranks(above, _NO_TIES, n_gallery)
    begin = np.empty(len(rows), dtype=np.int64)
    bounds = np.searchsorted(rows, np.arange(len(block) + 1))
    for row in np.unique(rows):
        part = slice(bounds[row], bounds[row + 1])
        begin[part] = block[row].searchsorted(relevant[row, n_relevant - 1 - columns_tied[part]], side="left")
    before = above[rows, columns_tied]
    return Ranks(above, tie_groups(rows, columns_tied, before, n_gallery - before - begin), n_gallery)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Queries that rank a gallery: similarities, relevance and the order of ties; all measures come from it.

    Attributes:
        queries: canonical order of the queries, with their labels.
        gallery: canonical order of the gallery, with its labels.
        similarities: block by block; equal ones are tied.
        sorted_similarities: what the tie rule ``argsort`` sorts.
        rank_block: ranks a block of similarities.
        threads: CPU threads, None for as many as the process may use; the result does not depend on it.
        in_row_order: whether similarities are asked for in the order of the queries' rows, and not label by
            label: for similarities of a method, which must not learn labels from its queries' positions.
    """

    queries: CanonicalOrder
    gallery: CanonicalOrder
    similarities: Block
    sorted_similarities: Block
    rank_block: RankBlock = rank_numpy
    threads: int | None = None
    in_row_order: bool = False

    @classmethod
    def by_cosine(
        cls, queries: Side, gallery: Side, *, threads: int | None = None, device: str | None = None
    ) -> Ranking:
        """Rank embeddings by cosine, on the CPU or on a CUDA ``device`` (its torch name)."""
        orders = queries.order, gallery.order
        on_cpu = expanded(cosine(queries, gallery), *orders)
        ranking = cls(*orders, on_cpu, expanded(scipy_cosine(queries, gallery), *orders), threads=threads)
        if device is None:
            return ranking
        from bench.evaluation.cuda import cosine_on, rank_torch

        return replace(
            ranking, similarities=cosine_on(device, queries, gallery), rank_block=rank_torch, threads=1
        )

    def evaluate(
        self, protocols: Sequence[Protocol], measures: Mapping[str, Measure] = NO_MEASURES
    ) -> tuple[dict[str, Vector], dict[str, Matrix]]:
        """Rank once for all protocols, and once more for those whose ties are in a sort's order.

        Args:
            protocols: to compute average precision by.
            measures: what else to compute, by a name of the caller's choice.

        Returns:
            Protocol id -> average precision per query ``(n_queries,)``, and name -> ``(n_queries, width)``.
        """
        usual = [rule for rule in protocols if rule.ties != "argsort"]
        by_sort = [rule for rule in protocols if rule.ties == "argsort"]
        values = self.measure([*map(average_precision_measure, usual), *measures.values()])
        in_order = replace(
            self,
            similarities=argsort_ranks(self.sorted_similarities, self.gallery),
            rank_block=rank_numpy,
        )
        sort_values = in_order.measure([*map(average_precision_measure, by_sort)])
        rules = zip([*usual, *by_sort], [*values[: len(usual)], *sort_values], strict=True)
        ap = {rule.id: value[:, 0] for rule, value in rules}
        further = dict(zip(measures, values[len(usual) :], strict=True))
        return {rule.id: ap[rule.id] for rule in protocols}, further

    def measure(self, measures: Sequence[Measure]) -> list[Matrix]:
        """Rank the gallery for every query; return ``(n_queries, width)`` per measure, in row order."""
        if not measures:
            return []
        positions, which = self._distinct_queries()
        codes = self.queries.labels.codes[self.queries.order[positions]]
        step = min(_BLOCK_ROWS, max(8, _BLOCK_ITEMS // len(self.gallery)))
        blocks = [slice(i, min(i + step, len(positions))) for i in range(0, len(positions), step)]
        results: list[list[Matrix]] = [[] for _ in blocks]

        def work(block: slice) -> None:
            results[block.start // step] = self._measured(positions[block], codes[block], measures)

        run_blocks(work, blocks, self.threads)
        return [np.concatenate(column)[which] for column in zip(*results, strict=True)]

    def _measured(self, positions: Indices, codes: Indices, measures: Sequence[Measure]) -> list[Matrix]:
        """Rank a block of queries, those with equal labels together."""
        values = self.similarities(positions)
        by_label = np.argsort(codes, kind="stable") if self.in_row_order else None
        if by_label is not None:
            values, codes = values[by_label], codes[by_label]
        parts: list[list[Matrix]] = []
        for start, stop in pairwise([0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]):
            columns = self._relevant_columns(int(codes[start]))
            width = columns.stop - columns.start if isinstance(columns, slice) else len(columns)
            step = max(1, _RELEVANT_ITEMS // max(width, 1))
            for i in range(start, stop, step):
                ranks = self.rank_block(values[i : min(i + step, stop)], columns)
                parts.append([measure(ranks) for measure in measures])
        measured = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return measured if by_label is None else [column[inverse(by_label)] for column in measured]

    def _distinct_queries(self) -> tuple[Indices, Indices]:
        """Return positions of queries that differ in content or label, and which one each query equals."""
        queries = self.queries
        codes = queries.labels.codes[queries.order]
        fresh = np.ones(len(codes), dtype=bool)
        if queries.member is not None:  # equal contents of one label set stand side by side
            fresh[1:] = (codes[1:] != codes[:-1]) | (queries.member[1:] != queries.member[:-1])
        which = np.empty(len(codes), dtype=np.intp)
        which[queries.order] = np.cumsum(fresh) - 1
        positions = np.flatnonzero(fresh)
        if self.in_row_order:
            order = np.argsort(queries.members(positions), kind="stable")
            positions, which = positions[order], inverse(order)[which]
        return positions, which

    def _relevant_columns(self, code: int) -> Columns:
        """Return the gallery positions relevant to a label set of the queries, as a slice where possible."""
        starts = self.gallery.starts
        relevant: NDArray[np.bool_] = self.gallery.labels.relevant_to(self.queries.labels.sets[code])
        chosen = np.flatnonzero(relevant)
        if len(chosen) == 0:
            return slice(0, 0)
        if chosen[-1] - chosen[0] + 1 == len(chosen):
            return slice(int(starts[chosen[0]]), int(starts[chosen[-1] + 1]))
        return np.flatnonzero(np.repeat(relevant, np.diff(starts)))
