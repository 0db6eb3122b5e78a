"""The ranking of a gallery on a torch device: similarities, sorting, ties and measures.

One number per query and protocol comes back.

Every rank j of a query's ranking has an expected relevance: r / t in a group of t tied items of which r are
relevant. Measures that are linear in the relevance of ranks follow from it, average precision with

    sum_j  r/t * (h + 1 + (j - p) (r - 1) / (t - 1)) / (j + 1)

where p items with h hits come before the group of rank j (from 0): the expectation of
`bench.evaluation.ties.precision_sum`, rank by rank. A group across a cut-off where hits are counted goes to
NumPy; the other values that are not linear (such as reciprocals of a first rank among several) are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from bench.contract import Similarity
from bench.evaluation.device_side import DeviceSide, check_on_device, scale_of, similarities
from bench.evaluation.inputs import LabelSets, Vector, check_widths, to_array
from bench.evaluation.measures import straddling
from bench.evaluation.protocols import STANDARD_PROTOCOLS, Level, Protocol
from bench.evaluation.ties import Columns, Counts, Ranks, TieGroups, tie_groups

_BLOCK_NUMBERS = 1 << 23
"""Similarities that are ranked at a time; what is made of them takes about 60 bytes each, .5 GB."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rankings of b queries over n items: relevance by rank, and the group of tied items at each rank."""

    relevant: Tensor  # ``(b, n)`` whether the item at each rank is relevant
    before: Tensor  # ``(b, n)`` p, items before the group
    size: Tensor  # ``(b, n)`` t, items in the group
    hits: Tensor  # ``(b, n)`` h, relevant items before the group
    inside: Tensor  # ``(b, n)`` r, relevant items in the group

    @classmethod
    def of(cls, groups: Groups, relevant: Tensor) -> Ranked:
        """Return the rankings of items that were grouped by similarity, relevant as given by rank."""
        upto = relevant.cumsum(dim=1, dtype=torch.int32)
        hits = torch.where(groups.before > 0, upto.gather(1, (groups.before - 1).clamp_min(0).long()), 0)
        inside = upto.gather(1, (groups.before + groups.size - 1).long()) - hits
        return cls(relevant, groups.before, groups.size, hits, inside)

    @property
    def n(self) -> int:
        """Number of items."""
        return self.relevant.shape[1]

    @cached_property
    def total(self) -> Tensor:
        """R ``(b,)``, relevant items."""
        return self.relevant.sum(dim=1)

    @cached_property
    def ranks(self) -> Tensor:
        """The ranks 1 to n ``(n,)``, in float64."""
        return torch.arange(1, self.n + 1, dtype=torch.float64, device=self.relevant.device)

    @cached_property
    def expected(self) -> Tensor:
        """The chance r / t that the item at a rank is relevant, ``(b, n)``."""
        return self.inside.double() / self.size

    @cached_property
    def precision(self) -> Tensor:
        """Expected precision at each rank where the item there is relevant, 0 elsewhere, ``(b, n)``."""
        offset = self.ranks - 1 - self.before
        others = (self.inside - 1) / (self.size - 1).clamp_min(1).double()
        return self.expected * (self.hits + 1 + offset * others) / self.ranks

    @property
    def undecided(self) -> Tensor:
        """Whether some but not all items of the group are relevant, ``(b, n)``."""
        return (self.inside > 0) & (self.inside < self.size)

    def crossed(self, k: int) -> Tensor:
        """Whether an undecided group has ranks on either side of the cut-off k, ``(b,)``."""
        if k >= self.n:
            return torch.zeros_like(self.total, dtype=torch.bool)
        return self.undecided[:, k - 1] & (self.before[:, k - 1] == self.before[:, k])


@dataclass(frozen=True, eq=False)
class Groups:
    """Tied items of b rankings of n items."""

    index: Tensor  # ``(b, n)`` gallery position at each rank; among tied items in any order
    before: Tensor  # ``(b, n)`` items before the group of each rank
    size: Tensor  # ``(b, n)`` items in that group

    @classmethod
    def of(cls, values: Tensor) -> Groups:
        """Sort similarities ``(b, n)``, the highest first."""
        ordered, index = values.sort(dim=1, descending=True)
        fresh = torch.ones_like(ordered, dtype=torch.bool)
        fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        del ordered
        starts = fresh.flatten().nonzero().squeeze(1)  # of all rows one after the other: a row begins a group
        ends = torch.cat([starts[1:], starts.new_tensor([fresh.numel()])])
        group = (fresh.flatten().cumsum(dim=0, dtype=torch.int32) - 1).view_as(fresh)
        before, size = (starts % fresh.shape[1]).int(), (ends - starts).int()
        return cls(index, before[group], size[group])


Values = tuple[Tensor, Tensor]
"""Numbers ``(b,)`` in float64, and which of them ``(b,)`` are not valid, as ties make them non-linear."""


def evaluate_on_device(
    queries: DeviceSide, gallery: DeviceSide, protocols: Sequence[Protocol]
) -> dict[str, Vector]:
    """Rank the gallery for every query; return protocol id -> value ``(n_queries,)`` of the queries' rows.

    Protocols are left out that need another order of ties than the expectation, graded relevance, ids where
    a side has none, or a value that ties make non-linear for a query.
    """
    has_ids = queries.ids is not None and gallery.ids is not None
    rules = [
        rule
        for rule in protocols
        if rule.ties == "expected"
        and (rule.measure != "ndcg" or queries.labels.sets.ndim == 1)
        and (rule.level == "class" or has_ids)
    ]
    if not rules:
        return {}
    by_id = any(rule.level == "instance" for rule in rules)
    positions, which = _distinct(queries, every=by_id)
    found: list[list[Values]] = [[] for _ in rules]
    relevance = {level: _relevance(queries, gallery, level) for level in {rule.level for rule in rules}}
    compare = similarities(queries, gallery)
    for block in torch.split(positions, max(1, _BLOCK_NUMBERS // len(gallery))):
        groups = Groups.of(compare(block))
        ranked = {level: Ranked.of(groups, relevant(block, groups)) for level, relevant in relevance.items()}
        for column, rule in zip(found, rules, strict=True):
            column.append(measured(ranked[rule.level], rule))
    values: dict[str, Vector] = {}
    for rule, column in zip(rules, found, strict=True):
        numbers, unknown = (torch.cat(parts) for parts in zip(*column, strict=True))
        if not bool(unknown.any()):
            in_order = torch.empty_like(numbers[which])
            in_order[queries.order] = numbers[which]
            values[rule.id] = to_array(in_order)
    return values


def device_maps(
    embeddings: Mapping[str, Tensor], labels: Mapping[str, LabelSets], similarity: Similarity
) -> dict[str, float]:
    """Return the mAP@all of every direction, such as ``{"image>text": .54}``, of embeddings on a device.

    ``embeddings`` ``(n, d)`` and the ``labels`` of their rows are given by modality.

    Raises:
        RefusedEmbeddings: as `bench.evaluation.check_embeddings`, or for unequal widths.
    """
    for name, rows in embeddings.items():
        check_on_device(name, rows, similarity)
    check_widths({name: int(rows.shape[1]) for name, rows in embeddings.items()})
    scale, rule = scale_of(similarity, list(embeddings.values())), STANDARD_PROTOCOLS[0]
    sides = {name: DeviceSide.of_rows(rows, labels[name], scale) for name, rows in embeddings.items()}
    return {
        f"{a}>{b}": rule.aggregate(evaluate_on_device(sides[a], sides[b], [rule])[rule.id])
        for a, b in permutations(sides, 2)
    }


def measured(ranked: Ranked, rule: Protocol) -> Values:
    """Return the values of a protocol whose ties are expectations."""
    values, unknown = _MEASURES[rule.measure](ranked, rule)
    if rule.bounded:
        values = values.clamp_max(1.0)  # a rounding error may exceed it
    nothing = ranked.total == 0
    empty = float("nan") if rule.empty == "skip" else 0.0 if rule.bounded else ranked.n + 1.0
    return torch.where(nothing, empty, values), unknown & ~nothing


def _distinct(queries: DeviceSide, *, every: bool) -> tuple[Tensor, Tensor]:
    """Return positions of queries that differ in content or label, and which of these each position equals.

    With ``every`` all are taken for different, as where their ids count.
    """
    fresh = torch.ones_like(queries.codes, dtype=torch.bool)
    if queries.member is not None and not every:
        fresh[1:] = (queries.codes[1:] != queries.codes[:-1]) | (queries.member[1:] != queries.member[:-1])
    return fresh.nonzero().squeeze(1), fresh.cumsum(dim=0) - 1


def _relevance(queries: DeviceSide, gallery: DeviceSide, level: Level) -> Callable[[Tensor, Groups], Tensor]:
    """Return the function of whether items ``(b, n)`` are relevant to a block of queries, by rank."""
    if level == "instance":
        of_queries, of_items = queries.ids, gallery.ids
        assert of_queries is not None
        assert of_items is not None
        return lambda block, groups: of_items[groups.index] == of_queries[block][:, None]
    sets = queries.labels.sets, gallery.labels.sets
    single, classes = sets[0].ndim == 1, np.unique(np.concatenate(sets))
    asked, offered = (
        torch.as_tensor(
            np.searchsorted(classes, one) if single else one.astype(np.float32), device=queries.rows.device
        )
        for one in sets
    )

    def shared(block: Tensor, groups: Groups) -> Tensor:
        labels = asked[queries.codes[block]]
        of_sets = labels[:, None] == offered if single else labels @ offered.T > 0  # (b, g)
        return of_sets[:, gallery.codes].gather(1, groups.index)

    return shared


def rank_torch(block: Tensor, columns: Columns) -> Ranks:
    """Rank with torch, for measures that NumPy computes; see `bench.evaluation.block.rank_numpy`."""
    chosen = columns if isinstance(columns, slice) else torch.as_tensor(columns, device=block.device)
    relevant = block[:, chosen].sort(dim=1).values
    everything = block.sort(dim=1).values
    end = torch.searchsorted(everything, relevant, right=True)
    start = torch.searchsorted(everything, relevant, right=False)
    above = (block.shape[1] - end).flip(1)
    size = (end - start).flip(1)
    row, column = torch.nonzero(size > 1, as_tuple=True)

    def counts(values: Tensor) -> Counts:
        return np.asarray(values.cpu().numpy(), dtype=np.int64)

    tied = tie_groups(*map(counts, (row, column, above[row, column], size[row, column])))
    return Ranks(counts(above), tied, block.shape[1])


def _cutoff(ranked: Ranked, rule: Protocol) -> int:
    return ranked.n if rule.k is None else min(rule.k, ranked.n)


def _average_precision(ranked: Ranked, rule: Protocol) -> Values:
    if rule.denominator == "first":
        return _first_precision(ranked, rule)
    k = _cutoff(ranked, rule)
    total = ranked.precision[:, :k].sum(dim=1)
    if rule.denominator != "hits":
        limit = ranked.total.clamp_max(k) if rule.denominator == "min" else ranked.total
        return total / limit, torch.zeros_like(ranked.total, dtype=torch.bool)
    hits = ranked.expected[:, :k].sum(dim=1)  # whole, unless a group crosses the cut-off
    empty = 0.0 if rule.empty == "zero" else float("nan")
    values = torch.where(hits > 0, total / hits.round().clamp_min(1), empty)
    if k < ranked.n and len(rows := ranked.crossed(k).nonzero().squeeze(1)):
        columns = ranked.hits, ranked.inside, ranked.before, ranked.size
        groups = TieGroups(np.arange(len(rows)), *(to_array(column[rows, k - 1]) for column in columns))
        earlier = ranked.ranks <= ranked.before[rows, k - 1][:, None]
        totals = to_array((ranked.precision[rows] * earlier).sum(dim=1)).tolist()
        n_relevant = to_array(ranked.total[rows]).tolist()
        found = [straddling(groups, g, totals[g], n_relevant[g], k, rule) for g in range(len(rows))]
        values[rows] = ranked.ranks.new_tensor(found)
    return values, torch.zeros_like(ranked.total, dtype=torch.bool)


def _first_precision(ranked: Ranked, rule: Protocol) -> Values:
    """Return the mean precision at the first min(k, R) relevant items."""
    count = ranked.total.clamp_max(rule.k or ranked.n)[:, None]
    number = ranked.hits + (ranked.ranks - ranked.before)  # of a hit, where all of its group are hits
    counted = torch.where(ranked.inside == ranked.size, number <= count, ranked.hits + ranked.inside <= count)
    over = ranked.undecided & (ranked.hits < count) & (ranked.hits + ranked.inside > count)
    return (ranked.precision * counted).sum(dim=1) / count[:, 0], over.any(dim=1)


def _precision(ranked: Ranked, rule: Protocol) -> Values:
    k = _cutoff(ranked, rule)
    hits = ranked.expected[:, :k].sum(dim=1)
    return hits / (rule.k or k), torch.zeros_like(ranked.total, dtype=torch.bool)


def _recall(ranked: Ranked, rule: Protocol) -> Values:
    k = _cutoff(ranked, rule)
    hits = ranked.expected[:, :k].sum(dim=1)
    if rule.level == "class":
        return hits / ranked.total, torch.zeros_like(ranked.total, dtype=torch.bool)
    unknown = ranked.crossed(k) & (ranked.hits[:, k - 1] == 0)
    return (hits > 0).double(), unknown


def _ndcg(ranked: Ranked, rule: Protocol) -> Values:
    k = _cutoff(ranked, rule)
    discount = 1.0 / torch.log2(ranked.ranks[:k] + 1)
    best = torch.where(ranked.ranks[:k] <= ranked.total[:, None], discount, 0.0).sum(dim=1)
    return (ranked.expected[:, :k] * discount).sum(dim=1) / best, torch.zeros_like(best, dtype=torch.bool)


def _reciprocal_rank(ranked: Ranked, _: Protocol) -> Values:
    p, t, r = _first_group(ranked)
    here = (ranked.before == p[:, None]).double()
    several = (here / ranked.ranks).sum(dim=1) / t  # one of t ranks, each as likely
    return torch.where(r == t, 1.0 / (p + 1), several), (r > 1) & (r < t)


def _first_rank(ranked: Ranked, _: Protocol) -> Values:
    p, t, r = _first_group(ranked)
    return p + (t + 1) / (r + 1), torch.zeros_like(r, dtype=torch.bool)


def _first_group(ranked: Ranked) -> tuple[Tensor, Tensor, Tensor]:
    """Return p, t and r ``(b,)`` of the first group with a relevant item, of any where there is none."""
    first = (ranked.inside > 0).to(torch.uint8).argmax(dim=1, keepdim=True)
    columns = ranked.before, ranked.size, ranked.inside
    p, t, r = (column.gather(1, first)[:, 0].double() for column in columns)
    return p, t, r


_MEASURES: dict[str, Callable[[Ranked, Protocol], Values]] = {
    "map": _average_precision,
    "recall": _recall,
    "precision": _precision,
    "ndcg": _ndcg,
    "mrr": _reciprocal_rank,
    "medr": _first_rank,
    "meanr": _first_rank,
}
