"""GMLDA: its golden numbers, and what ties its modalities together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.contract import Context, Modality, Split, Unsupported
from methods.gmlda import GMLDA, GMLDASettings
from tests.methods.linear_splits import random_split, split_of
from tests.methods.real_splits import COMPACT, emoji, reached
from tests.shared import shared


def _fitted(train: Split, **settings: Any) -> GMLDA:
    method = GMLDA(GMLDASettings(**settings))
    method.fit(train, train, Context())
    return method


@pytest.mark.parametrize("equalise", [False, True])
@pytest.mark.parametrize("alignment", ["pairs", "means"])
def test_weights_and_eigenvalues_are_those_of_the_release(alignment: Any, equalise: bool) -> None:
    golden = np.load(shared("golden/gmlda.npz"))
    order = golden["pair_order_for_mode1"] if alignment == "pairs" else np.arange(45)
    train = split_of(
        [golden["x0"], golden["x1"][order]],
        [golden["label0"], golden["label1"][order]],
        int(golden["label0"].max()) + 1,
        "natural" if alignment == "pairs" else "none",
    )
    settings = {"pca_energy": 1.0, "components": 4, "weigh_means": False, "mu": (1.0, 1.0)}
    method = _fitted(train, alignment=alignment, equalise=equalise, **settings)
    case = f"mode{1 if alignment == 'pairs' else 2}_auto{int(equalise)}"
    weights = np.vstack([method.projections[name].weights for name in train])
    official = golden[f"{case}_W_official_octave"]
    cosines = np.sum(weights * official, axis=0) / np.linalg.norm(weights, axis=0)
    np.testing.assert_allclose(np.abs(cosines) / np.linalg.norm(official, axis=0), 1.0, atol=1e-8)
    projector = weights @ np.linalg.pinv(weights)
    np.testing.assert_allclose(projector, golden[f"{case}_projector_derived"], atol=1e-8)
    values = golden[f"{case}_eigenvalues_official_octave"]
    np.testing.assert_allclose(method.notes()["eigenvalues"], values, rtol=1e-8)


def test_class_means_need_no_order_of_rows() -> None:
    train = random_split()
    order = np.random.default_rng(1).permutation(45)
    mixed = Split({"v0": train["v0"], "v1": train["v1"].take(order)}, 4)
    one, other = _fitted(train), _fitted(mixed)
    np.testing.assert_allclose(one.projections["v0"].weights, other.projections["v0"].weights, atol=1e-9)


def test_weighted_means_are_alpha_times_the_rows_of_a_class() -> None:
    train = random_split((40, 40))
    weighted = _fitted(train, alpha=2.0)
    plain = _fitted(train, alpha=20.0, weigh_means=False)
    np.testing.assert_allclose(weighted.projections["v1"].weights, plain.projections["v1"].weights, rtol=1e-8)


def test_alignment_brings_the_class_means_together() -> None:
    train = random_split()
    nearness = []
    for alpha in (0.0, 10.0):
        method = _fitted(train, alpha=alpha)
        means = [
            np.array([method.embed(name, part.features)[part.labels == c].mean(axis=0) for c in range(4)])
            for name, part in train.items()
        ]
        cosines = np.sum(means[0] * means[1], axis=1) / np.prod(
            [np.linalg.norm(mean, axis=1) for mean in means], axis=0
        )
        nearness.append(float(cosines.mean()))
    assert nearness[0] < 0.5
    assert nearness[1] > 0.85


def test_a_class_missing_in_one_modality_is_left_out_of_the_alignment() -> None:
    train = random_split()
    kept = train["v1"].take(train["v1"].labels != 2)
    method = _fitted(Split({"v0": train["v0"], "v1": kept}, 4))
    assert np.isfinite(method.embed("v0", train["v0"].features)).all()


def test_modalities_without_a_common_class_are_refused() -> None:
    train = random_split()
    parts = {
        name: train[name].take(np.isin(train[name].labels, own))
        for name, own in (("v0", [0, 1]), ("v1", [2, 3]))
    }
    with pytest.raises(Unsupported, match="no class occurs in every modality"):
        _fitted(Split(parts, 4))


def test_aligned_rows_must_be_pairs() -> None:
    with pytest.raises(Unsupported, match="class_matched"):
        _fitted(random_split((40, 40)), alignment="pairs")


def test_one_mu_per_modality() -> None:
    with pytest.raises(Unsupported, match="3 values of mu for 2 modalities"):
        _fitted(random_split(), mu=(1.0, 1.0, 1.0))


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_scales_apart_by_many_orders_still_give_an_answer(scale: float) -> None:
    train = random_split()
    stretched = Split(
        {"v0": Modality(train["v0"].features * scale, train["v0"].labels), "v1": train["v1"]}, 4
    )
    rows = _fitted(stretched, ridge=0.0).embed("v0", stretched["v0"].features)
    plain = _fitted(train, ridge=0.0).embed("v0", train["v0"].features)
    np.testing.assert_allclose(np.abs(rows), np.abs(plain), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("ridge", [0.0, 1e-6])
def test_classes_of_one_row_still_give_an_answer(ridge: float) -> None:
    train = random_split((4, 8))
    assert np.isfinite(_fitted(train, ridge=ridge).embed("v0", train["v0"].features)).all()


@pytest.mark.parametrize(
    "wrong", [{"alpha": -1.0}, {"ridge": -1.0}, {"components": 0}, {"mu": (1.0, 0.0)}, {"mu": ()}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GMLDASettings(**wrong)


def test_emoji_scores_are_far_above_those_of_unsupervised_methods() -> None:
    assert min(reached(GMLDA(), *emoji(COMPACT))) > 0.65
