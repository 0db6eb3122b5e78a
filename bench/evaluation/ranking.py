"""The kernel: one pass over the similarities gives every relevant item's place in the ranking.

Per query, all similarities are sorted, and the relevant ones among them are found by bisection. Any
number of measures is then computed from the places, so that four protocols cost one ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array
from bench.evaluation.arrays import Indices, Matrix
from bench.evaluation.order import Arrangement, inverse
from bench.evaluation.similarity import Similarities
from bench.evaluation.threads import run_blocks
from bench.evaluation.ties import NO_TIES, TieGroups, tie_groups

Counts = NDArray[np.int64]
Columns = slice | Indices

_BLOCK_ITEMS = 1 << 21  # similarities held at a time, per thread
_BLOCK_ROWS = 256
_RELEVANT_ITEMS = 1 << 18  # places of relevant items held at a time, per thread


class Ranks(NamedTuple):
    """Where the R relevant items of b queries stand, best first.

    Attributes:
        above: ``(b, R)`` how many gallery items are strictly more similar; never falls along a row.
        ties: groups of equally similar items among which there are relevant ones.
        n_gallery: number of gallery items n.
    """

    above: Counts
    ties: TieGroups
    n_gallery: int


Measure = Callable[[Ranks], Matrix]
"""Turns ranks into numbers: ``(b, width)``."""

RankBlock = Callable[[Any, Columns], Ranks]
"""Ranks the relevant ``Columns`` of a block of similarities ``(b, n)``, which it may overwrite."""


@dataclass(frozen=True, eq=False)
class _Queries:
    """Queries that differ in content or label; others share their result.

    Attributes:
        places: ``(u,)`` place of each.
        codes: ``(u,)`` label set of each; ascending unless they are in the order of their rows.
        which: ``(n,)`` for every original row, whose result it takes.
    """

    places: Indices
    codes: Indices
    which: Indices


def measure_rankings(
    similarities: Similarities,
    queries: Arrangement,
    gallery: Arrangement,
    measures: Sequence[Measure],
    *,
    rank: RankBlock | None = None,
    threads: int | None = None,
    in_row_order: bool = False,
) -> list[Matrix]:
    """Rank the gallery for every query and apply each measure.

    Args:
        similarities: of the queries with the gallery.
        queries: arrangement of the queries.
        gallery: arrangement of the gallery.
        measures: to apply to each query's ranks.
        rank: ranks a block; None for `rank_numpy`.
        threads: CPU threads; the result does not depend on it.
        in_row_order: whether similarities are asked for in the order of the queries' rows, and not label by
            label: for similarities of a method, which must not learn labels from its queries' positions.

    Returns:
        Per measure, ``(n_queries, width)`` in the caller's order of queries.
    """
    distinct = _distinct_queries(queries, in_row_order)
    sizes = np.diff(gallery.starts)
    n_queries, n_gallery = len(distinct.places), len(gallery)
    step = min(_BLOCK_ROWS, max(8, _BLOCK_ITEMS // n_gallery))
    blocks = [slice(start, min(start + step, n_queries)) for start in range(0, n_queries, step)]
    results: list[list[Matrix]] = [[] for _ in blocks]
    rank_block = rank or rank_numpy

    def work(block: slice) -> None:
        """Rank one block of queries, those with equal labels together, and keep what is measured."""
        values, codes = similarities.block(distinct.places[block]), distinct.codes[block]
        by_label = np.argsort(codes, kind="stable") if in_row_order else None
        if by_label is not None:
            values, codes = values[by_label], codes[by_label]
        parts: list[list[Matrix]] = []
        for code, rows in _runs(codes):
            columns = _columns(gallery.labels.relevant_to(queries.labels.sets[code]), gallery.starts, sizes)
            for chunk in _chunks(rows, _width(columns)):
                ranks = rank_block(values[chunk], columns)
                parts.append([measure(ranks) for measure in measures])
        measured = [np.concatenate(column) for column in zip(*parts, strict=True)]
        if by_label is not None:
            measured = [column[inverse(by_label)] for column in measured]
        results[block.start // step] = measured

    run_blocks(work, blocks, threads)
    return [np.concatenate(column)[distinct.which] for column in zip(*results, strict=True)]


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
        return Ranks(above, NO_TIES, n_gallery)
    begin = np.empty(len(rows), dtype=np.int64)
    bounds = np.searchsorted(rows, np.arange(len(block) + 1))
    for row in np.unique(rows):
        part = slice(bounds[row], bounds[row + 1])
        begin[part] = block[row].searchsorted(relevant[row, n_relevant - 1 - columns_tied[part]], side="left")
    places = above[rows, columns_tied]
    return Ranks(above, tie_groups(rows, columns_tied, places, n_gallery - places - begin), n_gallery)


def _distinct_queries(queries: Arrangement, in_row_order: bool) -> _Queries:
    codes = queries.labels.codes[queries.order]
    fresh = np.ones(len(codes), dtype=bool)
    if queries.member is not None:  # equal contents of one label set stand side by side
        fresh[1:] = (codes[1:] != codes[:-1]) | (queries.member[1:] != queries.member[:-1])
    which = np.empty(len(codes), dtype=np.intp)
    which[queries.order] = np.cumsum(fresh) - 1
    places = np.flatnonzero(fresh)
    if in_row_order:
        order = np.argsort(queries.members(places), kind="stable")
        places, which = places[order], inverse(order)[which]
    return _Queries(places, codes[places], which)


def _runs(codes: Indices) -> Iterator[tuple[int, slice]]:
    """Yield each label set and the rows that have it."""
    bounds = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    for start, stop in pairwise(bounds):
        yield int(codes[start]), slice(start, stop)


def _chunks(rows: slice, width: int) -> Iterator[slice]:
    step = max(1, _RELEVANT_ITEMS // max(width, 1))
    for start in range(rows.start, rows.stop, step):
        yield slice(start, min(start + step, rows.stop))


def _columns(relevant: NDArray[np.bool_], starts: Indices, sizes: Indices) -> Columns:
    """Return the gallery places of the relevant label sets, as a slice where they are neighbours."""
    chosen = np.flatnonzero(relevant)
    if len(chosen) == 0:
        return slice(0, 0)
    if chosen[-1] - chosen[0] + 1 == len(chosen):
        return slice(int(starts[chosen[0]]), int(starts[chosen[-1] + 1]))
    return np.flatnonzero(np.repeat(relevant, sizes))


def _width(columns: Columns) -> int:
    return columns.stop - columns.start if isinstance(columns, slice) else len(columns)
