"""DCCAE: its loss and its closing map are canonical correlation analysis where the networks are linear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.contract import Array, Context, Modality, Split
from bench.evaluation import validation_map
from bench.training import DeviceSplit, canonical_correlations
from methods.dccae import DCCAE, DCCAESettings, FinalCCA, sigmoid_net
from methods.mcca import MCCA, MCCASettings
from tests.methods.small_splits import PAIR, fitted, separable

SMALL = DCCAESettings(epochs=3, batch_size=15, hidden=(8,), dim=2, lr=1e-2)


def pair(image: Array, text: Array, labels: Array) -> Split:
    parts = {"image": Modality(image.astype("f4"), labels), "text": Modality(text.astype("f4"), labels)}
    return Split(parts, int(labels.max()) + 1, "natural")


def correlated(count: int, widths: tuple[int, int] = (6, 5)) -> Split:
    """Return two modalities that share two hidden directions."""
    generator, weights = np.random.default_rng(0), np.random.default_rng(99)
    hidden = generator.normal(size=(count, 2))
    image, text = (
        hidden @ weights.normal(size=(2, width)) + 0.5 * generator.normal(size=(count, width))
        for width in widths
    )
    return pair(image, text, (hidden[:, 0] > 0).astype(np.int64))


def test_without_hidden_layers_the_loss_is_that_of_linear_cca_whatever_the_weights() -> None:
    """With as many outputs as a modality has features, no weight can lose any correlation."""
    split = correlated(60, (5, 5))
    method = DCCAE(DCCAESettings(hidden=(), dim=5, reconstruction=0.0, ridge=1e-9))
    expected = sum(fitted(MCCA(MCCASettings(components=5, shrinkage=0.0)), split).notes()["eigenvalues"])
    train = DeviceSplit(split, "cpu")
    stage = next(method.stages(train, Context(scope=("small",))))
    clock: Any = None
    parts = stage.tracks[0].steps[0].loss(train.take({name: torch.arange(60) for name in split}), clock)
    assert isinstance(parts, dict)
    assert parts["loss"].item() == pytest.approx(-expected, rel=1e-4)


def test_the_closing_map_gives_canonical_variables() -> None:
    split = correlated(80, (5, 5))
    left, right = (torch.tensor(part.features, dtype=torch.float64) for part in split.values())
    closing = FinalCCA(("image", "text"), 5, 1e-9).double()
    total = closing.fit(left, right)
    rows = closing("image", left), closing("text", right)
    expected = canonical_correlations(left, right, 1e-9)
    assert total == pytest.approx(float(expected.sum()))
    for i, j in ((0, 0), (1, 1), (0, 1)):
        target = torch.eye(5, dtype=torch.float64) if i == j else torch.diag(expected)
        torch.testing.assert_close(rows[i].T @ rows[j] / 79, target, rtol=0, atol=1e-6)


def test_training_finds_a_relation_that_linear_cca_cannot() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, size=(300, 1))
    split = pair(x, np.abs(x), (np.abs(x[:, 0]) > 0.5).astype(np.int64))
    context = Context(scope=("small",))
    settings = DCCAESettings(epochs=20, batch_size=100, hidden=(32,), dim=1, lr=1e-2)
    fitted(DCCAE(settings), split, context=context)
    linear = canonical_correlations(torch.tensor(x), torch.tensor(np.abs(x)), 1e-6)[0]
    assert float(linear) < 0.3
    assert float(context.trace.column("closing_correlation/joint")[-1] or 0) > 0.6


def test_embeddings_of_the_training_pairs_are_uncorrelated_but_with_their_partners() -> None:
    split = correlated(60)
    method = fitted(DCCAE(replace(SMALL, closing_ridge=1e-9)), split)
    left, right = (method.embed(name, part.features) for name, part in split.items())
    left, right = left - left.mean(axis=0), right - right.mean(axis=0)
    np.testing.assert_allclose(left.T @ left / 59, np.eye(2), atol=1e-3)
    cross = left.T @ right / 59
    np.testing.assert_allclose(cross - np.diag(np.diag(cross)), 0.0, atol=1e-3)
    assert cross[0, 0] >= cross[1, 1] > 0.0


def test_every_checkpoint_brings_back_its_closing_map() -> None:
    split, context = correlated(60), Context(scope=("small",))
    method = fitted(DCCAE(replace(SMALL, epochs=6)), split, context=context)
    maps = context.trace.column("validation_map")
    best = method.checkpoints()["best"].epoch
    assert isinstance(best, int)
    for rule, epoch in (("last", 6), ("best", best), ("last", 6)):
        method.restore(rule)
        assert np.mean(list(validation_map(method, split).values())) == pytest.approx(maps[epoch - 1])


def test_without_reconstruction_there_are_no_decoders() -> None:
    split = separable(PAIR, pairing="natural")
    dcca, dccae = (fitted(DCCAE(replace(SMALL, reconstruction=weight)), split) for weight in (0.0, 1.0))
    assert dcca.notes()["parameters"] < dccae.notes()["parameters"]
    left, right = (method.embed("image", split["image"].features) for method in (dcca, dccae))
    assert not np.allclose(left, right)


def test_networks_are_layers_of_sigmoid_and_normalisation() -> None:
    kinds = [type(layer) for layer in sigmoid_net((3, 4, 5, 2))]
    assert kinds == [nn.Linear, nn.Sigmoid, nn.BatchNorm1d] * 2 + [nn.Linear]
