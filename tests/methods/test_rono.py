"""RONO: its losses and gradients equal the released code's."""

from __future__ import annotations

import pytest
import torch
from numpy.testing import assert_allclose

from bench.training import gce, multimodal_contrast, unit
from methods.rono import RONOSettings, centre_loss, rono_loss
from tests.methods.golden import Golden, golden, gradients, leaves

OWN = RONOSettings()


@pytest.fixture(scope="module")
def numbers() -> Golden:
    return golden("rono")


@pytest.fixture(scope="module")
def y(numbers: Golden) -> torch.Tensor:
    return torch.eye(6, dtype=torch.float64)[torch.tensor(numbers["label"])]


def test_published_settings_are_the_releases(numbers: Golden) -> None:
    assert (OWN.classification, OWN.tau) == (numbers["crc_scale"], numbers["mg_T"])
    assert (OWN.alpha, OWN.scale, OWN.warm_up) == tuple(
        numbers[f"rdc_{name}"] for name in ("alpha", "a", "warmup")
    )


@pytest.mark.parametrize("view", [0, 1])
def test_classification_loss_equals_the_releases(numbers: Golden, y: torch.Tensor, view: int) -> None:
    (logits,) = leaves(numbers, f"logits_v{view}")
    loss = OWN.classification * gce(logits, y, q=1.0)
    assert_allclose(loss.item(), numbers[f"CRC_v{view}"], rtol=1e-6)
    assert_allclose(gradients(loss, [logits])[0], numbers[f"grad_CRC_v{view}"], rtol=1e-5, atol=1e-9)


def test_contrast_equals_the_releases(numbers: Golden) -> None:
    (z,) = leaves(numbers, "z_stacked")
    loss = multimodal_contrast([unit(view) for view in z.chunk(2)], OWN.tau)
    assert_allclose(loss.item(), numbers["MG"], rtol=1e-8)
    assert_allclose(gradients(loss, [z])[0], numbers["grad_MG"], rtol=1e-7, atol=1e-12)
    three = [unit(view) for view in torch.tensor(numbers["z_stacked_three"]).chunk(3)]
    assert_allclose(multimodal_contrast(three, OWN.tau).item(), numbers["MG_three"], rtol=1e-8)


@pytest.mark.parametrize("place", range(4))
def test_centre_loss_equals_the_releases_at_every_epoch(numbers: Golden, y: torch.Tensor, place: int) -> None:
    inputs = leaves(numbers, "z_stacked", "centres")
    turned = min(int(numbers["rdc_epochs"][place]) / (OWN.warm_up - 1), 1.0)
    loss = centre_loss(inputs[0], torch.cat([y, y]), inputs[1], turned, OWN.alpha, OWN.scale)
    assert_allclose(loss.item(), numbers["RDC"][place], rtol=1e-8)
    for name, value in zip(("z", "centres"), gradients(loss, inputs), strict=True):
        assert_allclose(value, numbers[f"grad_RDC_{name}"][place], rtol=1e-7, atol=1e-12)


def test_total_equals_the_releases(numbers: Golden, y: torch.Tensor) -> None:
    z, centres = (torch.tensor(numbers[key]) for key in ("z_stacked", "centres"))
    logits = [torch.tensor(numbers[f"logits_v{v}"]) for v in range(2)]
    parts = rono_loss(list(z.chunk(2)), logits, [y, y], centres, 10, OWN)
    assert_allclose(parts["loss"].item(), numbers["total_epoch10"], rtol=1e-6)


def test_several_classes_have_the_mean_of_their_centres() -> None:
    z, centres = torch.randn(1, 4), torch.randn(3, 4)
    both = centre_loss(z, torch.tensor([[1.0, 1.0, 0.0]]), centres, 0.0, 0.3, 0.05)
    cosine = (unit(z) @ unit(centres).T)[0]
    expected = (cosine.mean().exp() - torch.exp(4 / 3 * (cosine[0] + cosine[1]) / 2)) / 0.05
    assert_allclose(both, expected, rtol=1e-5)
