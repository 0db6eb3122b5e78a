"""Integers in place of similarities keep every order and every tie."""

from __future__ import annotations

import numpy as np
import pytest

from bench.contract import Array
from bench.evaluation import average_precision_of_similarities
from bench.evaluation.keys import order_keys

EVERY = ["float32", "float64", "longdouble"]


def _hard(dtype: str) -> Array:
    """Return values of all magnitudes and signs, among them both zeros and the least and largest of all."""
    rng, about = np.random.default_rng(0), np.finfo(dtype)
    ends = [about.max, about.tiny, about.smallest_subnormal, 1.0, np.inf, 0.0]
    usual = rng.standard_normal(40).astype(dtype)
    near = np.nextafter(usual, np.array(np.inf, dtype))
    small = usual * about.tiny * 1000
    return np.concatenate([ends, -np.asarray(ends), usual, usual, near, small]).astype(dtype)


@pytest.mark.parametrize("dtype", EVERY)
@pytest.mark.parametrize("limit", [np.inf, 1e30, 2.0, 1e-30])
def test_keys_compare_as_the_similarities_do(dtype: str, limit: float) -> None:
    values = _hard(dtype)
    values = values[np.abs(values) <= limit]
    np.random.default_rng(1).shuffle(values)
    block = np.stack([values, values[::-1], np.zeros_like(values)])
    keys = order_keys(block.copy())
    assert (keys % 2 == 0).all()
    for row, similar in zip(keys, block, strict=True):
        assert (np.less.outer(row, row) == np.greater.outer(similar, similar)).all()


@pytest.mark.parametrize("scale", [1.0, 2.0**100, 2.0**-100])
def test_numbers_of_one_scale_keep_their_memory(scale: float) -> None:
    values = (np.random.default_rng(0).standard_normal((3, 50)) * scale).astype(np.float32)
    assert np.shares_memory(order_keys(values), values)


@pytest.mark.parametrize("dtype", EVERY)
def test_a_masked_item_comes_last_and_moves_no_other(dtype: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((20, 30)).astype(dtype)
    wanted, offered = (rng.integers(0, 3, n) for n in (20, 30))
    masked = np.concatenate([values, np.full((20, 1), -np.inf, dtype)], axis=1)
    without = average_precision_of_similarities(values, wanted, offered)
    found = average_precision_of_similarities(masked, wanted, [*offered.tolist(), 9])
    assert found == pytest.approx(without, abs=1e-15)
