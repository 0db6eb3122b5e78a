"""The base of the linear methods: what it accepts, what it refuses, what it returns."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from bench.contract import (
    Context,
    DeadlineExceeded,
    MethodCard,
    Modality,
    Pairing,
    Split,
    Unsupported,
    UsageError,
)
from bench.linear import Eigenpairs, LinearMethod, LinearSettings, Moments


class Axes(LinearMethod):
    """Keeps the first two principal axes of every modality: the least that a linear method can do."""

    card = MethodCard(
        "axes", "Axes", "A", 2020, "V", "linear", deep=False, pairs="unused", any_modalities=True
    )
    Settings = LinearSettings

    def solve(self, moments: Moments) -> Eigenpairs:
        return Eigenpairs(np.ones(2), np.vstack([np.eye(size, 2) for size in moments.sizes]))


def _split(dtype: str = "float64", pairing: Pairing = "none", names: tuple[str, ...] = ("a", "b")) -> Split:
    labels = np.arange(30) % 3
    features = [np.random.default_rng(i).normal(size=(30, 5 + i)) * 2 + 7 for i in range(len(names))]
    parts = {name: Modality(x.astype(dtype), labels) for name, x in zip(names, features, strict=True)}
    return Split(parts, 3, pairing)


def _fitted(train: Split, **settings: Any) -> Axes:
    method = Axes(LinearSettings(**settings))
    method.fit(train, train, Context())
    return method


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_any_floating_type_embeds_as_float32(dtype: str) -> None:
    train = _split(dtype)
    rows = _fitted(train).embed("a", train["a"].features)
    assert rows.dtype == np.float32
    centred = train["a"].features.astype(np.float64)
    centred = centred - centred.mean(axis=0)
    lengths = np.linalg.svd(centred, compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(rows.astype(float), axis=0), lengths[:2], rtol=1e-5)


def test_rows_embed_alike_alone_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    train = _split()
    method = _fitted(train, scaling="standard")
    whole = method.embed("b", train["b"].features)
    monkeypatch.setattr("bench.linear.moments._BLOCK_BYTES", 8 * 6 * 4)
    np.testing.assert_allclose(method.embed("b", train["b"].features), whole, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(method.embed("b", train["b"].features[:1]), whole[:1], rtol=1e-6, atol=1e-6)


def test_standard_scaling_forgets_units() -> None:
    train = _split()
    other = Split(
        {"a": Modality(train["a"].features * np.geomspace(1e-6, 1e6, 5), train["a"].labels), "b": train["b"]},
        3,
    )
    left, right = (
        _fitted(part, scaling="standard").embed("a", part["a"].features) for part in (train, other)
    )
    np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)


def test_one_thread_gives_the_same_result() -> None:
    train = _split()
    method = Axes()
    method.fit(train, train, Context(threads=1))
    np.testing.assert_allclose(
        method.embed("a", train["a"].features), _fitted(train).embed("a", train["a"].features)
    )


def test_notes_tell_what_was_kept() -> None:
    notes = _fitted(_split(), pca_limit=2).notes()
    assert notes["principal_axes"] == {"a": 2, "b": 2}
    assert notes["components"] == 2
    assert 0.0 < notes["pca_energy"]["a"] < 1.0
    assert not Axes().notes()


def test_what_cannot_be_embedded_is_named() -> None:
    train = _split()
    with pytest.raises(UsageError, match="call fit first"):
        Axes().embed("a", train["a"].features)
    with pytest.raises(UsageError, match=r"'c'; it knows a, b"):
        _fitted(train).embed("c", train["a"].features)
    with pytest.raises(UsageError, match=r"\(n, 5\) are needed"):
        _fitted(train).embed("a", train["b"].features)


def test_one_modality_and_several_labels_are_refused() -> None:
    with pytest.raises(Unsupported, match="at least two modalities"):
        _fitted(_split(names=("a",)))
    several = Split(
        {name: Modality(part.features, np.eye(3)[part.labels]) for name, part in _split().items()}, 3
    )
    with pytest.raises(Unsupported, match="one class per sample"):
        _fitted(several)


def test_the_deadline_is_respected() -> None:
    train = _split()
    with pytest.raises(DeadlineExceeded):
        Axes().fit(train, train, Context(deadline=time.monotonic() - 1.0))


@pytest.mark.parametrize("wrong", [{"pca_energy": 0.0}, {"pca_energy": 1.1}, {"pca_limit": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="pca_"):
        LinearSettings(**wrong)
