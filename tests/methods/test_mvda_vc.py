"""MvDA-VC: its golden numbers, and when its view consistency applies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.linalg import block_diag

from bench.contract import Context, Modality, Pairing, Split
from bench.data.scaling import Scaler
from bench.linear import CentredRows, Matrix, Moments, top_eigenpairs
from methods.mvda_vc import MvDAVC, MvDAVCSettings, discriminant_scatters, view_consistency
from tests.methods.golden import Golden, golden
from tests.methods.linear_splits import assert_same_directions, projector, random_split, split_of
from tests.methods.small_splits import fitted

PLAIN = {"pca_energy": 1.0, "ridge": 0.0}


def _split(numbers: Golden) -> Split:
    labels = numbers["label"]
    return split_of([numbers[f"x{i}"] for i in range(3)], [labels] * 3, int(labels.max()) + 1, "natural")


def _as_given(train: Split) -> tuple[Moments, Matrix]:
    """Return the moments of rows that are not centred, and the map back from their principal axes."""
    rows = {
        name: CentredRows(part.features, Scaler(), np.zeros(part.dimension)) for name, part in train.items()
    }
    moments = Moments.of(train, rows, Context(), pairs=train.paired)
    return moments, block_diag(*(moments.axes[name].basis for name in train))


def _fitted(train: Split, **settings: Any) -> MvDAVC:
    return fitted(MvDAVC(MvDAVCSettings(**settings)), train)


def _weights(method: MvDAVC) -> Matrix:
    return np.vstack([projection.weights for projection in method.projections.values()])


def _assert_scatters(train: Split, numbers: Golden, prefix: str = "") -> None:
    moments, back = _as_given(train)
    for ours, name in zip(discriminant_scatters(moments), ("S_w", "S_b"), strict=True):
        np.testing.assert_allclose(back @ ours @ back.T, numbers[prefix + name], rtol=1e-8, atol=1e-9)


def test_scatters_and_subspace_are_those_of_the_official_code() -> None:
    numbers = golden("mvda")
    train = _split(numbers)
    _assert_scatters(train, numbers)
    method = _fitted(train, consistency=0.0, **PLAIN)
    weights, official = _weights(method), numbers["W_from_official_matrices"]
    assert_same_directions(weights, numbers["W_official_octave"])
    np.testing.assert_allclose(np.abs(weights), np.abs(official), rtol=1e-7, atol=1e-10)
    expected = numbers["projector_from_official_matrices"]
    np.testing.assert_allclose(projector(weights), expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(method.notes()["eigenvalues"], numbers["eigenvalues"], rtol=1e-8)


@pytest.mark.parametrize("prefix", ["", "unpaired_"])
def test_a_small_ridge_gives_the_subspace_of_the_second_release(prefix: str) -> None:
    numbers = golden("mvda")
    train = _split(numbers)
    if prefix:
        views, labels = ([numbers[f"unpaired_{what}{i}"] for i in range(3)] for what in ("x", "label"))
        train = split_of(views, labels, train.n_classes)
        _assert_scatters(train, numbers, prefix)
    moments, back = _as_given(train)
    within, between = discriminant_scatters(moments)
    ridge = 1e-6 * float(np.trace(within)) / len(within)
    found = projector(back @ top_eigenpairs(between, within, train.n_classes - 1, ridge).vectors)
    np.testing.assert_allclose(found, numbers[f"{prefix}adv_projector"], atol=1e-8)
    np.testing.assert_allclose(projector(numbers[f"{prefix}adv_W"]), found, atol=1e-8)


def test_view_consistency_is_that_of_the_released_code_without_a_matrix_over_rows(numbers: Golden) -> None:
    train = _split(numbers)
    _assert_scatters(train, numbers)
    moments, back = _as_given(train)
    found = back @ view_consistency(moments, float(numbers["reg_vc"])) @ back.T
    for key, rtol, share in (("VC", 1e-7, 1e-8), ("VC_alpha1_difference", 1e-7, 1e-5)):
        np.testing.assert_allclose(found, numbers[key], rtol=rtol, atol=share * np.abs(numbers[key]).max())


@pytest.mark.parametrize("case", ["lam01", "lam1e3", "lam1e5"])
def test_subspace_with_view_consistency_is_that_of_the_released_matrices(numbers: Golden, case: str) -> None:
    train, weight = _split(numbers), float(numbers[f"{case}_lambda"])
    moments, back = _as_given(train)
    within = discriminant_scatters(moments)[0] + weight * view_consistency(moments, float(numbers["reg_vc"]))
    total, largest = numbers[f"{case}_S_w_total"], np.abs(within).max()
    np.testing.assert_allclose(back @ within @ back.T, total, rtol=1e-8, atol=1e-8 * largest)
    method = _fitted(train, consistency=weight, balanced=False, **PLAIN)
    assert_same_directions(_weights(method), numbers[f"{case}_W_from_official_matrices"])
    np.testing.assert_allclose(projector(_weights(method)), numbers[f"{case}_projector"], atol=1e-8)
    np.testing.assert_allclose(method.notes()["eigenvalues"], numbers[f"{case}_eigenvalues"], rtol=1e-7)
    assert method.notes()["view_consistency"] is True


@pytest.mark.parametrize("pairing", ["none", "class-matched"])
def test_rows_that_are_not_natural_pairs_switch_view_consistency_off(pairing: Pairing) -> None:
    train, natural = random_split((40, 40), pairing), random_split((40, 40), "natural")
    off = _fitted(train, consistency=5.0)
    assert off.notes()["view_consistency"] is False
    np.testing.assert_array_equal(_weights(off), _weights(_fitted(train, consistency=0.0)))
    assert not np.allclose(_weights(off), _weights(_fitted(natural, consistency=5.0)))


def test_the_balanced_weight_does_not_depend_on_the_scale_of_the_data() -> None:
    train = random_split((40, 40), "natural")
    parts = {name: Modality(part.features * 1e3, part.labels) for name, part in train.items()}
    plain, large = (
        _weights(_fitted(split, consistency=1.0)) for split in (train, Split(parts, 4, "natural"))
    )
    np.testing.assert_allclose(plain, large * 1e3, rtol=1e-6, atol=1e-8)


def test_classes_without_rows_give_no_components() -> None:
    train = random_split((40, 33))
    for split in (train, Split(train.modalities, 9)):
        assert _fitted(split).notes()["components"] == 3
