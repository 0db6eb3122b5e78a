"""Encoders, losses, seeding, scaling and settings: each law that methods rely on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from bench import training as t
from bench.contract import Context, Modality, Split, UsageError
from bench.data.scaling import Scaler, Scaling
from bench.training.seeding import Noise


def test_mlp_puts_norm_activation_and_dropout_after_every_layer_but_the_last() -> None:
    net = t.mlp((4, 3, 2), norm=nn.BatchNorm1d, activation=nn.Tanh, dropout=0.5, bias_last=False)
    assert [type(layer) for layer in net] == [nn.Linear, nn.BatchNorm1d, nn.Tanh, nn.Dropout, nn.Linear]
    assert "4.bias" not in net.state_dict()
    assert isinstance(t.mlp((4, 3), activate_last=True)[-1], nn.ReLU)


def test_unit_rows_have_length_one_and_zero_rows_a_finite_gradient() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    (t.unit(rows).sum() + t.row_norm(rows).sum()).backward()  # type: ignore[no-untyped-call]
    assert_allclose(t.unit(rows).detach()[0], [0.6, 0.8], rtol=1e-6)
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()


def test_cosines_are_those_of_the_definition() -> None:
    a, b = torch.randn(3, 5), torch.randn(4, 5)
    assert_allclose(t.cosines(a, b), torch.cosine_similarity(a[:, None], b[None], dim=2), atol=1e-6)
    assert_allclose(t.distance(a, a + 2), np.sqrt(20), rtol=1e-6)


def test_pair_nll_is_the_binary_cross_entropy_of_hard_labels() -> None:
    scores, s = torch.randn(4, 6), torch.randint(0, 2, (4, 6)).float()
    assert_allclose(
        t.pair_nll(scores, s), nn.functional.binary_cross_entropy_with_logits(scores, s), rtol=1e-5
    )


def test_the_shared_cross_entropy_aims_at_equal_shares_of_a_rows_classes() -> None:
    y = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    logits = torch.tensor([[50.0, 50.0, 0.0], [0.0, 0.0, 50.0], [1.0, 2.0, 3.0]])
    assert t.shared_cross_entropy(logits, y).item() == pytest.approx(math.log(2.0) / 3)


@pytest.mark.parametrize("q", [0.0, 0.01, 1.0])
def test_gce_of_rows_without_a_class_is_finite_and_has_no_gradient(q: float) -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    t.gce(logits, torch.zeros(2, 3), q).backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(t.class_log_probability(logits, torch.zeros(2, 3))).all()
    assert logits.grad is not None
    assert_allclose(logits.grad, 0, atol=1e-6)


def test_prototypes_are_orthonormal_and_refuse_too_narrow_a_space() -> None:
    w = t.Prototypes(7, 4, trained=False)
    assert_allclose(w.weight.T @ w.weight, np.eye(4), atol=1e-6)
    assert not w.weight.requires_grad
    assert w(torch.ones(2, 7)).shape == (2, 4)
    with pytest.raises(UsageError, match="dim=3"):
        t.Prototypes(3, 4)


def test_modules_start_alike_for_the_same_stream_and_leave_the_global_generator_alone() -> None:
    context = Context(seed=3, scope=("data",))
    before = torch.get_rng_state()
    one, two = (t.built(lambda: t.mlp((3, 2)), context, "image") for _ in range(2))
    other = t.built(lambda: t.mlp((3, 2)), context, "text")
    assert torch.equal(one[0].weight, two[0].weight)  # type: ignore[arg-type]
    assert not torch.equal(one[0].weight, other[0].weight)  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), before)
    draws = [torch.rand(2, generator=t.generator(context, "a")) for _ in range(2)]
    assert torch.equal(draws[0], draws[1])


def test_a_noise_stream_goes_on_where_it_was_left() -> None:
    context = Context()
    with t.seeded(context, "noise"):
        whole = torch.rand(4)
    noise = Noise(context, "noise")
    with noise.active():
        first = torch.rand(2)
    torch.rand(5)
    with noise.active():
        second = torch.rand(2)
    assert torch.equal(torch.cat([first, second]), whole)


def test_reproducible_settings_hold_in_the_body_and_end_with_it() -> None:
    def found() -> tuple[int, bool]:
        return torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()

    before = found()
    with t.reproducible(threads=1):
        assert found() == (1, True)
    assert found() == before


def test_per_modality_falls_back_to_the_default_and_says_what_is_missing() -> None:
    rates = {"image": 1.0, "default": 2.0}
    found = t.per_modality(0.5, "image"), t.per_modality(rates, "image"), t.per_modality(rates, "text")
    assert found == (0.5, 1.0, 2.0)
    with pytest.raises(UsageError, match="'text'"):
        t.per_modality({"image": 1.0}, "text")


@pytest.mark.parametrize("scaling", ["none", "standard", "unit"])
def test_a_split_comes_to_the_device_as_its_scalers_leave_it(scaling: Scaling) -> None:
    rows = np.random.default_rng(0).normal(3, 2, size=(40, 4)).astype(np.float16)
    rows[:, 3], rows[5] = 7, 0
    split = Split({"image": Modality(rows, np.arange(40) % 2)}, 2)
    scaler = Scaler.fit(rows, scaling)
    found = t.DeviceSplit(split, "cpu", {"image": scaler}).features["image"]
    assert found.dtype == torch.float32
    assert_allclose(found, scaler(rows), rtol=1e-6)


def test_blocks_cover_every_row_of_every_modality_together() -> None:
    labels = np.arange(10) % 2
    train = Split({"a": Modality(np.zeros((10, 2)), labels), "b": Modality(np.zeros((4, 3)), labels[:4])}, 2)
    blocks = list(t.DeviceSplit(train, "cpu").blocks(4))
    assert [len(block) for block in blocks] == [4, 3, 3]
    for name, count in (("a", 10), ("b", 4)):
        assert torch.cat([block.rows[name] for block in blocks]).tolist() == list(range(count))
        assert all(name in block.features for block in blocks)


@dataclass(frozen=True, kw_only=True)
class Widths(t.DeepSettings):
    epochs: int = 1
    hidden: tuple[int, ...] = (4,)


def test_settings_refuse_counts_and_widths_below_one() -> None:
    for wrong in ({"epochs": 0}, {"hidden": (3, 0)}, {"patience": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Widths(**wrong)
    assert Widths().patience is None
