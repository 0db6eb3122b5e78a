"""MARS: its network, losses and gradients equal the released code's; its two stages are what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from bench.contract import Array, Context, UsageError
from methods.mars import MARS, DataNet, MARSSettings, mars_loss, pair_loss
from tests.methods.golden import Golden, golden, gradients, leaves, state
from tests.methods.small_splits import separable

SMALL = MARSSettings(epochs=3, batch_size=9, hidden=(8,), label_hidden=(8,), dim=5, lr=1e-2)
INPUTS = ("label_features", "shared", "exclusive")


@pytest.fixture(scope="module")
def numbers() -> Golden:
    return golden("mars")


@pytest.mark.parametrize("kind", ["onehot", "multihot"])
@pytest.mark.parametrize("view", ["view0", "view_gt0"])
def test_losses_and_gradients_equal_the_releases(numbers: Golden, kind: str, view: str) -> None:
    inputs = leaves(numbers, *INPUTS)
    label, shared, exclusive = inputs
    y_label, y = (torch.tensor(numbers[f"{batch}_batch_{kind}"]) for batch in ("label", "data"))
    directions = torch.tensor(numbers["W"])
    first = view == "view0"
    parts = mars_loss(label, y_label, shared, exclusive, y, directions, MARSSettings(), learns_labels=first)
    pairs = [numbers[f"{kind}_P_{pair}"] for pair in ("label_shared", "shared_shared", "label_label")]
    assert_allclose(pair_loss(label, shared, y_label, y).item(), pairs[0], rtol=1e-8)
    assert_allclose(parts["P"].item(), sum(pairs if first else pairs[:2]), rtol=1e-8)
    assert_allclose(parts["CE"].item(), numbers[f"{kind}_CE_shared"], rtol=1e-8)
    assert_allclose(parts["H"].item(), numbers[f"{kind}_entropy_exclusive"], rtol=1e-8)
    assert_allclose(parts["loss"].item(), numbers[f"{kind}_total_{view}"], rtol=1e-8)
    names = INPUTS if first else INPUTS[1:]
    found = gradients(parts["loss"], inputs if first else inputs[1:])
    for name, value in zip(names, found, strict=True):
        assert_allclose(value, numbers[f"{kind}_grad_{view}_{name}"], rtol=1e-7, atol=1e-12)


def test_published_weights_are_the_releases(numbers: Golden) -> None:
    own = MARSSettings()
    assert own.alpha == numbers["alpha1"] == numbers["alpha2"]
    assert (own.beta, own.beta_others) == (numbers["beta1"], numbers["beta2"])


def test_cross_entropy_of_label_features_is_in_no_total(numbers: Golden) -> None:
    label, y = (torch.tensor(numbers[key]) for key in ("label_features", "label_batch_onehot"))
    unused = torch.nn.functional.cross_entropy(label @ torch.tensor(numbers["W"]), y)
    assert_allclose(unused, numbers["onehot_CE_label_unused"], rtol=1e-8)


def test_network_equals_the_releases(numbers: Golden) -> None:
    net = DataNet(13, (20, 14), 16)
    layers = {"trunk.0": "fc1", "trunk.2": "fc2"}
    names = {
        f"{ours}.{kind}": f"datanet_{theirs}_{kind}"
        for ours, theirs in layers.items()
        for kind in ("weight", "bias")
    }
    heads = {"heads.0.weight": "datanet_fc3s_weight", "heads.1.weight": "datanet_fc3e_weight"}
    net.load_state_dict(state(numbers, names | heads))
    for value, name in zip(net(torch.tensor(numbers["datanet_x"])), ("shared", "exclusive"), strict=True):
        assert_allclose(value.detach(), numbers[f"datanet_out_{name}"], rtol=1e-5, atol=1e-6)


def fitted(settings: MARSSettings, names: tuple[str, ...]) -> tuple[MARS, Context]:
    context = Context(scope=("small",))
    method = MARS(settings)
    train, validation = (separable(dict.fromkeys(names, n), seed=n) for n in (22, 9))
    method.fit(train, validation, context)
    return method, context


def test_label_network_stands_still_while_the_other_modalities_learn() -> None:
    method, _ = fitted(SMALL, ("image", "text", "audio"))
    assert not any(weight.requires_grad for weight in method.labels.parameters())
    alone, _ = fitted(replace(SMALL, epochs=3), ("image", "text"))
    for ours, theirs in zip(method.labels.parameters(), alone.labels.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_first_modality_keeps_its_last_epoch_and_the_others_that_of_the_best_map() -> None:
    method, context = fitted(replace(SMALL, lr=0.5, epochs=6), ("image", "text"))
    maps = np.array(context.trace.column("validation_map", "others"), float)
    assert method.checkpoints()["best"].epoch == {"labels/image": 6, "others/text": maps.argmax() + 1}
    probe = separable({"image": 9})["image"].features
    method.restore("best")
    best = method.embed("image", probe)
    method.restore("last")
    assert_allclose(method.embed("image", probe), best, rtol=0, atol=0)


def test_release_drops_the_rows_that_do_not_fill_a_batch() -> None:
    def last(**changes: Any) -> Array:
        method, _ = fitted(replace(SMALL, **changes), ("image", "text"))
        method.restore("last")
        return method.embed("text", separable({"text": 9})["text"].features)

    assert not np.allclose(last(), last(faithful_to="release"))
    assert_allclose(last(batch_size=11), last(batch_size=11, faithful_to="release"), rtol=0, atol=0)


def test_too_many_classes_for_the_width_are_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match="raise dim"):
        fitted(replace(SMALL, dim=2), ("image", "text"))
