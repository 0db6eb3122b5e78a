"""Adversarial pieces: the sign turns on the way back only, and the schedule rises from 0 to 1."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bench.training import gradual, modality_cross_entropy, reverse_gradient


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_values_pass_gradients_change_their_sign_and_what_follows_learns_as_ever(weight: float) -> None:
    x, layer = torch.randn(4, 3, requires_grad=True), nn.Linear(3, 2)
    out = reverse_gradient(x, weight)
    assert torch.equal(out, x)
    plain, reversed_ = (
        torch.autograd.grad(layer(rows).square().sum(), [x, layer.weight]) for rows in (x, out)
    )
    torch.testing.assert_close(reversed_[0], -weight * plain[0])
    torch.testing.assert_close(reversed_[1], plain[1])


def test_the_weight_rises_from_nought_to_nearly_one() -> None:
    values = [gradual(done / 10) for done in range(11)]
    assert values[0] == 0.0
    assert values == sorted(values)
    assert values[-1] == pytest.approx(math.tanh(5.0))


def test_an_adversary_that_knows_nothing_has_the_entropy_of_its_choice() -> None:
    unsure = [torch.zeros(4, 3), torch.zeros(2, 3), torch.zeros(3, 3)]
    assert modality_cross_entropy(unsure).item() == pytest.approx(math.log(3))
    sure = [torch.eye(2)[:1] * 50, torch.eye(2)[1:] * 50]
    assert modality_cross_entropy(sure).item() == pytest.approx(0.0, abs=1e-6)
    assert modality_cross_entropy(sure[::-1]).item() == pytest.approx(50.0)
