"""How methods stand over datasets: all tests of one block, each computed once."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analysis.across import Block
from bench.analysis.practical import Belief, signed_rank_beliefs
from bench.analysis.queries import Array
from bench.analysis.ranking import Omnibus, critical_difference, nemenyi, omnibus, ranks, wilcoxon_against


@dataclass(frozen=True)
class Against:
    """The reference against one other method.

    Attributes:
        wilcoxon: two-sided p-value of the signed-rank test.
        adjusted: the same after Holm over all other methods.
        nemenyi: p-value among all pairs.
        belief: what to believe, given a region of practical equivalence.
    """

    wilcoxon: float
    adjusted: float
    nemenyi: float
    belief: Belief


@dataclass(frozen=True)
class Standing:
    """What tests say of a block with at least two methods and two datasets.

    Attributes:
        block: the scores.
        average_ranks: ``(methods,)``, 1 is best.
        omnibus: whether any method differs; None for two methods.
        critical_difference: of average ranks, after Nemenyi.
        nemenyi: p-values of all pairs ``(methods, methods)``.
        against: by method, how the reference stands to it; empty without a reference.
    """

    block: Block
    average_ranks: Array
    omnibus: Omnibus | None
    critical_difference: float
    nemenyi: Array
    against: dict[str, Against]


def standing_of(block: Block) -> Standing | None:
    """Return all tests of a block; None where it has fewer than two methods or datasets."""
    methods, datasets = block.scores.shape
    if methods < 2 or datasets < 2:
        return None
    pairwise = nemenyi(block.scores)
    return Standing(
        block=block,
        average_ranks=ranks(block.scores).mean(axis=1),
        omnibus=omnibus(block.scores),
        critical_difference=critical_difference(methods, datasets),
        nemenyi=pairwise,
        against=_against(block, pairwise) if block.reference else {},
    )


def _against(block: Block, pairwise: Array) -> dict[str, Against]:
    place = block.methods.index(block.reference)
    others = [number for number in range(len(block.methods)) if number != place]
    p_values, adjusted = wilcoxon_against(block.scores, place)
    beliefs = signed_rank_beliefs(block.scores[place], block.scores[others])
    return {
        block.methods[other]: Against(float(p), float(holm), float(pairwise[place, other]), belief)
        for other, p, holm, belief in zip(others, p_values, adjusted, beliefs, strict=True)
    }
