"""Contrast of instances and robust clustering: closed forms and limits."""

from __future__ import annotations

import math

import pytest
import torch
from numpy.testing import assert_allclose

from bench import training as t


def test_contrast_of_one_pair_is_zero_with_a_finite_gradient() -> None:
    one, other = torch.tensor([[1.0, 0.0]], requires_grad=True), torch.tensor([[0.0, 1.0]])
    value = t.multimodal_contrast([one, other])
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == 0.0
    assert one.grad is not None
    assert_allclose(one.grad, 0.0, atol=1e-7)


def test_no_row_is_its_own_neighbour() -> None:
    logits = t.neighbour_logits(torch.eye(3), 0.5)
    assert torch.isinf(logits.diagonal()).all()
    assert (logits[~torch.eye(3, dtype=torch.bool)] == 0).all()


def test_robust_clustering_stays_exact_where_the_class_is_all_but_certain() -> None:
    logits = torch.tensor([[40.0, 0.0]], requires_grad=True)
    value = t.robust_clustering(logits, torch.tensor([[1.0, 0.0]]))
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == pytest.approx(-40.0)
    assert logits.grad is not None
    assert_allclose(logits.grad, [[-1.0, 1.0]], rtol=1e-5)


def test_renormalised_prototypes_keep_their_directions() -> None:
    prototypes = t.Prototypes(5, 3)
    directions = prototypes.weight.detach().clone()
    prototypes.weight.data *= torch.tensor([2.0, 0.5, 3.0])
    prototypes.renormalise()
    assert_allclose(prototypes.weight.detach(), directions, rtol=1e-5, atol=1e-7)
    assert prototypes.weight.requires_grad


def test_cosine_decay_falls_from_one_to_zero_and_stays_there() -> None:
    schedule = t.cosine_decay(4)
    factors = [schedule(t.Clock(epoch, 4, 0, 1)) for epoch in range(1, 7)]
    assert_allclose(factors, [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0, 0], atol=1e-12)
