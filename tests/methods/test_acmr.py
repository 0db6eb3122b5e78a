"""ACMR: triplets pick the right items, the label classifier learns, the adversary reaches the projectors."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.contract import Context
from bench.training import Clock, DeviceSplit, Step
from methods.acmr import ACMR, ACMRSettings, most_similar_negative, triplet_loss
from tests.methods.small_splits import PAIR, separable

SMALL = ACMRSettings(epochs=3, batch_size=10, hidden=(8,), dim=5, adversary_hidden=(4,), lr=1e-2)
LATE = Clock(epoch=1, epochs=1, iteration=1, iterations=2)


def prepared(settings: ACMRSettings) -> tuple[Step, list[nn.Module], DeviceSplit]:
    """Return the only step, its projectors, label classifier and adversary, and the training rows."""
    train = DeviceSplit(separable(PAIR, pairing="natural"), "cpu")
    method = ACMR(settings)
    stage = next(method.stages(train, Context(scope=("small",))))
    projectors = nn.ModuleList(method.encoders.values())
    return stage.tracks[0].steps[0], [projectors, method.labels, method.adversary], train


def parts_of(step: Step, train: DeviceSplit, clock: Clock = LATE) -> Any:
    return step.loss(train.take({name: torch.arange(30) for name in train}), clock)


def slopes(loss: Tensor, module: nn.Module) -> Tensor:
    found = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True, allow_unused=True)
    return torch.cat([torch.zeros(0) if slope is None else slope.flatten() for slope in found])


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ([[1, 0], [1, 0], [0, 1], [0, 1]], [2, 2, 1, 1]),
        ([[1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], [2, 2, 1, 1]),
    ],
)
def test_the_stranger_is_the_most_similar_row_that_shares_no_class(classes: Any, expected: list[int]) -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 0.01], [1.0, 0.2], [0.0, 1.0]])
    assert most_similar_negative(x, torch.tensor(classes, dtype=torch.float32)).tolist() == expected


# With a margin between the two distances only one of them counts; a hinge of the mean would be 0.25.
@pytest.mark.parametrize(("margin", "hinge"), [(12.0, 2.5), (9.75, 0.375)])
def test_every_triplet_has_a_separate_hinge(margin: float, hinge: float) -> None:
    """Pairs lie 1 and 0 apart, negatives 10 and 9."""
    v, t = torch.tensor([[0.0], [10.0]]), torch.tensor([[1.0], [10.0]])
    settings = ACMRSettings(repulsion=2.0, margin=margin)
    loss = triplet_loss(v, t, torch.tensor([1, 0]), torch.eye(2), settings)
    assert loss.item() == pytest.approx(0.5 + 2.0 * hinge)


@pytest.mark.parametrize(("positives", "distance"), [("partner", 1 + 3 + 2), ("label", 2 + 2 + 2)])
def test_an_anchor_is_drawn_to_all_items_of_its_label_or_to_its_partner_alone(
    positives: Any, distance: float
) -> None:
    v, t = torch.tensor([[0.0], [0.0], [5.0]]), torch.tensor([[1.0], [3.0], [7.0]])
    y, negatives = torch.eye(2)[torch.tensor([0, 0, 1])], torch.tensor([2, 2, 0])
    settings = ACMRSettings(repulsion=0.0, positives=positives)
    assert triplet_loss(v, t, negatives, y, settings).item() == pytest.approx(distance / 3)


def test_rows_without_a_class_keep_their_partner_and_equal_rows_a_finite_slope() -> None:
    v = torch.zeros(2, 3, requires_grad=True)
    settings = ACMRSettings(repulsion=0.0)
    loss = triplet_loss(v, torch.zeros(2, 3), torch.tensor([1, 0]), torch.zeros(2, 2), settings)
    assert loss.item() == 0.0
    assert torch.isfinite(torch.autograd.grad(loss, v)[0]).all()


def test_a_batch_of_one_class_has_no_strangers_and_no_hinge() -> None:
    v, t = torch.zeros(3, 2), torch.ones(3, 2)
    y = torch.tensor([[1.0, 0.0]] * 3)
    loss = triplet_loss(v, t, most_similar_negative(t, y), y, ACMRSettings(margin=100.0))
    assert loss.item() == pytest.approx(math.sqrt(2.0))


def test_rows_without_a_class_are_not_pushed_away_from_their_partner() -> None:
    v, t, y = torch.zeros(2, 2), torch.tensor([[0.0, 1.0], [0.0, 3.0]]), torch.zeros(2, 2)
    negatives = most_similar_negative(t, y)
    assert negatives.tolist() == [1, 0]
    loss = triplet_loss(v, t, negatives, y, ACMRSettings(margin=4.0))
    assert loss.item() == pytest.approx((1 + 3) / 2 + (1 + 3) / 2)
    alone = triplet_loss(v[:1], t[:1], most_similar_negative(t[:1], y[:1]), y[:1], ACMRSettings(margin=4.0))
    assert alone.item() == pytest.approx(1.0)


def test_total_is_the_weighted_sum_of_its_parts_and_one_optimiser_holds_all() -> None:
    step, modules, train = prepared(replace(SMALL, alpha=3.0, beta=0.5))
    parts = parts_of(step, train)
    expected = 3.0 * parts["L_label"] + 0.5 * parts["L_triplet"] + parts["L_adv"]
    torch.testing.assert_close(parts["loss"], expected)
    held = {id(value) for group in step.optimiser.param_groups for value in group["params"]}
    assert held == {id(value) for module in modules for value in module.parameters()}


def test_the_adversary_reaches_the_projectors_with_the_sign_reversed_and_more_from_epoch_to_epoch() -> None:
    step, (projectors, labels, adversary), train = prepared(SMALL)
    found = []
    for iteration in (0, 1, 2):
        l_adv = parts_of(step, train, Clock(1, 1, iteration, 2))["L_adv"]
        found.append(slopes(l_adv, projectors))
        assert slopes(l_adv, adversary).abs().max() > 0
        assert not slopes(l_adv, labels).any()
    assert not found[0].any()
    torch.testing.assert_close(found[1], math.tanh(2.5) / math.tanh(5.0) * found[2])
    # A step along the projectors' gradient of L_adv makes the adversary's task harder, not easier.
    before = parts_of(step, train)["L_adv"]
    with torch.no_grad():
        weights = nn.utils.parameters_to_vector(projectors.parameters())
        nn.utils.vector_to_parameters(weights - 1e-2 * found[1], projectors.parameters())
    assert parts_of(step, train)["L_adv"] > before


def test_without_weight_the_adversary_leaves_the_projectors_alone() -> None:
    step, (projectors, _, _), train = prepared(replace(SMALL, adversary=0.0))
    assert not slopes(parts_of(step, train)["L_adv"], projectors).any()
