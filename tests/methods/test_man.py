"""MAN: its losses, gradients and classifier of modalities equal the released code's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from bench.contract import Context
from bench.training import AlignedPairs, ClassCovering, DeviceSplit, Independent, whitened
from methods.man import MAN, MANSettings, critic_loss, fisher_loss, generator_loss, man_critic, scatters
from tests.methods.golden import Golden, gradients, layers, leaves
from tests.methods.small_splits import fitted, separable

SMALL = MANSettings(epochs=3, batch_size=9, hidden=(8,), critic_hidden=(6,), lr=1e-2)


def views(numbers: Golden) -> list[Tensor]:
    return leaves(numbers, "view0", "view1", "view2")


def onehot(numbers: Golden, count: int = 3) -> Tensor:
    return torch.eye(6)[torch.tensor(np.concatenate([numbers[f"label{v}"] for v in range(count)]))]


def critic(numbers: Golden) -> nn.Sequential:
    net = man_critic((6, 128), 3)
    net.load_state_dict(layers(numbers, {"0": "disc_fc1", "2": "disc_fc2"}))
    return net


def close(ours: Tensor, theirs: Any, rtol: float = 1e-5) -> None:
    """Compare what was computed in single precision, small entries by the scale of the whole."""
    assert_allclose(ours.detach(), theirs, rtol=rtol, atol=rtol * float(np.abs(theirs).max()))


def slopes_close(numbers: Golden, loss: Tensor, z: list[Tensor], prefix: str) -> None:
    for v, slope in enumerate(gradients(loss, z)):
        close(slope, numbers[f"{prefix}_v{v}"])


def test_the_classifier_of_modalities_and_both_its_losses_equal_the_releases(numbers: Golden) -> None:
    z, net = views(numbers), critic(numbers)
    outputs = [net(rows) for rows in z]
    for v, rows in enumerate(outputs):
        close(rows, numbers[f"disc_out_v{v}"])
    assert_allclose(critic_loss(outputs).item(), numbers["d_loss"], rtol=1e-5)
    assert_allclose(generator_loss(outputs).item(), numbers["g_adv_loss"], rtol=1e-5)
    slopes_close(numbers, critic_loss(outputs), z, "grad_d_loss")


def test_fisher_loss_scatters_eigenvalues_and_total_equal_the_releases(numbers: Golden) -> None:
    z, y, eta = views(numbers), onehot(numbers), float(numbers["eta"])
    s_b, s_w = scatters(torch.cat(z), y, eta)
    close(s_b, numbers["fisher_S_b"])
    close(s_w, numbers["fisher_S_w_with_ridge"])
    # The release's smallest eigenvalue is rounding alone.
    values = torch.linalg.eigvalsh(whitened(s_b, s_w))
    close(values[1:], numbers["fisher_eigenvalues_ascending"][1:])
    for strict in (True, False):
        loss = fisher_loss(torch.cat(z), y, eta, strict)
        assert_allclose(loss.item(), numbers["fisher_loss"], rtol=1e-5)
        slopes_close(numbers, loss, z, "grad_fisher")
    two = fisher_loss(torch.cat(z[:2]), onehot(numbers, 2), eta)
    assert_allclose(two.item(), numbers["fisher_loss_two_views"], rtol=1e-5)
    net = critic(numbers)
    total = generator_loss([net(rows) for rows in z]) + float(numbers["fisher_beta"]) * loss
    assert_allclose(total.item(), numbers["g_total"], rtol=1e-5)
    slopes_close(numbers, total, z, "grad_total")


def rows_of(*classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor(classes).repeat_interleave(20)
    centres = 3 * torch.randn(6, 6, generator=generator)
    return centres[labels] + torch.randn(len(labels), 6, generator=generator), torch.eye(6)[labels]


def test_classes_missing_from_a_batch_do_not_let_rounding_rule_the_loss() -> None:
    z, y = rows_of(0, 3)
    double = fisher_loss(z.double(), y.double(), 1e-3)
    s_b, s_w = scatters(z.double(), y.double(), 1e-3)
    largest = torch.linalg.eigvalsh(whitened(s_b, s_w))[-1]
    assert_allclose(double.item(), -largest.log().item(), rtol=1e-9)
    assert_allclose(fisher_loss(z, y, 1e-3).item(), double.item(), rtol=1e-4)
    assert fisher_loss(z, y, 1e-3, strict=False) > double + 1.0


@pytest.mark.parametrize(("z", "y"), [rows_of(2), (torch.ones(8, 6), torch.eye(6).repeat(2, 1)[:8])])
def test_embeddings_that_cannot_be_distinguished_give_no_loss(z: Tensor, y: Tensor) -> None:
    z = z.clone().requires_grad_()
    loss = fisher_loss(z, y, 1e-3)
    assert loss.item() == 0.0
    assert not gradients(loss, [z])[0].any()


def test_scatters_whose_rounding_exceeds_the_ridge_are_taken_in_double_precision() -> None:
    z, y = (part[[0, 1, 20, 21]] for part in rows_of(0, 3))
    z = (1e4 * z).requires_grad_()
    loss = fisher_loss(z, y, 1e-3)
    assert loss.dtype == z.dtype
    assert_allclose(loss.item(), fisher_loss(z.double(), y.double(), 1e-3).item(), rtol=1e-6)
    assert torch.isfinite(gradients(loss, [z])[0]).all()


def test_only_the_generators_learn_from_their_loss_and_only_the_critic_from_its_loss() -> None:
    method = MAN(SMALL)
    train = DeviceSplit(separable({"image": 24, "text": 24}), "cpu")
    stage = next(method.stages(train, Context(scope=("small",))))
    generators = nn.ModuleList(method.encoders.values())
    for step, trained in zip(stage.tracks[0].steps, (method.critic, generators), strict=True):
        held = {id(value) for group in step.optimiser.param_groups for value in group["params"]}
        assert held == {id(value) for value in trained.parameters()}


@pytest.mark.parametrize(
    ("faithful_to", "texts", "plan"),
    [
        ("paper", 20, ClassCovering(9)),
        ("release", 20, AlignedPairs(9, minimum=2)),
        ("release", 30, Independent(9, minimum=2, length="shortest")),
    ],
)
def test_batches_cover_the_classes_unless_the_release_is_followed(
    faithful_to: Any, texts: int, plan: Any
) -> None:
    data = DeviceSplit(separable({"image": 20, "text": texts}), "cpu")
    assert MAN(replace(SMALL, faithful_to=faithful_to)).plan("joint", data) == plan


def test_more_classes_than_a_batch_has_rows() -> None:
    split, context = separable({"image": 60, "text": 44}, n_classes=20), Context(scope=("small",))
    method = fitted(MAN(replace(SMALL, batch_size=5)), split, context=context)
    assert method.embed("text", split["text"].features).shape == (44, 20)
    fisher = np.array(context.trace.column("fisher/joint"), float)
    assert np.isfinite(fisher).all()
    assert fisher[-1] < fisher[0]
