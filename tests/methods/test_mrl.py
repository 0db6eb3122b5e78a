"""MRL: its losses and gradients equal the released code's, for two and three modalities."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from bench.training import Batch, Clock, multimodal_contrast, robust_clustering
from methods.mrl import MRL, MRLSettings
from tests.methods.golden import Golden, assert_gradients, leaves


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(("prefix", "tau"), [("tau1", 1.0), ("tau022", 0.22)])
def test_losses_and_gradients_equal_the_releases(
    numbers: Golden, prefix: str, tau: float, count: int
) -> None:
    key, names = f"{prefix}_V{count}", [f"z{v}" for v in range(count)]
    *views, centres = leaves(numbers, *names, "centres_unit")
    targets = [torch.eye(6, dtype=torch.float64)[torch.tensor(numbers[f"label_v{v}"])] for v in range(count)]
    clustering = [robust_clustering(z @ centres / tau, y) for z, y in zip(views, targets, strict=True)]
    assert_allclose([rc.item() for rc in clustering], numbers[f"{key}_RC_per_view"], rtol=1e-8)
    total = loss(views, targets, centres, MRLSettings(beta=float(numbers["beta"]), tau=tau))
    other = loss(views, targets, centres, MRLSettings(beta=0.9, tau=tau))
    contrast = multimodal_contrast(views, tau)
    for value, name in ((total, "total_beta05"), (other, "total_beta09"), (contrast, "MC")):
        assert_allclose(value.item(), numbers[f"{key}_{name}"], rtol=1e-8)
    slopes = [numbers[f"{key}_grad_{name}"] for name in (*names, "centres")]
    assert_gradients(total, [*views, centres], slopes)
    assert_gradients(contrast, views, [numbers[f"{key}_grad_MC_{name}"] for name in names])


def loss(views: list[Tensor], targets: list[Tensor], centres: Tensor, settings: MRLSettings) -> Any:
    """Return the method's loss of embeddings, with these centres."""
    method = MRL(settings)
    method.centres = SimpleNamespace(weight=centres)  # type: ignore[assignment]
    z, y = ({str(v): rows for v, rows in enumerate(values)} for values in (views, targets))
    parts = method.loss(z, Batch({}, y, {}), Clock(1, 1, 0, 1))
    return parts["loss"] if isinstance(parts, dict) else parts
