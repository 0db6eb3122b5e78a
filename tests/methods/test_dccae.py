"""DCCAE: its loss and its closing map are canonical correlation analysis where the networks are linear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.contract import Context, Modality, Split
from bench.training import DeviceSplit, canonical_correlations
from methods.dccae import DCCAE, ClosingCCA, DCCAESettings, sigmoid_net
from methods.mcca import MCCA, MCCASettings
from tests.methods.small_splits import separable

SMALL = DCCAESettings(epochs=3, batch_size=15, hidden=(8,), dim=2, lr=1e-2)
PAIR = {"image": 40, "text": 40}


def correlated(count: int, seed: int = 0) -> Split:
    """Return two modalities that share two hidden directions."""
    generator = np.random.default_rng(seed)
    weights = np.random.default_rng(99)
    hidden = generator.normal(size=(count, 2))
    rows = [
        hidden @ weights.normal(size=(2, width)) + 0.5 * generator.normal(size=(count, width))
        for width in (6, 5)
    ]
    labels = (hidden[:, 0] > 0).astype(np.int64)
    parts = {name: Modality(x.astype(np.float32), labels) for name, x in zip(PAIR, rows, strict=True)}
    return Split(parts, 2, "natural")


def fitted(settings: DCCAESettings, split: Split, context: Context | None = None) -> DCCAE:
    method = DCCAE(settings)
    method.fit(split, split, context or Context(scope=("small",)))
    return method


def test_without_hidden_layers_the_loss_is_that_of_linear_cca_whatever_the_weights() -> None:
    split = correlated(60)
    linear = DCCAESettings(hidden=(), dim=5, reconstruction=0.0, ridge=1e-9)
    method = DCCAE(linear)
    # With as many outputs as the narrower modality has features, no weight can lose any correlation.
    narrow = Split(
        {"a": split["text"], "b": Modality(split["image"].features[:, :5], split["image"].labels)},
        2,
        "natural",
    )
    mcca = MCCA(MCCASettings(components=5, shrinkage=0.0))
    mcca.fit(narrow, narrow, Context())
    expected = sum(mcca.notes()["eigenvalues"])
    train = DeviceSplit(narrow, "cpu")
    stage = next(method.stages(train, Context(scope=("small",))))
    batch = train.take({name: np.arange(60) for name in narrow})
    clock: Any = None
    parts = stage.tracks[0].steps[0].loss(batch, clock)
    assert isinstance(parts, dict)
    assert parts["loss"].item() == pytest.approx(-expected, rel=1e-4)


def test_the_closing_map_gives_canonical_variables() -> None:
    split = correlated(80)
    left, right = (torch.tensor(split[name].features[:, :5], dtype=torch.float64) for name in PAIR)
    closing = ClosingCCA(("image", "text"), 5, 1e-9).double()
    total = closing.fit(left, right)
    one, other = closing("image", left), closing("text", right)
    expected = canonical_correlations(left, right, 1e-9)
    assert total == pytest.approx(float(expected.sum()))
    torch.testing.assert_close(one.T @ one / 79, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(other.T @ other / 79, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(one.T @ other / 79, torch.diag(expected), rtol=0, atol=1e-6)


def test_training_finds_a_relation_that_linear_cca_cannot() -> None:
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, size=(300, 1))
    y = np.abs(x)
    labels = (np.abs(x[:, 0]) > 0.5).astype(np.int64)
    split = Split(
        {"image": Modality(x.astype(np.float32), labels), "text": Modality(y.astype(np.float32), labels)},
        2,
        "natural",
    )
    context = Context(scope=("small",))
    fitted(DCCAESettings(epochs=20, batch_size=100, hidden=(32,), dim=1, lr=1e-2), split, context)
    linear = canonical_correlations(torch.tensor(x), torch.tensor(y), 1e-6)[0]
    closing = [float(value or 0.0) for value in context.trace.column("closing_correlation/joint")]
    assert float(linear) < 0.3
    assert closing[-1] > 0.6


def test_embeddings_of_the_training_pairs_are_uncorrelated_but_with_their_partners() -> None:
    split = correlated(60)
    method = fitted(replace(SMALL, closing_ridge=1e-9), split)
    one, other = (method.embed(name, part.features) for name, part in split.items())
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    np.testing.assert_allclose(one.T @ one / 59, np.eye(2), atol=1e-3)
    cross = one.T @ other / 59
    np.testing.assert_allclose(cross - np.diag(np.diag(cross)), 0.0, atol=1e-3)
    assert cross[0, 0] >= cross[1, 1] > 0.0


def test_every_checkpoint_brings_back_its_own_closing_map() -> None:
    split = correlated(60)
    context = Context(scope=("small",))
    method = fitted(replace(SMALL, epochs=6), split, context)
    maps: list[float | None] = [row["validation_map"] for row in context.trace.rows]  # type: ignore[misc]
    best = method.checkpoints()["best"]
    from bench.evaluation import validation_map

    for rule, epoch in (("last", 6), ("best", best.epoch), ("last", 6)):
        method.restore(rule)
        scores = validation_map(method, split)
        assert isinstance(epoch, int)
        assert sum(scores.values()) / 2 == pytest.approx(maps[epoch - 1])


def test_without_reconstruction_there_are_no_decoders() -> None:
    split = separable(PAIR, pairing="natural")
    dcca, dccae = (fitted(replace(SMALL, reconstruction=weight), split) for weight in (0.0, 1.0))
    assert dcca.notes()["parameters"] < dccae.notes()["parameters"]
    one, other = (method.embed("image", split["image"].features) for method in (dcca, dccae))
    assert not np.allclose(one, other)


def test_networks_are_layers_of_sigmoid_and_normalisation() -> None:
    kinds = [type(layer) for layer in sigmoid_net((3, 4, 5, 2))]
    assert kinds == [nn.Linear, nn.Sigmoid, nn.BatchNorm1d] * 2 + [nn.Linear]


def test_equal_features_everywhere_do_no_harm() -> None:
    split = separable(PAIR, pairing="natural")
    flat = Split(
        {
            "image": Modality(np.ones_like(split["image"].features), split["image"].labels),
            "text": split["text"],
        },
        3,
        "natural",
    )
    context = Context(scope=("small",))
    fitted(SMALL, flat, context)
    assert np.isfinite(np.array(context.trace.column("train_loss/joint"), float)).all()


@pytest.mark.parametrize("wrong", [{"batch_size": 1}, {"ridge": 0.0}, {"closing_ridge": 0.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[-1]):
        DCCAESettings(**wrong)
