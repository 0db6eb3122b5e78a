"""The ranking of a block: neither its sizes nor a cut-off nor the way to its keys can change a value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.contract import Array
from bench.evaluation import Protocol, rank_embeddings
from bench.evaluation.block import _cosine_keys, cosines, rank_numpy
from bench.evaluation.keys import order_keys
from bench.evaluation.similarity import lift_for

CUT = [
    Protocol.parse(name) for name in ("map@3/hits", "map@3/min", "recall@2/class", "precision@3", "ndcg@3")
]


def _products(dtype: str) -> tuple[Array, Array]:
    """Return minus inner products of ordinary rows and the squared norms, as `cosines` takes them."""
    rng = np.random.default_rng(0)
    queries, gallery = (np.rint(rng.standard_normal((n, 8)) * 3).astype(dtype) for n in (6, 400))
    gallery[gallery.any(axis=1) == 0] = 1
    lift = lift_for(8)
    return queries * -lift / 16 @ gallery.T / 16, np.square(gallery / 16).sum(axis=1) * lift * 2.0**60


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("least", [0.0, 1e-30, 1e-12, 1.0])
def test_keys_of_products_compare_as_their_cosines_do(dtype: str, least: float) -> None:
    products, squares = (part.astype(dtype) for part in _products(dtype))
    products[products == 0] = least * lift_for(8)
    similar = cosines(products, squares)
    keys = _cosine_keys(products, squares, np.empty((2, *products.shape), dtype=dtype))
    assert (keys & 1 == 0).all()
    for row, expected in zip(keys, similar, strict=True):
        assert (np.less.outer(row, row) == np.greater.outer(expected, expected)).all()


@pytest.mark.parametrize("values", ["real", "whole", "equal"])
def test_ranks_before_a_cut_off_are_those_of_the_whole_ranking(values: str) -> None:
    rng = np.random.default_rng(0)
    block = rng.standard_normal((50, 90)).astype(np.float32)
    block = {"real": block, "whole": np.rint(block * 2), "equal": block * 0}[values]
    columns = rng.random(90) < 0.2
    k = 5
    whole, cut = rank_numpy(block.copy(), columns), rank_numpy(block.copy(), columns, k)
    np.testing.assert_array_equal(np.minimum(whole.above, k), np.minimum(cut.above, k))
    groups = [ranks.ties.take(np.flatnonzero(ranks.ties.before < k)) for ranks in (whole, cut)]
    for expected, found in zip(*groups, strict=True):
        np.testing.assert_array_equal(expected, found)


@pytest.mark.parametrize("n_labels", [0, 4])
def test_sizes_of_blocks_and_parts_change_no_value(n_labels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    queries, gallery = (np.rint(rng.standard_normal((n, 5)) * 2) for n in (40, 120))
    asked, offered = (rng.integers(0, 3, (n, n_labels) if n_labels else n) for n in (40, 120))
    labels = [labels == 0 if n_labels else labels for labels in (asked, offered)]

    def values() -> dict[str, Any]:
        ranking = rank_embeddings(queries, gallery, *labels, threads=1)
        found = [ranking.evaluate(rules)[0] for rules in ([Protocol.parse("map@all")], CUT)]
        return found[0] | found[1]

    usual = values()
    for module, name, size in (
        ("block", "_PART_ITEMS", 50),
        ("block", "_SETS", 1),
        ("ranking", "_BLOCK_ROWS", 7),
        ("ranking", "_RELEVANT_ITEMS", 90),
        ("ranking", "_LABEL_ITEMS", 0),
    ):
        monkeypatch.setattr(f"bench.evaluation.{module}.{name}", size)
        for rule, column in values().items():
            np.testing.assert_array_equal(column, usual[rule])


def test_more_set_bits_for_a_quick_search_are_not_found() -> None:
    """Shares of relevant items on both sides of the limits from which on bits are added."""
    rng = np.random.default_rng(2)
    block = rng.standard_normal((3, 1000)).astype(np.float32)
    for share in (1, 31, 32, 100, 111, 112, 1000):
        ranks = rank_numpy(block.copy(), slice(0, share))
        order = np.argsort(np.argsort(-block, axis=1), axis=1)
        np.testing.assert_array_equal(ranks.above, np.sort(order[:, :share], axis=1))


def test_keys_of_a_ranked_block_are_sorted() -> None:
    """Ranks by ids are looked up in them."""
    keys = order_keys(np.random.default_rng(0).standard_normal((4, 30)))
    rank_numpy(keys, slice(0, 9))
    assert (keys[:, 1:] >= keys[:, :-1]).all()
