"""RONO: its losses and gradients equal the released code's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from numpy.testing import assert_allclose

from bench.contract import Context
from bench.training import DeviceSplit, gce, multimodal_contrast, unit
from methods.rono import RONO, RONOSettings, centre_loss, rono_loss
from tests.methods.golden import Golden, assert_gradients, leaves
from tests.methods.small_splits import PAIR, separable

PUBLISHED = RONOSettings()


@pytest.fixture
def y(numbers: Golden) -> torch.Tensor:
    return torch.eye(6, dtype=torch.float64)[torch.tensor(numbers["label"])]


def test_published_settings_are_the_releases(numbers: Golden) -> None:
    keys = ("crc_scale", "mg_T", "rdc_alpha", "rdc_a", "rdc_warmup")
    names = ("classification", "tau", "alpha", "scale", "warm_up")
    assert [getattr(PUBLISHED, name) for name in names] == [numbers[key] for key in keys]


@pytest.mark.parametrize("view", [0, 1])
def test_classification_loss_equals_the_releases(numbers: Golden, y: torch.Tensor, view: int) -> None:
    (logits,) = leaves(numbers, f"logits_v{view}")
    loss = PUBLISHED.classification * gce(logits, y, q=1.0)
    assert_allclose(loss.item(), numbers[f"CRC_v{view}"], rtol=1e-6)
    assert_gradients(loss, [logits], [numbers[f"grad_CRC_v{view}"]], rtol=1e-5, atol=1e-9)


def test_contrast_and_total_equal_the_releases(numbers: Golden, y: torch.Tensor) -> None:
    (z,) = leaves(numbers, "z_stacked")
    loss = multimodal_contrast([unit(view) for view in z.chunk(2)], PUBLISHED.tau)
    assert_allclose(loss.item(), numbers["MG"], rtol=1e-8)
    assert_gradients(loss, [z], [numbers["grad_MG"]])
    three = [unit(view) for view in torch.tensor(numbers["z_stacked_three"]).chunk(3)]
    assert_allclose(multimodal_contrast(three, PUBLISHED.tau).item(), numbers["MG_three"], rtol=1e-8)
    logits = [torch.tensor(numbers[f"logits_v{v}"]) for v in range(2)]
    parts = rono_loss(list(z.chunk(2)), logits, [y, y], torch.tensor(numbers["centres"]), 10, PUBLISHED)
    assert_allclose(parts["loss"].item(), numbers["total_epoch10"], rtol=1e-6)


@pytest.mark.parametrize("index", range(4))
def test_centre_loss_equals_the_releases_at_every_epoch(numbers: Golden, y: torch.Tensor, index: int) -> None:
    z, centres = leaves(numbers, "z_stacked", "centres")
    turned = min(int(numbers["rdc_epochs"][index]) / (PUBLISHED.warm_up - 1), 1.0)
    loss = centre_loss(z, torch.cat([y, y]), centres, turned, PUBLISHED.alpha, PUBLISHED.scale)
    assert_allclose(loss.item(), numbers["RDC"][index], rtol=1e-8)
    assert_gradients(loss, [z, centres], [numbers[f"grad_RDC_{name}"][index] for name in ("z", "centres")])


def test_several_classes_have_the_mean_of_their_centres() -> None:
    z, centres = torch.randn(1, 4), torch.randn(3, 4)
    both = centre_loss(z, torch.tensor([[1.0, 1.0, 0.0]]), centres, 0.0, 0.3, 0.05)
    cosine = (unit(z) @ unit(centres).T)[0]
    expected = (cosine.mean().exp() - torch.exp(4 / 3 * (cosine[0] + cosine[1]) / 2)) / 0.05
    assert_allclose(both, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("lr", "rates"), [({"image": 1.0, "text": 2.0}, [1.0, 2.0, 3.0, 4.0]), (5.0, [5.0, 5.0, 3.0, 4.0])]
)
def test_every_network_has_its_rate_and_rates_of_all_modalities_need_no_default(
    lr: Any, rates: list[float]
) -> None:
    settings = RONOSettings(lr=lr, head_lr=3.0, centre_lr=4.0, hidden=(4,), dim=3)
    data = DeviceSplit(separable(PAIR, pairing="natural"), "cpu")
    stage = next(RONO(settings).stages(data, Context(scope=("small",))))
    assert [group["lr"] for group in stage.tracks[0].steps[0].optimiser.param_groups] == rates
