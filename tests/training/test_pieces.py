"""Encoders, losses, seeding, scaling and settings: each law that methods rely on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from bench.contract import Context, Modality, Split, UsageError
from bench.data.scaling import Scaler, Scaling
from bench.training import (
    DeepSettings,
    DeviceSplit,
    Prototypes,
    adam,
    built,
    class_log_probability,
    cosines,
    distance,
    gce,
    generator,
    mlp,
    pair_nll,
    per_modality,
    reproducible,
    row_norm,
    seeded,
    shared_cross_entropy,
    unit,
)
from bench.training.seeding import Noise


def test_mlp_puts_norm_activation_and_dropout_after_every_layer_but_the_last() -> None:
    net = mlp((4, 3, 2), norm=nn.BatchNorm1d, activation=nn.Tanh, dropout=0.5, bias_last=False)
    assert [type(layer) for layer in net] == [nn.Linear, nn.BatchNorm1d, nn.Tanh, nn.Dropout, nn.Linear]
    assert "4.bias" not in net.state_dict()
    assert isinstance(mlp((4, 3), activate_last=True)[-1], nn.ReLU)


def test_unit_rows_have_length_one_and_zero_rows_a_finite_gradient() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    (unit(rows).sum() + row_norm(rows).sum()).backward()  # type: ignore[no-untyped-call]
    assert_allclose(unit(rows).detach()[0], [0.6, 0.8], rtol=1e-6)
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()


def test_cosines_are_those_of_the_definition() -> None:
    a, b = torch.randn(3, 5), torch.randn(4, 5)
    assert_allclose(cosines(a, b), torch.cosine_similarity(a[:, None], b[None], dim=2), atol=1e-6)
    assert_allclose(distance(a, a + 2), np.sqrt(20), rtol=1e-6)


def test_pair_nll_is_the_binary_cross_entropy_of_hard_labels() -> None:
    t, s = torch.randn(4, 6), torch.randint(0, 2, (4, 6)).float()
    assert_allclose(pair_nll(t, s), nn.functional.binary_cross_entropy_with_logits(t, s), rtol=1e-5)


def test_the_shared_cross_entropy_aims_at_equal_shares_of_a_rows_classes() -> None:
    y = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    logits = torch.tensor([[50.0, 50.0, 0.0], [0.0, 0.0, 50.0], [1.0, 2.0, 3.0]])
    assert shared_cross_entropy(logits, y).item() == pytest.approx(math.log(2.0) / 3)


def test_gce_runs_from_the_cross_entropy_to_the_mean_absolute_error() -> None:
    logits, labels = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0, 1])
    targets = torch.eye(4, dtype=torch.float64)[labels]
    entropy = nn.functional.cross_entropy(logits, labels)
    assert_allclose(gce(logits, targets, 0), entropy, rtol=1e-12)
    assert_allclose(gce(logits, targets, 1e-9), entropy, rtol=1e-7)
    assert_allclose(gce(logits, targets, 1), (1 - (logits.softmax(1) * targets).sum(1)).mean(), rtol=1e-10)


@pytest.mark.parametrize("q", [0.0, 0.01, 1.0])
def test_gce_of_rows_without_a_class_is_finite_and_has_no_gradient(q: float) -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    gce(logits, torch.zeros(2, 3), q).backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(class_log_probability(logits, torch.zeros(2, 3))).all()
    assert logits.grad is not None
    assert_allclose(logits.grad, 0, atol=1e-6)


def test_prototypes_are_orthonormal_and_refuse_too_narrow_a_space() -> None:
    w = Prototypes(7, 4, trained=False)
    assert_allclose(w.weight.T @ w.weight, np.eye(4), atol=1e-6)
    assert not w.weight.requires_grad
    assert w(torch.ones(2, 7)).shape == (2, 4)
    with pytest.raises(UsageError, match="dim=3"):
        Prototypes(3, 4)


def test_modules_start_alike_for_the_same_stream_and_leave_the_global_generator_alone() -> None:
    context = Context(seed=3, scope=("data",))
    before = torch.get_rng_state()
    one, two = (built(lambda: mlp((3, 2)), context, "image") for _ in range(2))
    other = built(lambda: mlp((3, 2)), context, "text")
    assert torch.equal(one[0].weight, two[0].weight)  # type: ignore[arg-type]
    assert not torch.equal(one[0].weight, other[0].weight)  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), before)
    draws = [torch.rand(2, generator=generator(context, "a")) for _ in range(2)]
    assert torch.equal(draws[0], draws[1])


def test_a_noise_stream_goes_on_where_it_was_left() -> None:
    context = Context()
    with seeded(context, "noise"):
        whole = torch.rand(4)
    noise = Noise(context, "noise")
    with noise.active():
        first = torch.rand(2)
    torch.rand(5)
    with noise.active():
        second = torch.rand(2)
    assert torch.equal(torch.cat([first, second]), whole)


@pytest.fixture
def _unchanged() -> Iterator[None]:
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    yield
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


@pytest.mark.usefixtures("_unchanged")
def test_reproducible_circumstances_hold_in_the_body_and_end_with_it() -> None:
    with reproducible(threads=1):
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()


def test_adam_takes_the_steps_of_the_plain_one() -> None:
    start = torch.randn(50, 3)
    values = [nn.Parameter(start.clone()) for _ in range(2)]
    optimisers = [adam([values[0]], 1e-2), torch.optim.Adam([values[1]], lr=1e-2, betas=(0.5, 0.999))]
    for _ in range(5):
        for value, optimiser in zip(values, optimisers, strict=True):
            optimiser.zero_grad()
            value.square().sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    assert_allclose(values[0].detach(), values[1].detach(), rtol=1e-5, atol=1e-6)


def test_per_modality_falls_back_to_the_default_and_says_what_is_missing() -> None:
    assert per_modality(0.5, "image") == 0.5
    assert per_modality({"image": 1.0, "default": 2.0}, "image") == 1.0
    assert per_modality({"image": 1.0, "default": 2.0}, "text") == 2.0
    with pytest.raises(UsageError, match="'text'"):
        per_modality({"image": 1.0}, "text")


@pytest.mark.parametrize("scaling", ["none", "standard", "unit"])
def test_a_split_comes_to_the_device_as_its_scalers_leave_it(scaling: Scaling) -> None:
    rows = np.random.default_rng(0).normal(3, 2, size=(40, 4)).astype(np.float16)
    rows[:, 3], rows[5] = 7, 0
    split = Split({"image": Modality(rows, np.arange(40) % 2)}, 2)
    scaler = Scaler.fit(rows, scaling)
    found = DeviceSplit(split, "cpu", {"image": scaler}).features["image"]
    assert found.dtype == torch.float32
    assert_allclose(found, scaler(rows), rtol=1e-6)


def test_blocks_cover_every_row_of_every_modality_together() -> None:
    labels = np.arange(10) % 2
    train = Split({"a": Modality(np.zeros((10, 2)), labels), "b": Modality(np.zeros((4, 3)), labels[:4])}, 2)
    blocks = list(DeviceSplit(train, "cpu").blocks(4))
    assert [len(block) for block in blocks] == [4, 3, 3]
    for name, count in (("a", 10), ("b", 4)):
        assert torch.cat([block.rows[name] for block in blocks]).tolist() == list(range(count))
        assert all(name in block.features for block in blocks)


@dataclass(frozen=True, kw_only=True)
class Widths(DeepSettings):
    epochs: int = 1
    hidden: tuple[int, ...] = (4,)


def test_settings_refuse_counts_and_widths_below_one() -> None:
    for wrong in ({"epochs": 0}, {"hidden": (3, 0)}, {"patience": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Widths(**wrong)
    assert Widths().patience is None
