"""MvDA-VC: its golden numbers, and when its view consistency applies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.lib.npyio import NpzFile

from bench.contract import Context, Modality, Pairing, Split
from bench.data.scaling import Scaler
from bench.linear import CentredRows, Matrix, Moments, top_eigenpairs
from methods.mvda_vc import MvDAVC, MvDAVCSettings, discriminant_scatters, view_consistency
from tests.methods.linear_splits import random_split, split_of
from tests.methods.real_splits import COMPACT, emoji, reached
from tests.shared import shared

PLAIN = {"pca_energy": 1.0, "ridge": 0.0}


def _golden(name: str) -> tuple[NpzFile, Split]:
    golden = np.load(shared(f"golden/{name}.npz"))
    labels = golden["label"]
    views = [golden[f"x{i}"] for i in range(3)]
    return golden, split_of(views, [labels] * 3, int(labels.max()) + 1, "natural")


def _as_given(train: Split) -> tuple[Moments, Matrix]:
    """Return the moments of rows that are not centred, and the map back from their principal axes."""
    rows = {
        name: CentredRows(part.features, Scaler(), np.zeros(part.dimension)) for name, part in train.items()
    }
    moments = Moments.of(train, rows, Context(), pairs=train.paired)
    bases = [moments.axes[name].basis for name in train]
    back = np.zeros((sum(map(len, bases)), sum(moments.sizes)))
    row = column = 0
    for basis in bases:
        back[row : row + len(basis), column : column + basis.shape[1]] = basis
        row, column = row + len(basis), column + basis.shape[1]
    return moments, back


def _fitted(train: Split, **settings: Any) -> MvDAVC:
    method = MvDAVC(MvDAVCSettings(**settings))
    method.fit(train, train, Context())
    return method


def _weights(method: MvDAVC) -> Matrix:
    return np.vstack([projection.weights for projection in method.projections.values()])


def _projector(weights: Matrix) -> Matrix:
    return np.asarray(weights @ np.linalg.pinv(weights))


def _same_directions(ours: Matrix, theirs: Matrix) -> None:
    lengths = np.linalg.norm(ours, axis=0) * np.linalg.norm(theirs, axis=0)
    np.testing.assert_allclose(np.abs(np.sum(ours * theirs, axis=0)) / lengths, 1.0, atol=1e-8)


def test_scatters_are_those_of_the_released_code() -> None:
    golden, train = _golden("mvda")
    moments, back = _as_given(train)
    for ours, name in zip(discriminant_scatters(moments), ("S_w", "S_b"), strict=True):
        np.testing.assert_allclose(back @ ours @ back.T, golden[name], rtol=1e-8, atol=1e-10)


def test_subspace_is_that_of_the_official_code() -> None:
    golden, train = _golden("mvda")
    method = _fitted(train, consistency=0.0, **PLAIN)
    weights = _weights(method)
    _same_directions(weights, golden["W_official_octave"])
    _same_directions(weights, golden["W_from_official_matrices"])
    np.testing.assert_allclose(
        np.abs(weights), np.abs(golden["W_from_official_matrices"]), rtol=1e-7, atol=1e-10
    )
    np.testing.assert_allclose(
        _projector(weights), golden["projector_from_official_matrices"], rtol=1e-8, atol=1e-10
    )
    np.testing.assert_allclose(method.notes()["eigenvalues"], golden["eigenvalues"], rtol=1e-8)


@pytest.mark.parametrize("prefix", ["", "unpaired_"])
def test_a_small_ridge_gives_the_subspace_of_the_second_release(prefix: str) -> None:
    golden, train = _golden("mvda")
    if prefix:
        views, labels = ([golden[f"unpaired_{what}{i}"] for i in range(3)] for what in ("x", "label"))
        train = split_of(views, labels, train.n_classes)
    moments, back = _as_given(train)
    within, between = discriminant_scatters(moments)
    if prefix:
        np.testing.assert_allclose(back @ within @ back.T, golden["unpaired_S_w"], rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(back @ between @ back.T, golden["unpaired_S_b"], rtol=1e-8, atol=1e-9)
    ridge = 1e-6 * float(np.trace(within)) / len(within)
    ours = back @ top_eigenpairs(between, within, train.n_classes - 1, ridge).vectors
    np.testing.assert_allclose(_projector(ours), golden[f"{prefix}adv_projector"], atol=1e-8)
    np.testing.assert_allclose(_projector(golden[f"{prefix}adv_W"]), _projector(ours), atol=1e-8)


def test_view_consistency_is_that_of_the_released_code_without_a_matrix_over_rows() -> None:
    golden, train = _golden("mvda_vc")
    moments, back = _as_given(train)
    ours = back @ view_consistency(moments, float(golden["reg_vc"])) @ back.T
    np.testing.assert_allclose(ours, golden["VC"], rtol=1e-7, atol=1e-8 * np.abs(golden["VC"]).max())
    scale = np.abs(golden["VC_alpha1_difference"]).max()
    np.testing.assert_allclose(ours, golden["VC_alpha1_difference"], atol=1e-5 * scale)
    for mine, name in zip(discriminant_scatters(moments), ("S_w", "S_b"), strict=True):
        np.testing.assert_allclose(back @ mine @ back.T, golden[name], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("case", ["lam01", "lam1e3", "lam1e5"])
def test_subspace_with_view_consistency_is_that_of_the_released_matrices(case: str) -> None:
    golden, train = _golden("mvda_vc")
    weight = float(golden[f"{case}_lambda"])
    moments, back = _as_given(train)
    within = discriminant_scatters(moments)[0] + weight * view_consistency(moments, float(golden["reg_vc"]))
    np.testing.assert_allclose(
        back @ within @ back.T, golden[f"{case}_S_w_total"], rtol=1e-8, atol=1e-8 * np.abs(within).max()
    )
    method = _fitted(train, consistency=weight, balanced=False, **PLAIN)
    _same_directions(_weights(method), golden[f"{case}_W_from_official_matrices"])
    np.testing.assert_allclose(_projector(_weights(method)), golden[f"{case}_projector"], atol=1e-8)
    np.testing.assert_allclose(method.notes()["eigenvalues"], golden[f"{case}_eigenvalues"], rtol=1e-7)
    assert method.notes()["view_consistency"] is True


@pytest.mark.parametrize("pairing", ["none", "class-matched"])
def test_rows_that_are_not_natural_pairs_switch_view_consistency_off(pairing: Pairing) -> None:
    train = Split(random_split((40, 40)).modalities, 4, pairing)
    off = _fitted(train, consistency=5.0)
    assert off.notes()["view_consistency"] is False
    np.testing.assert_array_equal(_weights(off), _weights(_fitted(train, consistency=0.0)))
    natural = Split(train.modalities, 4, "natural")
    assert not np.allclose(_weights(off), _weights(_fitted(natural, consistency=5.0)))


def test_view_consistency_brings_the_row_weights_together() -> None:
    train = Split(random_split((40, 40)).modalities, 4, "natural")

    def apart(consistency: float) -> float:
        """Return how far the two modalities' weights of the training rows lie apart, in [0, 1]."""
        method = _fitted(train, consistency=consistency, **PLAIN)
        beta = []
        for name, part in train.items():
            x = part.features - part.features.mean(axis=0)
            gram = x @ x.T
            beta.append(
                np.linalg.solve(gram + 1e-4 * np.trace(gram) * np.eye(40), x)
                @ method.projections[name].weights
            )
        return float(np.linalg.norm(beta[0] - beta[1]) / np.linalg.norm(beta[0] + beta[1]))

    assert apart(10.0) < apart(0.1) < apart(0.0)


def test_the_balanced_weight_does_not_depend_on_the_scale_of_the_data() -> None:
    train = Split(random_split((40, 40)).modalities, 4, "natural")
    large = Split(
        {name: Modality(part.features * 1e3, part.labels) for name, part in train.items()}, 4, "natural"
    )
    one, other = (_weights(_fitted(split, consistency=1.0)) for split in (train, large))
    np.testing.assert_allclose(one, other * 1e3, rtol=1e-6, atol=1e-8)


def test_classes_without_rows_give_no_components() -> None:
    train = random_split((40, 33))
    wider = Split(train.modalities, 9)
    assert _fitted(wider).notes()["components"] == _fitted(train).notes()["components"] == 3


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_scales_apart_by_many_orders_change_nothing(scale: float) -> None:
    train = random_split((40, 33))
    stretched = Split(
        {"v0": Modality(train["v0"].features * scale, train["v0"].labels), "v1": train["v1"]}, 4
    )
    rows = _fitted(stretched).embed("v0", stretched["v0"].features)
    plain = _fitted(train).embed("v0", train["v0"].features)
    np.testing.assert_allclose(np.abs(rows), np.abs(plain), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "wrong", [{"consistency": -1.0}, {"ridge": -1.0}, {"components": 0}, {"consistency_ridge": 0.0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MvDAVCSettings(**wrong)


def test_emoji_scores_are_far_above_those_of_unsupervised_methods() -> None:
    assert min(reached(MvDAVC(), *emoji(COMPACT))) > 0.65
