"""MARS: its network, losses and gradients equal the released code's; its two stages train as declared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from bench.contract import Array, Context
from methods.mars import MARS, DataNet, MARSSettings, mars_loss, pair_loss
from tests.methods.golden import Golden, assert_gradients, layers, leaves
from tests.methods.small_splits import fitted, separable

SMALL = MARSSettings(epochs=3, batch_size=9, hidden=(8,), label_hidden=(8,), dim=5, lr=1e-2)
INPUTS = ("label_features", "shared", "exclusive")


@pytest.mark.parametrize("kind", ["onehot", "multihot"])
@pytest.mark.parametrize("view", ["view0", "view_gt0"])
def test_losses_and_gradients_equal_the_releases(numbers: Golden, kind: str, view: str) -> None:
    inputs = label, shared, exclusive = leaves(numbers, *INPUTS)
    y_label, y = (torch.tensor(numbers[f"{batch}_batch_{kind}"]) for batch in ("label", "data"))
    directions, published = torch.tensor(numbers["W"]), MARSSettings()
    assert published.alpha == numbers["alpha1"] == numbers["alpha2"]
    assert (published.beta, published.beta_others) == (numbers["beta1"], numbers["beta2"])
    first = view == "view0"
    parts = mars_loss(label, y_label, shared, exclusive, y, directions, published, learns_labels=first)
    pairs = [numbers[f"{kind}_P_{pair}"] for pair in ("label_shared", "shared_shared", "label_label")]
    for value, expected in (
        (pair_loss(label, shared, y_label, y), pairs[0]),
        (parts["P"], sum(pairs if first else pairs[:2])),
        (parts["CE"], numbers[f"{kind}_CE_shared"]),
        (parts["H"], numbers[f"{kind}_entropy_exclusive"]),
        (parts["loss"], numbers[f"{kind}_total_{view}"]),
    ):
        assert_allclose(value.item(), expected, rtol=1e-8)
    start = 0 if first else 1
    slopes = [numbers[f"{kind}_grad_{view}_{name}"] for name in INPUTS[start:]]
    assert_gradients(parts["loss"], inputs[start:], slopes)


def test_network_equals_the_releases(numbers: Golden) -> None:
    net = DataNet(13, (20, 14), 16)
    names = {"trunk.0": "fc1", "trunk.2": "fc2", "heads.0": "fc3s", "heads.1": "fc3e"}
    net.load_state_dict(layers(numbers, {layer: f"datanet_{name}" for layer, name in names.items()}))
    for value, name in zip(net(torch.tensor(numbers["datanet_x"])), ("shared", "exclusive"), strict=True):
        assert_allclose(value.detach(), numbers[f"datanet_out_{name}"], rtol=1e-5, atol=1e-6)


def mars(settings: MARSSettings, *names: str, context: Context | None = None) -> MARS:
    train, validation = (separable(dict.fromkeys(names, n), seed=n) for n in (22, 9))
    return fitted(MARS(settings), train, validation, context)


def test_label_network_stands_still_while_the_other_modalities_learn() -> None:
    three, two = mars(SMALL, "image", "text", "audio"), mars(SMALL, "image", "text")
    for ours, theirs in zip(three.labels.parameters(), two.labels.parameters(), strict=True):
        assert not ours.requires_grad
        assert torch.equal(ours, theirs)


def test_the_first_modality_keeps_its_last_epoch_and_the_others_that_of_the_best_map() -> None:
    context = Context(scope=("small",))
    method = mars(replace(SMALL, lr=0.5, epochs=6), "image", "text", context=context)
    maps = np.array(context.trace.column("validation_map", "others"), float)
    assert method.checkpoints()["best"].epoch == {"labels/image": 6, "others/text": maps.argmax() + 1}
    found = []
    for rule in ("best", "last"):
        method.restore(rule)
        found.append(method.embed("image", separable({"image": 9})["image"].features))
    assert_allclose(found[0], found[1], rtol=0, atol=0)


@pytest.mark.parametrize(("size", "same"), [(9, False), (11, True)])
def test_release_drops_the_rows_that_do_not_fill_a_batch(size: int, same: bool) -> None:
    def last(settings: MARSSettings) -> Array:
        method = mars(settings, "image", "text")
        method.restore("last")
        return method.embed("text", separable({"text": 9})["text"].features)

    paper = replace(SMALL, batch_size=size)
    assert np.array_equal(last(paper), last(replace(paper, faithful_to="release"))) == same
