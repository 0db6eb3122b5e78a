"""ELRCMR: losses, gradients, memory and schedule equal the released code's, without its leaks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from bench.contract import Array
from bench.training import multimodal_contrast, robust_clustering
from methods.elrcmr import (
    ELRCMR,
    ELRCMRSettings,
    average_weights,
    decaying_factor,
    early_learning,
    elrcmr_loss,
    intra_contrast,
)
from tests.methods.golden import Golden, assert_gradients, gradients, leaves
from tests.methods.small_splits import fitted, separable

SMALL = ELRCMRSettings(epochs=3, batch_size=7, hidden=(8,), dim=5, lr=1e-2)
SPLIT = separable({"image": 25, "text": 25}, pairing="natural")


@pytest.mark.parametrize("view", [0, 1])
@pytest.mark.parametrize(("prefix", "lama"), [("lama1", 1.0), ("lama0001", 0.001)])
def test_two_steps_of_the_memory_equal_the_releases(
    numbers: Golden, prefix: str, lama: float, view: int
) -> None:
    memory = torch.zeros(int(numbers["total"]), 6, dtype=torch.float64)
    rows = torch.tensor(numbers["index"])
    y = torch.eye(6, dtype=torch.float64)[torch.tensor(numbers[f"label_v{view}"])]
    for step in range(2):
        (logits,) = leaves(numbers, f"logits_step{step}_v{view}")
        key = f"{prefix}_step{step}_v{view}"
        rc = robust_clustering(logits, y)
        elr = early_learning(logits, memory, rows, float(numbers["memory_beta"]))
        assert_allclose(rc.item(), numbers[f"{key}_RC_only"], rtol=1e-8)
        # The release gives the regulariser as a difference, which loses digits where its weight is small.
        assert_allclose(elr.item(), numbers[f"{key}_ELR_unweighted"], rtol=1e-8 / lama)
        loss = rc + lama * elr
        assert_allclose(loss.item(), numbers[f"{key}_loss"], rtol=1e-8)
        assert_gradients(loss, [logits], [numbers[f"{key}_grad_logits"]])
        assert_allclose(memory, numbers[f"{prefix}_memory_v{view}_after_step{step}"], rtol=1e-8, atol=1e-15)


def test_contrast_terms_and_gradients_equal_the_releases(numbers: Golden) -> None:
    views = leaves(numbers, "z0", "z1")
    logits = [z @ torch.tensor(numbers["centres_unit"]) for z in views]
    for v in range(2):
        assert_array_equal(logits[v].argmax(dim=1), numbers[f"predicted_class_v{v}"])
    inter, intra = multimodal_contrast(views, 1.0), intra_contrast(views, logits, 1.0)
    zero = torch.zeros(())
    total = elrcmr_loss(zero, zero, inter, intra, 0.0, ELRCMRSettings())["loss"]
    for value, key in ((inter, "inter_term"), (intra, "intra_term_zeta1"), (total, "contrast_zeta0001")):
        assert_allclose(value.item(), numbers[key], rtol=1e-8)
    assert_gradients(intra, views, [numbers[f"grad_intra_z{v}"] for v in range(2)])


def test_balance_falls_as_released(numbers: Golden) -> None:
    length = int(numbers["rampup_length"])
    values = [decaying_factor(int(iteration), length) for iteration in numbers["rampup_iterations"]]
    assert_allclose(values, numbers["rampup_value"], rtol=1e-12, atol=1e-15)


def test_rows_alone_in_their_predicted_class_have_no_contrast_and_a_finite_gradient() -> None:
    z = torch.eye(3, requires_grad=True)
    value = intra_contrast([z], [torch.eye(3)], 1.0)
    assert value.item() == 0.0
    assert torch.isfinite(gradients(value, [z])[0]).all()


@pytest.mark.parametrize(("kept", "expected"), [(0.75, 1.5), (0.0, 3.0)])
def test_averages_move_by_the_share_that_is_not_kept(kept: float, expected: float) -> None:
    mean, net = nn.Linear(1, 1), nn.Linear(1, 1)
    for module, value in ((mean, 1.0), (net, 3.0)):
        nn.init.constant_(module.weight, value)
    average_weights({"image": mean}, {"image": net}, kept)
    assert mean.weight.item() == pytest.approx(expected)


def test_averaged_weights_embed_unless_averaging_is_off() -> None:
    def last(settings: ELRCMRSettings) -> Array:
        method = fitted(ELRCMR(settings), SPLIT)
        method.restore("last")
        return method.embed("image", SPLIT["image"].features)

    assert not np.allclose(last(SMALL), last(replace(SMALL, average=0.0)))


@pytest.mark.parametrize("faithful_to", ["paper", "release"])
def test_averages_are_no_further_parameters(faithful_to: Any) -> None:
    method = fitted(ELRCMR(replace(SMALL, epochs=1, faithful_to=faithful_to)), SPLIT)
    assert method.notes()["parameters"] == 2 * (6 * 8 + 8 + 8 * 5 + 5) + 5 * 3


def test_release_shrinks_its_weights_at_every_step() -> None:
    def length(settings: ELRCMRSettings) -> float:
        method = fitted(ELRCMR(replace(settings, lr=1e-9, batch_size=25, epochs=1)), SPLIT)
        return sum(float(weight.detach().norm()) for weight in method.encoders["image"].parameters())

    keep = 0.5 * decaying_factor(0, 100_000)
    shrunk, start = length(replace(SMALL, average=0.5, faithful_to="release")), length(SMALL)
    assert shrunk == pytest.approx(start * keep * (2 - keep), rel=1e-4)


def test_memory_follows_training_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def noted(logits: torch.Tensor, memory: torch.Tensor, rows: torch.Tensor, keep: float) -> torch.Tensor:
        seen.append(len(memory))
        assert int(rows.max()) < len(memory)
        return early_learning(logits, memory, rows, keep)

    monkeypatch.setattr("methods.elrcmr.early_learning", noted)
    fitted(ELRCMR(replace(SMALL, epochs=1)), SPLIT)
    assert seen == [25] * 8
