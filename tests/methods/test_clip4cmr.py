"""CLIP4CMR's head: its loss in closed form, its prototypes, what the release does otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from bench.contract import Context
from bench.training import Clock, DeviceSplit, unit
from methods.clip4cmr import CLIP4CMR, CLIP4CMRSettings, prototype_contrast
from tests.methods.small_splits import separable

SMALL = CLIP4CMRSettings(epochs=20, batch_size=10, hidden=(8,), dim=6, lr=1e-2, dropout=0.0)
CLOCK = Clock(1, 1, 0, 1)


def test_loss_is_the_cross_entropy_of_the_squared_distances() -> None:
    torch.manual_seed(0)
    z, c = unit(torch.randn(7, 4)), unit(torch.randn(3, 4))
    classes = torch.tensor([0, 1, 2, 2, 1, 0, 0])
    expected = nn.functional.cross_entropy(-torch.cdist(z, c).square(), classes)
    assert_allclose(prototype_contrast(z, c, torch.eye(3)[classes]), expected, rtol=1e-5)


def test_a_row_at_its_prototype_among_orthogonal_ones_has_the_least_loss_there_is() -> None:
    c, classes = 10, torch.arange(10)
    loss = prototype_contrast(torch.eye(c), torch.eye(c), torch.eye(c)[classes])
    assert_allclose(loss, np.log(1 + (c - 1) * np.exp(-2)), rtol=1e-6)


def test_several_classes_are_approached_in_equal_parts() -> None:
    z = torch.zeros(1, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(prototype_contrast(z, torch.eye(3), torch.tensor([[1.0, 1.0, 0.0]])), z)
    assert slope[0, 0] == slope[0, 1] < 0 < slope[0, 2]


@pytest.mark.parametrize("faithful_to", ["paper", "release"])
def test_release_keeps_its_prototypes_and_divides_by_the_batch_twice(faithful_to: str) -> None:
    split = separable({"image": 12, "text": 12})
    method = CLIP4CMR(replace(SMALL, faithful_to=faithful_to))  # type: ignore[arg-type]
    train = DeviceSplit(split, "cpu")
    (stage,) = method.stages(train, Context())
    (track,) = stage.tracks
    prototypes = method.classes.weight
    assert prototypes.requires_grad == (faithful_to == "paper")
    batch = train.take({"image": np.arange(10), "text": np.arange(5)})
    found = track.steps[0].loss(batch, CLOCK)
    assert isinstance(found, torch.Tensor)
    each = [
        prototype_contrast(method.encode(name, batch.features[name]), prototypes, batch.targets[name])
        for name in batch.features
    ]
    parts = (1, 1) if faithful_to == "paper" else (10, 5)
    assert_allclose(
        found.item(), sum(value.item() / n for value, n in zip(each, parts, strict=True)), rtol=1e-5
    )


def test_training_ends_when_validation_has_not_improved_for_long() -> None:
    split = separable({"image": 30, "text": 30})
    method = CLIP4CMR(replace(SMALL, epochs=60, patience=3))
    method.fit(split, split, Context())
    assert method.notes()["epochs_run"]["train"] < 60
