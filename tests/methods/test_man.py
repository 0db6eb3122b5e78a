"""MAN: its losses, gradients and classifier of modalities equal the released code's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from bench.contract import Context, Split
from bench.training import AlignedPairs, ClassCovering, DeviceSplit, Independent, whitened
from methods.man import MAN, MANSettings, critic_loss, fisher_loss, generator_loss, man_critic, scatters
from tests.methods.golden import Golden, golden, gradients
from tests.methods.small_splits import separable

SMALL = MANSettings(epochs=3, batch_size=9, hidden=(8,), critic_hidden=(6,), lr=1e-2)


@pytest.fixture(scope="module")
def numbers() -> Golden:
    return golden("man")


def views(numbers: Golden, count: int = 3, dtype: Any = torch.float32) -> list[Tensor]:
    return [torch.tensor(numbers[f"view{v}"], dtype=dtype, requires_grad=True) for v in range(count)]


def onehot(numbers: Golden, count: int = 3, dtype: Any = torch.float32) -> Tensor:
    labels = np.concatenate([numbers[f"label{v}"] for v in range(count)])
    return torch.eye(6, dtype=dtype)[torch.tensor(labels)]


def critic(numbers: Golden) -> nn.Sequential:
    net = man_critic((6, 128), 3)
    layers = {"0": "fc1", "2": "fc2"}
    net.load_state_dict(
        {
            f"{place}.{kind}": torch.tensor(numbers[f"disc_{layer}_{kind}"])
            for place, layer in layers.items()
            for kind in ("weight", "bias")
        }
    )
    return net


def close(ours: Tensor, theirs: Any, rtol: float = 1e-5) -> None:
    """Compare what was computed in single precision, small entries by the scale of the whole."""
    assert_allclose(ours.detach(), theirs, rtol=rtol, atol=rtol * float(np.abs(theirs).max()))


def test_the_classifier_of_modalities_and_both_its_losses_equal_the_releases(numbers: Golden) -> None:
    z, net = views(numbers), critic(numbers)
    outputs = [net(rows) for rows in z]
    for v, rows in enumerate(outputs):
        close(rows, numbers[f"disc_out_v{v}"])
    assert_allclose(critic_loss(outputs).item(), numbers["d_loss"], rtol=1e-5)
    assert_allclose(generator_loss(outputs).item(), numbers["g_adv_loss"], rtol=1e-5)
    for v, slope in enumerate(gradients(critic_loss([net(rows) for rows in z]), z)):
        close(slope, numbers[f"grad_d_loss_v{v}"])


def test_fisher_loss_scatters_eigenvalues_and_gradients_equal_the_releases(numbers: Golden) -> None:
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
        for v, slope in enumerate(gradients(loss, z)):
            close(slope, numbers[f"grad_fisher_v{v}"])
    two = fisher_loss(torch.cat(z[:2]), onehot(numbers, 2), eta)
    assert_allclose(two.item(), numbers["fisher_loss_two_views"], rtol=1e-5)


def test_total_and_its_gradients_equal_the_releases(numbers: Golden) -> None:
    z, net = views(numbers), critic(numbers)
    fisher = fisher_loss(torch.cat(z), onehot(numbers), float(numbers["eta"]))
    total = generator_loss([net(rows) for rows in z]) + float(numbers["fisher_beta"]) * fisher
    assert_allclose(total.item(), numbers["g_total"], rtol=1e-5)
    for v, slope in enumerate(gradients(total, z)):
        close(slope, numbers[f"grad_total_v{v}"])


def rows_of(classes: list[int], dimension: int = 6, each: int = 20) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor(classes).repeat_interleave(each)
    centres = 3 * torch.randn(6, dimension, generator=generator)
    z = centres[labels] + torch.randn(len(labels), dimension, generator=generator)
    return z.requires_grad_(), torch.eye(6)[labels]


def test_classes_missing_from_a_batch_do_not_let_rounding_rule_the_loss() -> None:
    z, y = rows_of([0, 3])
    double = fisher_loss(z.double(), y.double(), 1e-3)
    s_b, s_w = scatters(z.double(), y.double(), 1e-3)
    largest = torch.linalg.eigvalsh(whitened(s_b, s_w))[-1]
    assert_allclose(double.item(), -largest.log().item(), rtol=1e-9)
    assert_allclose(fisher_loss(z, y, 1e-3).item(), double.item(), rtol=1e-4)
    assert fisher_loss(z, y, 1e-3, strict=False) > double + 1.0


@pytest.mark.parametrize(
    "make", [lambda: rows_of([2]), lambda: (torch.ones(8, 6), torch.eye(6).repeat(2, 1)[:8])]
)
def test_embeddings_that_cannot_be_told_apart_give_no_loss(make: Callable[[], tuple[Tensor, Tensor]]) -> None:
    z, y = make()
    z = z.detach().requires_grad_()
    loss = fisher_loss(z, y, 1e-3)
    assert loss.item() == 0.0
    assert torch.equal(gradients(loss, [z])[0], torch.zeros_like(z))


def test_only_the_generators_learn_from_their_loss_and_only_the_critic_from_its_own() -> None:
    split = separable({"image": 24, "text": 24})
    method = MAN(SMALL)
    train = DeviceSplit(split, "cpu")
    stage = next(method.stages(train, Context(scope=("small",))))
    generators = nn.ModuleList(method.encoders.values())
    for step, owner in zip(stage.tracks[0].steps, (method.critic, generators), strict=True):
        held = {id(value) for group in step.optimiser.param_groups for value in group["params"]}
        assert held == {id(value) for value in owner.parameters()}


def plan_of(settings: MANSettings, counts: dict[str, int]) -> Any:
    split: Split = separable(counts)
    return MAN(settings).plan("joint", DeviceSplit(split, "cpu"))


def test_batches_cover_the_classes_unless_the_release_is_followed() -> None:
    release = replace(SMALL, faithful_to="release")
    assert plan_of(SMALL, {"image": 20, "text": 20}) == ClassCovering(9)
    assert plan_of(release, {"image": 20, "text": 20}) == AlignedPairs(9, minimum=2)
    assert plan_of(release, {"image": 20, "text": 30}) == Independent(9, minimum=2, length="shortest")


def test_more_classes_than_a_batch_has_rows() -> None:
    split = separable({"image": 60, "text": 44}, n_classes=20)
    method = MAN(replace(SMALL, batch_size=5))
    context = Context(scope=("small",))
    method.fit(split, split, context)
    assert method.embed("text", split["text"].features).shape == (44, 20)
    fisher = np.array(context.trace.column("fisher/joint"), float)
    assert np.isfinite(fisher).all()
    assert fisher[-1] < fisher[0]
