"""GMLDA: its golden numbers, and what ties its modalities together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.contract import Split, Unsupported
from methods.gmlda import GMLDA, GMLDASettings
from tests.methods.golden import Golden
from tests.methods.linear_splits import assert_same_directions, projector, random_split, split_of
from tests.methods.small_splits import fitted


def _fitted(train: Split, **settings: Any) -> GMLDA:
    return fitted(GMLDA(GMLDASettings(**settings)), train)


@pytest.mark.parametrize("equalise", [False, True])
@pytest.mark.parametrize("alignment", ["pairs", "means"])
def test_weights_and_eigenvalues_are_those_of_the_release(
    numbers: Golden, alignment: str, equalise: bool
) -> None:
    pairs = alignment == "pairs"
    order = numbers["pair_order_for_mode1"] if pairs else np.arange(45)
    views, labels = ([numbers[f"{what}0"], numbers[f"{what}1"][order]] for what in ("x", "label"))
    train = split_of(views, labels, int(labels[0].max()) + 1, "natural" if pairs else "none")
    settings = {"pca_energy": 1.0, "components": 4, "weigh_means": False, "mu": (1.0, 1.0)}
    method = _fitted(train, alignment=alignment, equalise=equalise, **settings)
    case = f"mode{1 if pairs else 2}_auto{int(equalise)}"
    weights = np.vstack([method.projections[name].weights for name in train])
    assert_same_directions(weights, numbers[f"{case}_W_official_octave"])
    np.testing.assert_allclose(projector(weights), numbers[f"{case}_projector_derived"], atol=1e-8)
    values = numbers[f"{case}_eigenvalues_official_octave"]
    np.testing.assert_allclose(method.notes()["eigenvalues"], values, rtol=1e-8)


def test_scatters_without_any_extent_are_not_equalised() -> None:
    generator = np.random.default_rng(0)
    row = generator.normal(size=(2, 3, 4))
    train = split_of([row[0], row[1]], [np.arange(3), np.arange(3)], 3, "none")
    left, right = (_fitted(train, equalise=equalise).projections for equalise in (True, False))
    for name in train:
        np.testing.assert_allclose(left[name].weights, right[name].weights)


def test_class_means_need_no_order_of_rows() -> None:
    train = random_split()
    order = np.random.default_rng(1).permutation(45)
    mixed = Split({"v0": train["v0"], "v1": train["v1"].take(order)}, 4)
    left, right = (_fitted(split).projections["v0"].weights for split in (train, mixed))
    np.testing.assert_allclose(left, right, atol=1e-9)


def test_weighted_means_are_alpha_times_the_rows_of_a_class() -> None:
    train = random_split((40, 40))
    weighted, plain = _fitted(train, alpha=2.0), _fitted(train, alpha=20.0, weigh_means=False)
    np.testing.assert_allclose(weighted.projections["v1"].weights, plain.projections["v1"].weights, rtol=1e-8)


def test_what_cannot_be_aligned_is_refused() -> None:
    train = random_split((40, 40))
    left, right = (
        train[name].take(np.isin(train[name].labels, classes))
        for name, classes in (("v0", [0, 1]), ("v1", [2, 3]))
    )
    with pytest.raises(Unsupported, match="no class"):
        _fitted(Split({"v0": left, "v1": right}, 4))
    with pytest.raises(Unsupported, match="class_matched"):
        _fitted(train, alignment="pairs")
    with pytest.raises(Unsupported, match="mu"):
        _fitted(train, mu=(1.0, 1.0, 1.0))


@pytest.mark.parametrize("ridge", [0.0, 1e-6])
def test_classes_of_one_row_still_give_an_answer(ridge: float) -> None:
    train = random_split((4, 8))
    assert np.isfinite(_fitted(train, ridge=ridge).embed("v0", train["v0"].features)).all()
