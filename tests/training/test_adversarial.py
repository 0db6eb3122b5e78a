"""Adversarial pieces: the sign turns on the way back only, and the schedule rises from 0 to 1."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bench.training import gradual, modality_cross_entropy, reverse_gradient


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_values_pass_and_gradients_change_their_sign(weight: float) -> None:
    x = torch.randn(4, 3, requires_grad=True)
    out = reverse_gradient(x, weight)
    assert torch.equal(out, x)
    slope = torch.randn(4, 3)
    (out * slope).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    torch.testing.assert_close(x.grad, -weight * slope)


def test_what_follows_learns_as_ever() -> None:
    adversary, x = nn.Linear(3, 2), torch.randn(5, 3)
    slopes = []
    for rows in (x, reverse_gradient(x.clone().requires_grad_(), 1.0)):
        adversary.zero_grad()
        adversary(rows).square().sum().backward()
        assert adversary.weight.grad is not None
        slopes.append(adversary.weight.grad.clone())
    torch.testing.assert_close(slopes[0], slopes[1])


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
