"""Feature scaling: what each kind promises, whatever the type and the scale."""

from __future__ import annotations

import numpy as np
import pytest

from bench.contract import UsageError
from bench.data.scaling import Scaler, Scaling


def _features(dtype: str = "float64") -> np.ndarray:
    return (np.random.default_rng(0).normal(size=(40, 5)) * 3 + 10).astype(dtype)


def test_standard_gives_zero_mean_and_unit_variance() -> None:
    features = _features() * np.geomspace(1e-12, 1e12, 5)
    rows = Scaler.fit(features, "standard")(features)
    np.testing.assert_allclose(rows.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(rows.std(axis=0), 1.0, rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3, -7.0])
def test_constant_features_become_zero(value: float) -> None:
    features = _features()
    features[:, 2] = value
    rows = Scaler.fit(features, "standard")(features)
    np.testing.assert_allclose(rows[:, 2], 0.0, atol=1e-9)


def test_only_training_rows_are_learnt_from() -> None:
    train, other = _features(), _features() * 5 - 3
    expected = (other - train.mean(axis=0)) / train.std(axis=0)
    np.testing.assert_allclose(Scaler.fit(train, "standard")(other), expected, rtol=1e-12)


def test_unit_gives_rows_of_length_one_but_leaves_zeros() -> None:
    features = _features()
    features[3] = 0.0
    lengths = np.linalg.norm(Scaler.fit(features, "unit")(features), axis=1)
    np.testing.assert_allclose(np.delete(lengths, 3), 1.0, rtol=1e-12)
    assert lengths[3] == 0.0


def test_none_changes_nothing() -> None:
    features = _features()
    assert Scaler.fit(features, "none")(features) is features


@pytest.mark.parametrize("scaling", ["none", "standard", "unit"])
@pytest.mark.parametrize(
    ("given", "returned"), [("float16", "float32"), ("float32", "float32"), ("float64", "float64")]
)
def test_types_are_kept_or_raised_to_float32(scaling: Scaling, given: str, returned: str) -> None:
    features = _features(given)
    rows = Scaler.fit(features, scaling)(features)
    assert rows.dtype == np.dtype(returned)
    exact = Scaler.fit(features.astype(np.float64), scaling)(features.astype(np.float64))
    np.testing.assert_allclose(rows, exact, rtol=2e-5, atol=2e-5)


def test_large_matrices_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Scaler.fit(_features(), "standard")
    monkeypatch.setattr("bench.data.scaling._BLOCK_BYTES", 8 * 5 * 7)
    blocks = Scaler.fit(_features(), "standard")
    assert whole.shift is not None and whole.factor is not None  # noqa: PT018
    assert blocks.shift is not None and blocks.factor is not None  # noqa: PT018
    np.testing.assert_allclose(blocks.shift, whole.shift, rtol=1e-14)
    np.testing.assert_allclose(blocks.factor, whole.factor, rtol=1e-14)


def test_another_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="none, standard, unit"):
        Scaler.fit(_features(), "whiten")  # type: ignore[arg-type]
