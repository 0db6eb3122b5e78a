"""Feature scaling: what each kind promises, whatever the type and the scale."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import UsageError
from bench.data.scaling import Scaler, Scaling

SEEDS = st.integers(0, 2**32 - 1)
FLOATS = st.sampled_from(["float16", "float32", "float64"])
NUMBERS = st.sampled_from(["int8", "uint8", "int32", "int64", "float16", "float32", "float64"])


def _features(dtype: str = "float64") -> np.ndarray:
    return (np.random.default_rng(0).normal(size=(40, 5)) * 3 + 10).astype(dtype)


def test_standard_gives_zero_mean_and_unit_variance() -> None:
    features = _features() * np.geomspace(1e-12, 1e12, 5)
    rows = Scaler.fit(features, "standard")(features)
    np.testing.assert_allclose(rows.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(rows.std(axis=0), 1.0, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    value=st.floats(-1e30, 1e30) | st.sampled_from([0.0, 0.1, 1e6 / 3, -7.0, 1e-30]),
    count=st.integers(1, 300),
    kind=NUMBERS,
)
def test_constant_features_become_zero_in_training_and_in_any_other_row(
    value: float, count: int, kind: str
) -> None:
    limit = float(np.iinfo(kind).max if kind.startswith(("int", "uint")) else np.finfo(kind).max) / 4
    train = np.full((count, 2), min(abs(value), limit)).astype(kind)
    scaler = Scaler.fit(train, "standard")
    assert not scaler(train).any()
    other = np.array([[0.0, 1.0], [limit, 3.0]]).astype(kind)
    assert not scaler(other).any()


def test_a_constant_that_rounding_made_uneven_is_still_constant() -> None:
    exact = np.full((400, 3), [0.1, 1e6, -3e-20])
    uneven = np.nextafter(exact, np.inf, where=np.arange(400)[:, None] % 2 == 0, out=exact.copy())
    single = exact.astype(np.float32)
    single[::2] = np.nextafter(single[::2], np.float32(np.inf))
    for train in (uneven, single):
        assert np.abs(Scaler.fit(train, "standard")(train + 1)).max() == 0


def test_what_varies_little_beside_a_large_mean_is_kept() -> None:
    train = 1e5 + np.random.default_rng(1).normal(size=(200, 2))
    np.testing.assert_allclose(Scaler.fit(train, "standard")(train).std(axis=0), 1.0, rtol=1e-9)
    rare = np.zeros((100_000, 1), dtype=np.float32)
    rare[7] = 1
    assert Scaler.fit(rare, "standard")(rare).std() == pytest.approx(1, rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    seed=SEEDS,
    kind=FLOATS.filter(lambda kind: kind != "float16"),
    scaling=st.sampled_from(["standard", "unit"]),
    factor=st.floats(1e-30, 1e30) | st.sampled_from([1000.0, 1e-3]),
    mean=st.sampled_from([0.0, 1.0, -1e4]),
)
def test_a_positive_factor_on_the_features_changes_rounding_only(
    seed: int, kind: str, scaling: Scaling, factor: float, mean: float
) -> None:
    generator = np.random.default_rng(seed)
    train, test = (generator.normal(mean, 1, size=(count, 4)) for count in (30, 10))
    train[:, 3], train[4], test[5] = mean, 0, 0
    scaled = []
    for by in (1.0, factor):
        rows = Scaler.fit((train * by).astype(kind), scaling)((test * by).astype(kind))
        scaled.append(rows)
    # the features themselves are rounded, by up to half a unit in the last digit beside a large mean
    tolerance = 40 * float(np.finfo(kind).eps) * max(abs(mean), 1.0)
    np.testing.assert_allclose(scaled[0], scaled[1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("magnitude", "kind"), [(1e30, "f4"), (1e-30, "f4"), (1e30, "f8"), (1e270, "f8"), (1e-270, "f8")]
)
def test_huge_and_tiny_features_neither_overflow_nor_vanish(magnitude: float, kind: str) -> None:
    features = (_features() * magnitude).astype(kind)
    rows = Scaler.fit(features, "standard")(features)
    assert np.isfinite(rows).all()
    if 1e-200 < magnitude < 1e200:
        np.testing.assert_allclose(rows.std(axis=0), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(Scaler.fit(features, "unit")(features), axis=1), 1.0, rtol=1e-5)


def test_only_training_rows_are_learnt_from() -> None:
    train, other = _features(), _features() * 5 - 3
    expected = (other - train.mean(axis=0)) / train.std(axis=0)
    np.testing.assert_allclose(Scaler.fit(train, "standard")(other), expected, rtol=1e-12)
    # One row is constant in every feature.
    assert not Scaler.fit(train[:1], "standard")(other).any()
    assert Scaler.fit(train, "none")(train) is train


@settings(max_examples=40, deadline=None)
@given(kind=NUMBERS, seed=SEEDS)
def test_unit_gives_rows_of_length_one_but_leaves_zeros(kind: str, seed: int) -> None:
    features = np.random.default_rng(seed).integers(1, 100, size=(20, 5)).astype(kind)
    features[3] = 0
    lengths = np.linalg.norm(Scaler.fit(features, "unit")(features), axis=1)
    np.testing.assert_allclose(np.delete(lengths, 3), 1.0, rtol=1e-6)
    assert lengths[3] == 0.0


@pytest.mark.parametrize("scaling", ["none", "standard", "unit"])
@pytest.mark.parametrize(
    ("given_kind", "returned"),
    [("float16", "float32"), ("float32", "float32"), ("float64", "float64"), ("int32", "float32")],
)
def test_types_are_kept_or_raised_to_float32(scaling: Scaling, given_kind: str, returned: str) -> None:
    features = _features(given_kind)
    rows = Scaler.fit(features, scaling)(features)
    assert rows.dtype == np.dtype(returned)
    exact = Scaler.fit(features.astype(np.float64), scaling)(features.astype(np.float64))
    np.testing.assert_allclose(rows, exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scaling", ["standard", "unit"])
def test_a_row_is_scaled_the_same_alone_among_others_and_in_blocks(
    monkeypatch: pytest.MonkeyPatch, scaling: Scaling
) -> None:
    features = _features()
    scaler = Scaler.fit(features, scaling)
    whole = scaler(features)
    np.testing.assert_array_equal(np.concatenate([scaler(row[None]) for row in features]), whole)
    monkeypatch.setattr("bench.data.scaling._BLOCK_BYTES", 8 * 5 * 7)
    np.testing.assert_array_equal(scaler(features), whole)
    np.testing.assert_allclose(Scaler.fit(features, scaling)(features), whole, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("scaling", ["standard", "unit"])
def test_a_large_matrix_is_never_copied_whole_in_float64(
    scaling: Scaling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.data.scaling._BLOCK_BYTES", 1 << 16)
    features = np.ones((20_000, 50), dtype=np.float32)
    tracemalloc.start()
    scaler = Scaler.fit(features, scaling)
    fitting = tracemalloc.get_traced_memory()[1]
    scaler(features)
    scaling_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fitting < features.nbytes / 4
    assert scaling_peak < 1.25 * features.nbytes


def test_another_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="standard"):
        Scaler.fit(_features(), "whiten")  # type: ignore[arg-type]
