"""The torch ranking gives what the NumPy ranking gives; here on torch's CPU device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.contract import Modality, Split
from bench.evaluation import STANDARD_PROTOCOLS, Precision, Ranking, average_precision, validation_map
from bench.evaluation.device_side import DeviceSide
from bench.evaluation.inputs import cuda_device_of
from bench.evaluation.measures import (
    average_precision_measure,
    interpolated_precision_measure,
    precision_at_measure,
)
from bench.evaluation.similarity import Side
from tests.evaluation.samples import AsGiven, side

MEASURES = [
    *map(average_precision_measure, STANDARD_PROTOCOLS),
    precision_at_measure([1, 7, 200]),
    interpolated_precision_measure([0.0, 0.35, 1.0]),
]


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("spread", [2, 1000])  # many ties, none
def test_torch_ranks_as_numpy_does(spread: int, precision: Precision, multi: bool) -> None:
    rng = np.random.default_rng(0)
    sides = []
    for n in (70, 333):
        rows = rng.integers(-spread, spread, (n, 6)) + 0.5
        rows[rng.random(n) < 0.1] = 0
        sides.append(side(rows, rng.integers(0, 2, (n, 4)) if multi else rng.integers(0, 4, n), precision))
    by_numpy, by_torch = (Ranking.of_sides(*sides, device=one).measure(MEASURES) for one in (None, "cpu"))
    for ours, theirs in zip(by_numpy, by_torch, strict=True):
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours, theirs, atol=1e-12, rtol=0)


def test_validation_on_a_gpu_is_ranked_there(monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[str] = []
    of_side = DeviceSide.of_side

    def on_cpu(side: Side, device: str) -> DeviceSide:
        devices.append(device)
        return of_side(side, "cpu")

    monkeypatch.setattr(DeviceSide, "of_side", on_cpu)
    rng = np.random.default_rng(0)
    parts = {name: Modality(rng.standard_normal((50, 4)), np.arange(50) % 3) for name in ("image", "text")}
    here = validation_map(AsGiven(), Split(parts, 3))
    assert devices == []
    assert validation_map(AsGiven(), Split(parts, 3), device="cuda:0") == pytest.approx(here, abs=1e-12)
    assert devices == ["cuda:0"] * 4  # two sides of two directions
    assert cuda_device_of(np.eye(2), torch.eye(2)) is cuda_device_of([[1.0]]) is None


@pytest.mark.cuda
def test_tensors_on_a_cuda_device_are_ranked_there() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = rng.standard_normal((300, 32)), rng.standard_normal((2000, 32))
    labels = rng.integers(0, 4, 300), rng.integers(0, 4, 2000)
    there = torch.tensor(queries, device="cuda"), torch.tensor(gallery, device="cuda")
    assert cuda_device_of(*there) == "cuda:0"
    here = average_precision(queries, gallery, *labels, dtype="float64")
    np.testing.assert_allclose(average_precision(*there, *labels, dtype="float64"), here, atol=1e-12)
