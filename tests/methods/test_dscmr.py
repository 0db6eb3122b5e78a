"""DSCMR: its network, losses, gradients and steps equal the released code's."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from bench.training import Batch, Clock, adam
from methods.dscmr import DSCMR, DSCMRSettings, Network
from tests.methods.golden import Golden, assert_gradients, gradients, layers, leaves
from tests.methods.small_splits import fitted, separable

RELEASE = DSCMRSettings(faithful_to="release")
SMALL = DSCMRSettings(epochs=2, batch_size=7, hidden=(8,), dim=5, lr=1e-2)
LAYERS = {
    "own.0.0": "img_net_denseL1",
    "own.1.0": "text_net_denseL1",
    "shared": "linearLayer",
    "classifier": "linearLayer2",
}


def state(numbers: Golden, prefix: str) -> dict[str, Tensor]:
    return layers(numbers, {layer: f"{prefix}_{name}" for layer, name in LAYERS.items()})


def loss(z1: Tensor, z2: Tensor, p1: Tensor, p2: Tensor, y: Tensor, settings: DSCMRSettings) -> Any:
    """Return the method's loss of embeddings for which its classifier gives ``p1`` and ``p2``."""
    method, predictions = DSCMR(settings), iter((p1, p2))
    method.net = SimpleNamespace(classifier=lambda _: next(predictions))  # type: ignore[assignment]
    batch = Batch({}, {"image": y, "text": y}, {})
    return method.loss({"image": z1, "text": z2}, batch, Clock(1, 1, 0, 1))


@pytest.mark.parametrize("kind", ["onehot", "multihot"])
def test_loss_its_parts_and_gradients_equal_the_releases(numbers: Golden, kind: str) -> None:
    names = ("z1", "z2", "pred1", "pred2")
    inputs = z1, z2, p1, p2 = leaves(numbers, *names)
    parts = loss(z1, z2, p1, p2, torch.tensor(numbers[f"labels_{kind}"]), RELEASE)
    for part, key in (("loss", "total"), ("J1", "J1"), ("J2", "J2"), ("J3", "J3")):
        assert_allclose(parts[part].item(), numbers[f"{kind}_{key}"], rtol=1e-8)
    assert_gradients(parts["loss"], inputs, [numbers[f"{kind}_grad_{name}"] for name in names])


def test_shared_labels_count_once_unless_the_release_is_followed() -> None:
    y = torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    z, p = torch.randn(2, 3), torch.randn(2, 2)
    paper = loss(z, z, p, p, y, DSCMRSettings())["J2"]
    one_hot = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert_allclose(paper, loss(z, z, p, p, one_hot, DSCMRSettings())["J2"])
    assert not torch.isclose(paper, loss(z, z, p, p, y, RELEASE)["J2"])


def test_equal_pairs_have_a_finite_gradient() -> None:
    z, p, y = torch.ones(2, 3, requires_grad=True), torch.eye(2, requires_grad=True), torch.eye(2)
    total = loss(z, z.clone(), p, p, y, DSCMRSettings())["loss"]
    assert all(torch.isfinite(slope).all() for slope in gradients(total, [z, p]))


def test_network_and_adam_steps_equal_the_releases(numbers: Golden) -> None:
    settings = replace(RELEASE, hidden=(12,), dim=8)
    net = Network({"image": 14, "text": 10}, 6, settings)
    net.load_state_dict(state(numbers, "net_init"))
    x1, x2 = torch.tensor(numbers["net_x1"]), torch.tensor(numbers["net_x2"])
    y = torch.tensor(numbers["labels_onehot"], dtype=torch.float32)
    optimiser = adam(net.parameters(), float(numbers["net_adam_lr"]))
    for step in range(3):
        z1, z2 = net("image", x1), net("text", x2)
        p1, p2 = net.classifier(z1), net.classifier(z2)
        if step == 0:
            for name, value in zip(("z1", "z2", "pred1", "pred2"), (z1, z2, p1, p2), strict=True):
                assert_allclose(value.detach(), numbers[f"net_out_{name}"], rtol=1e-4, atol=1e-5)
        total = loss(z1, z2, p1, p2, y, settings)["loss"]
        assert_allclose(total.item(), numbers["net_adam_losses"][step], rtol=1e-4)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    for key, value in state(numbers, "net_final").items():
        assert_allclose(net.state_dict()[key], value, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize(("size", "same"), [(7, False), (100, True)])
def test_release_keeps_the_order_of_the_pairs(size: int, same: bool) -> None:
    split = separable({"image": 20, "text": 20}, pairing="natural")
    settings = replace(SMALL, batch_size=size)
    paper, release = (
        fitted(DSCMR(one), split).embed("image", split["image"].features)
        for one in (settings, replace(settings, faithful_to="release"))
    )
    assert np.allclose(paper, release, atol=1e-5) == same


def test_several_hidden_layers_may_be_set() -> None:
    net = Network({"a": 3, "b": 4}, 2, replace(SMALL, hidden=(7, 6)))
    assert net("b", torch.zeros(2, 4)).shape == (2, 5)
