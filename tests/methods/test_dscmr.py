"""DSCMR: its network, losses, gradients and steps equal the released code's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from bench.contract import Context, Split, Unsupported
from bench.training import adam
from methods.dscmr import DSCMR, DSCMRSettings, Network, dscmr_loss
from tests.methods.small_splits import separable
from tests.shared import shared

RELEASE = DSCMRSettings(faithful_to="release")
SMALL = DSCMRSettings(epochs=2, batch_size=7, hidden=(8,), dim=5, lr=1e-2)
PLACES = {
    "img_net_denseL1": "own.0.0",
    "text_net_denseL1": "own.1.0",
    "linearLayer": "shared",
    "linearLayer2": "classifier",
}


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    with np.load(shared("golden/dscmr.npz")) as file:
        return dict(file)


def state(golden: dict[str, Any], prefix: str) -> dict[str, Tensor]:
    return {
        f"{place}.{kind}": torch.tensor(golden[f"{prefix}_{layer}_{kind}"])
        for layer, place in PLACES.items()
        for kind in ("weight", "bias")
    }


def gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


@pytest.mark.parametrize("kind", ["onehot", "multihot"])
def test_loss_its_parts_and_gradients_equal_the_releases(golden: dict[str, Any], kind: str) -> None:
    names = ("z1", "z2", "pred1", "pred2")
    leaves = [torch.tensor(golden[name], requires_grad=True) for name in names]
    z1, z2, p1, p2 = leaves
    parts = dscmr_loss(z1, z2, p1, p2, torch.tensor(golden[f"labels_{kind}"]), RELEASE)
    for part, key in (("loss", "total"), ("J1", "J1"), ("J2", "J2"), ("J3", "J3")):
        assert_allclose(parts[part].item(), golden[f"{kind}_{key}"], rtol=1e-8)
    parts["loss"].backward()  # type: ignore[no-untyped-call]
    for name, value in zip(names, leaves, strict=True):
        assert_allclose(gradient(value), golden[f"{kind}_grad_{name}"], rtol=1e-7, atol=1e-12)


def test_shared_labels_count_once_unless_the_release_is_followed() -> None:
    y = torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    z, p = torch.randn(2, 3), torch.randn(2, 2)
    one_hot = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    paper = dscmr_loss(z, z, p, p, y, DSCMRSettings())["J2"]
    assert_allclose(paper, dscmr_loss(z, z, p, p, one_hot, DSCMRSettings())["J2"])
    assert not torch.isclose(paper, dscmr_loss(z, z, p, p, y, RELEASE)["J2"])


def test_equal_pairs_have_a_finite_gradient() -> None:
    z, p, y = torch.ones(2, 3, requires_grad=True), torch.eye(2, requires_grad=True), torch.eye(2)
    dscmr_loss(z, z.clone(), p, p, y, DSCMRSettings())["loss"].backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(gradient(z)).all()
    assert torch.isfinite(gradient(p)).all()


def test_network_and_adam_steps_equal_the_releases(golden: dict[str, Any]) -> None:
    settings = replace(RELEASE, hidden=(12,), dim=8)
    net = Network({"image": 14, "text": 10}, 6, settings)
    net.load_state_dict(state(golden, "net_init"))
    x1, x2 = torch.tensor(golden["net_x1"]), torch.tensor(golden["net_x2"])
    y = torch.tensor(golden["labels_onehot"], dtype=torch.float32)
    optimiser = adam(net.parameters(), float(golden["net_adam_lr"]))
    for step in range(3):
        z1, z2 = net("image", x1), net("text", x2)
        p1, p2 = net.classifier(z1), net.classifier(z2)
        if step == 0:
            for name, value in zip(("z1", "z2", "pred1", "pred2"), (z1, z2, p1, p2), strict=True):
                assert_allclose(value.detach(), golden[f"net_out_{name}"], rtol=1e-4, atol=1e-5)
        loss = dscmr_loss(z1, z2, p1, p2, y, settings)["loss"]
        assert_allclose(loss.item(), golden["net_adam_losses"][step], rtol=1e-4)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    for key, value in state(golden, "net_final").items():
        assert_allclose(net.state_dict()[key], value, rtol=1e-3, atol=2e-5)


def fitted(settings: DSCMRSettings, split: Split) -> DSCMR:
    method = DSCMR(settings)
    method.fit(split, split, Context(scope=("small",)))
    return method


def test_release_keeps_the_order_of_the_pairs() -> None:
    split = separable({"image": 20, "text": 20}, pairing="natural")
    probe = split["image"].features
    paper, release = fitted(SMALL, split), fitted(replace(SMALL, faithful_to="release"), split)
    assert not np.allclose(paper.embed("image", probe), release.embed("image", probe))
    whole = replace(SMALL, batch_size=100)
    paper, release = fitted(whole, split), fitted(replace(whole, faithful_to="release"), split)
    assert_allclose(paper.embed("image", probe), release.embed("image", probe), atol=1e-5)


def test_data_without_pairs_is_refused_with_a_reason() -> None:
    with pytest.raises(Unsupported, match="correspond"):
        fitted(SMALL, separable({"image": 20, "text": 20}))


def test_several_hidden_layers_may_be_set() -> None:
    net = Network({"a": 3, "b": 4}, 2, replace(SMALL, hidden=(7, 6)))
    assert net("b", torch.zeros(2, 4)).shape == (2, 5)
