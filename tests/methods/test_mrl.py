"""MRL: its losses and gradients equal the released code's, for two and three modalities."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from bench.contract import Context
from bench.training import Batch, Clock, multimodal_contrast, robust_clustering
from methods.mrl import MRL, MRLSettings
from tests.methods.golden import Golden, golden, gradients, leaves
from tests.methods.small_splits import separable

SMALL = MRLSettings(epochs=3, batch_size=7, hidden=(8,), dim=5, lr=1e-2)


@pytest.fixture(scope="module")
def numbers() -> Golden:
    return golden("mrl")


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
    parts = loss(views, targets, centres, MRLSettings(beta=float(numbers["beta"]), tau=tau))
    assert_allclose(parts["loss"].item(), numbers[f"{key}_total_beta05"], rtol=1e-8)
    other = loss(views, targets, centres, MRLSettings(beta=0.9, tau=tau))["loss"]
    assert_allclose(other.item(), numbers[f"{key}_total_beta09"], rtol=1e-8)
    for name, value in zip([*names, "centres"], gradients(parts["loss"], [*views, centres]), strict=True):
        assert_allclose(value, numbers[f"{key}_grad_{name}"], rtol=1e-7, atol=1e-12)
    contrast = multimodal_contrast(views, tau)
    assert_allclose(contrast.item(), numbers[f"{key}_MC"], rtol=1e-8)
    for name, value in zip(names, gradients(contrast, views), strict=True):
        assert_allclose(value, numbers[f"{key}_grad_MC_{name}"], rtol=1e-7, atol=1e-12)


def loss(views: list[Tensor], targets: list[Tensor], centres: Tensor, settings: MRLSettings) -> Any:
    """Return the method's loss of embeddings, with these centres."""
    method = MRL(settings)
    method.centres = SimpleNamespace(weight=centres)  # type: ignore[assignment]
    named = [{str(v): rows for v, rows in enumerate(values)} for values in (views, targets)]
    return method.loss(named[0], Batch({}, named[1], {}), Clock(1, 1, 0, 1))


def test_centres_are_used_at_length_one(numbers: Golden) -> None:
    raw = torch.tensor(numbers["centres_raw"])
    assert_allclose(raw / raw.norm(dim=0), numbers["centres_unit"], rtol=1e-12)


def test_every_modality_counts_among_three() -> None:
    rows = dict.fromkeys(("image", "text", "audio"), 20)
    split, context = separable(rows, pairing="natural"), Context(scope=("small",))
    MRL(SMALL).fit(split, split, context)
    assert {f"validation_map/{a}>{b}" for a in rows for b in rows if a != b} <= set(context.trace.rows[0])


def test_clustering_and_contrast_both_matter() -> None:
    split = separable({"image": 20, "text": 20}, pairing="natural")
    embeddings = []
    for beta in (0.0, 0.5, 1.0):
        method = MRL(replace(SMALL, beta=beta))
        method.fit(split, split, Context(scope=("small",)))
        embeddings.append(torch.from_numpy(method.embed("image", split["image"].features)))
    assert not torch.allclose(embeddings[0], embeddings[1])
    assert not torch.allclose(embeddings[1], embeddings[2])
