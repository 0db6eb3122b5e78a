"""CLIP4CMR's head: its loss in closed form, its prototypes, what the release does otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from bench.contract import Context
from bench.training import Clock, DeviceSplit, unit
from methods.clip4cmr import CLIP4CMR, CLIP4CMRSettings, prototype_contrast
from tests.methods.small_splits import separable

SMALL = CLIP4CMRSettings(epochs=60, patience=3, batch_size=10, hidden=(8,), dim=6, lr=1e-2, dropout=0.0)


def test_loss_is_the_cross_entropy_of_the_squared_distances() -> None:
    torch.manual_seed(0)
    z, c = unit(torch.randn(7, 4)), unit(torch.randn(3, 4))
    classes = torch.tensor([0, 1, 2, 2, 1, 0, 0])
    expected = nn.functional.cross_entropy(-torch.cdist(z, c).square(), classes)
    assert_allclose(prototype_contrast(z, c, torch.eye(3)[classes]), expected, rtol=1e-5)
    # A row at its prototype among orthogonal ones has the least loss there is.
    loss = prototype_contrast(torch.eye(10), torch.eye(10), torch.eye(10))
    assert_allclose(loss, np.log(1 + 9 * np.exp(-2)), rtol=1e-6)


def test_several_classes_are_approached_in_equal_parts() -> None:
    z = torch.zeros(1, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(prototype_contrast(z, torch.eye(3), torch.tensor([[1.0, 1.0, 0.0]])), z)
    assert slope[0, 0] == slope[0, 1] < 0 < slope[0, 2]


@pytest.mark.parametrize(("faithful_to", "divisors"), [("paper", (1, 1)), ("release", (10, 5))])
def test_release_keeps_its_prototypes_and_divides_by_the_batch_twice(
    faithful_to: Any, divisors: tuple[int, int]
) -> None:
    method = CLIP4CMR(replace(SMALL, faithful_to=faithful_to))
    train = DeviceSplit(separable({"image": 12, "text": 12}), "cpu")
    (stage,) = method.stages(train, Context())
    prototypes = method.classes.weight
    assert prototypes.requires_grad == (faithful_to == "paper")
    batch = train.take({"image": torch.arange(10), "text": torch.arange(5)})
    found = stage.tracks[0].steps[0].loss(batch, Clock(1, 1, 0, 1))
    assert isinstance(found, torch.Tensor)
    expected = sum(
        prototype_contrast(method.encode(name, x), prototypes, batch.targets[name]).item() / divisor
        for (name, x), divisor in zip(batch.features.items(), divisors, strict=True)
    )
    assert_allclose(found.item(), expected, rtol=1e-5)
