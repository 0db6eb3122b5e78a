"""Networks, label graphs, seeding, selection rules and settings: what methods rely on."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import Tensor, nn

from bench import training as t
from bench.conformance.samples import Sample
from bench.contract import Context, Modality, Split, UsageError
from bench.data.scaling import Scaler, Scaling
from bench.training.seeding import Noise
from bench.training.track import Row
from tests.faults import card


def test_mlp_puts_norm_activation_and_dropout_after_every_layer_but_the_last() -> None:
    net = t.mlp((4, 3, 2), norm=nn.BatchNorm1d, activation=nn.Tanh, dropout=0.5, bias_last=False)
    assert [type(layer) for layer in net] == [nn.Linear, nn.BatchNorm1d, nn.Tanh, nn.Dropout, nn.Linear]
    assert "4.bias" not in net.state_dict()
    assert isinstance(t.mlp((4, 3), activate_last=True)[-1], nn.ReLU)


def test_prototypes_are_orthonormal_and_refuse_too_narrow_a_space() -> None:
    w = t.Prototypes(7, 4, trained=False)
    assert_allclose(w.weight.T @ w.weight, np.eye(4), atol=1e-6)
    assert not w.weight.requires_grad
    assert w(torch.ones(2, 7)).shape == (2, 4)
    with pytest.raises(UsageError, match="dim=3"):
        t.Prototypes(3, 4)
    prototypes = t.Prototypes(5, 3)
    directions = prototypes.weight.detach().clone()
    prototypes.weight.data *= torch.tensor([2.0, 0.5, 3.0])
    prototypes.renormalise()
    assert_allclose(prototypes.weight.detach(), directions, rtol=1e-5, atol=1e-7)
    assert prototypes.weight.requires_grad


def test_modules_start_alike_for_the_same_stream_and_leave_the_global_generator_alone() -> None:
    context = Context(seed=3, scope=("data",))
    before = torch.get_rng_state()
    one, two = (t.built(lambda: t.mlp((3, 2)), context, "image") for _ in range(2))
    other = t.built(lambda: t.mlp((3, 2)), context, "text")
    assert torch.equal(one[0].weight, two[0].weight)  # type: ignore[arg-type]
    assert not torch.equal(one[0].weight, other[0].weight)  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), before)


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


KINDS: list[tuple[Any, Any]] = [
    (
        lambda groups: t.adam(groups, 0.01, weight_decay=0.01),
        lambda groups: torch.optim.Adam(groups, 0.01, (0.5, 0.999), weight_decay=0.01, fused=True),
    ),
    (
        lambda groups: t.rmsprop(groups, 0.01, 0.01),
        lambda groups: torch.optim.RMSprop(groups, 0.01, weight_decay=0.01),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), KINDS)
def test_optimisers_take_the_steps_of_torch_without_importing_its_compiler(
    ours: Any, theirs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for make in (theirs, ours):
        if make is ours:
            monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # importing it is an error
        net = t.built(lambda: t.mlp((3, 4, 2)), Context(), "net")
        optimiser = make([{"params": net[0].parameters(), "lr": 0.1}, {"params": net[2].parameters()}])
        for _ in range(5):
            optimiser.zero_grad(set_to_none=True)
            net(torch.ones(2, 3)).square().sum().backward()
            optimiser.step()
        found.append([part.tolist() for part in net.parameters()])
    assert found[0] == found[1]


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


# Class 0 always comes with class 1, which often comes alone; class 3 never occurs.
COUNTS = torch.tensor(
    [[2.0, 2.0, 0.0, 0.0], [2.0, 8.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
)


def test_neighbours_follow_from_the_probability_of_the_second_class_given_the_first() -> None:
    expected = np.diag([1.5, 1.5, 1.5, 1.0]) + 0.5 * np.outer(np.eye(4)[0], np.eye(4)[1])
    assert_allclose(t.correlations(COUNTS, 0.4), expected)


def test_cooccurrence_counts_the_rows_of_all_modalities() -> None:
    labels = np.array([[1, 1, 0], [0, 1, 0]]), np.array([[0, 1, 1]])
    parts = {name: Modality(np.ones((len(y), 2)), y) for name, y in zip("ab", labels, strict=True)}
    assert_allclose(t.cooccurrence(t.DeviceSplit(Split(parts, 3), "cpu")), [[1, 1, 0], [1, 3, 1], [0, 1, 1]])


def test_a_class_without_any_weight_in_the_graph_leaves_numbers_finite() -> None:
    a = torch.zeros(2, 2, requires_grad=True)
    assert torch.isfinite(torch.autograd.grad(t.normalised(a).sum(), [a])[0]).all()


def test_the_label_network_reads_neighbours_alone() -> None:
    torch.manual_seed(0)
    net = t.LabelNetwork(3, 4, 5, layers=2)
    chain = torch.eye(3) + torch.diag(torch.ones(2), 1)  # 0 reads 1, 1 reads 2
    (reached,) = torch.autograd.grad(net(chain)[1].sum(), net.inputs)
    assert [bool(row.any()) for row in reached] == [False, True, True]


def test_label_scores_are_cosines_and_zero_for_rows_without_direction() -> None:
    scores = t.label_scores(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[3.0, 4.0], [4.0, -3.0]]))
    assert_allclose(scores, [[1, 0], [0, 0]], atol=1e-6)


@given(st.lists(st.floats(0, 1) | st.just(math.nan) | st.none(), min_size=1))
def test_the_first_of_the_highest_maps_is_chosen(values: list[float | None]) -> None:
    rows = [{"validation_map": value} for value in values]
    numbers = [-1.0 if value is None or math.isnan(value) else value for value in values]
    assert t.BY_MAP.choose(rows, ("a", "b")) == dict.fromkeys("ab", 1 + numbers.index(max(numbers)))


def test_losses_are_chosen_per_track_and_the_last_epoch_compares_nothing() -> None:
    rows = [
        {"validation_loss/a": 3.0, "validation_loss/b": 1.0},
        {"validation_loss/a": 2.0, "validation_loss/b": math.inf},
    ]
    assert t.BY_LOSS.choose(rows, ("a", "b")) == {"a": 2, "b": 1}
    assert t.BY_LOSS.values(rows, ("a", "b")) == {"a": 2.0, "b": 1.0}
    assert (t.LAST.choose(rows, ("a",)), t.LAST.values(rows, ("a",))) == ({"a": 2}, None)


def test_an_epoch_that_could_not_be_ranked_is_not_chosen_by_its_loss() -> None:
    losses, maps = (3.0, 2.0, 1.0), (0.5, 0.2, None)
    unscored: list[Row] = [{"validation_loss/a": loss} for loss in losses]
    rows: list[Row] = [{**row, "validation_map": value} for row, value in zip(unscored, maps, strict=True)]
    assert t.BY_LOSS.choose(rows, ("a",)) == {"a": 2}
    assert replace(t.BY_LOSS, rankable=False).choose(rows, ("a",)) == {"a": 3}
    assert t.BY_LOSS.choose(unscored, ("a",)) == {"a": 3}


class InPlace(t.DeepMethod):
    """Changes the tensors that it is given."""

    card = card("in_place", deep=True)

    def stages(self, train: t.DeviceSplit, context: Context) -> Iterator[t.Stage]:
        for features in train.features.values():
            features.sub_(features.mean(dim=0))
        return iter(())

    def encode(self, modality: str, x: Tensor) -> Tensor:
        return x.sub_(1.0)


@pytest.mark.parametrize("scaling", ["none", "standard", "unit"])
def test_changes_of_tensors_do_not_reach_read_only_features(scaling: Scaling) -> None:
    data, untouched = Sample().dataset(), Sample().dataset()
    method = InPlace(t.DeepSettings(scaling=scaling))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        method.fit(data.train, data.validation, Context())
        for _ in range(2):
            rows = method.embed("image", data.test["image"].features)
    assert np.isfinite(rows).all()
    for part, before in ((data.train, untouched.train), (data.test, untouched.test)):
        assert part["image"].features.tobytes() == before["image"].features.tobytes()
