"""The torch ranking gives what the NumPy ranking gives; here on torch's CPU device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.evaluation.inputs import Precision, cuda_device_of, label_sets
from bench.evaluation.measures import (
    STANDARD_PROTOCOLS,
    average_precision_measure,
    interpolated_precision_measure,
    precision_at_measure,
)
from bench.evaluation.ranking import Ranking
from bench.evaluation.similarity import Side, embedded_side

MEASURES = [
    *map(average_precision_measure, STANDARD_PROTOCOLS),
    precision_at_measure([1, 7, 200]),
    interpolated_precision_measure([0.0, 0.35, 1.0]),
]


def _side(rows: NDArray[Any], labels: NDArray[Any], precision: Precision) -> Side:
    return embedded_side(rows, label_sets(labels, len(rows), "labels"), precision, "rows")


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("spread", [2, 1000])  # many ties, none
def test_torch_ranks_as_numpy_does(spread: int, precision: Precision, multi: bool) -> None:
    rng = np.random.default_rng(0)
    queries, gallery = (
        rng.integers(-spread, spread, (70, 6)) + 0.5,
        rng.integers(-spread, spread, (333, 6)) + 0.5,
    )
    if multi:
        wanted, offered = rng.integers(0, 2, (70, 4)), rng.integers(0, 2, (333, 4))
    else:
        wanted, offered = rng.integers(0, 4, 70), rng.integers(0, 4, 333)
    sides = _side(queries, wanted, precision), _side(gallery, offered, precision)
    for ours, theirs in zip(
        Ranking.by_cosine(*sides).measure(MEASURES),
        Ranking.by_cosine(*sides, device="cpu").measure(MEASURES),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-12, rtol=0)


def test_only_tensors_on_an_accelerator_go_there() -> None:
    assert cuda_device_of(np.eye(2), torch.eye(2)) is None
    assert cuda_device_of([[1.0]]) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_on_a_cuda_device_are_ranked_there() -> None:
    from bench.evaluation import average_precision

    rng = np.random.default_rng(0)
    queries, gallery = rng.standard_normal((300, 32)), rng.standard_normal((2000, 32))
    wanted, offered = rng.integers(0, 4, 300), rng.integers(0, 4, 2000)
    there = torch.tensor(queries, device="cuda"), torch.tensor(gallery, device="cuda")
    assert cuda_device_of(*there) == "cuda:0"
    ours = average_precision(*there, wanted, offered, dtype="float64")
    np.testing.assert_allclose(
        ours, average_precision(queries, gallery, wanted, offered, dtype="float64"), atol=1e-12
    )
