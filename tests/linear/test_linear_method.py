"""The base of the linear methods: what it accepts, what it refuses, what it returns."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from bench.contract import (
    Array,
    Context,
    DeadlineExceeded,
    MethodCard,
    Modality,
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


LABELS = np.arange(30) % 3
A, B = (np.random.default_rng(i).normal(size=(30, 5 + i)) * 2 + 7 for i in range(2))


def _split(*features: Array, labels: Array = LABELS) -> Split:
    return Split({name: Modality(x, labels) for name, x in zip("ab", features, strict=False)}, 3)


def _fitted(train: Split, context: Context | None = None, **settings: Any) -> Axes:
    method = Axes(LinearSettings(**settings))
    method.fit(train, train, context or Context())
    return method


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_any_floating_type_embeds_as_float32(dtype: str) -> None:
    given = A.astype(dtype)
    rows = _fitted(_split(given, B.astype(dtype))).embed("a", given)
    assert rows.dtype == np.float32
    exact = given.astype(np.float64)
    lengths = np.linalg.svd(exact - exact.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(rows.astype(float), axis=0), lengths[:2], rtol=1e-5)


def test_rows_embed_alike_alone_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    method = _fitted(_split(A, B), scaling="standard")
    whole = method.embed("b", B)
    monkeypatch.setattr("bench.linear.moments._BLOCK_BYTES", 8 * 6 * 4)
    for rows in (B, B[:1]):
        np.testing.assert_allclose(method.embed("b", rows), whole[: len(rows)], rtol=1e-6, atol=1e-6)


def test_neither_units_under_standard_scaling_nor_threads_matter() -> None:
    plain = _fitted(_split(A, B), scaling="standard").embed("a", A)
    other = A * np.geomspace(1e-6, 1e6, 5)
    scaled = _fitted(_split(other, B), Context(threads=1), scaling="standard").embed("a", other)
    np.testing.assert_allclose(plain, scaled, rtol=1e-5, atol=1e-5)


def test_notes_say_what_was_kept() -> None:
    notes = _fitted(_split(A, B), pca_limit=2).notes()
    assert notes["principal_axes"] == {"a": 2, "b": 2}
    assert notes["components"] == 2
    assert 0.0 < notes["pca_energy"]["a"] < 1.0
    assert not Axes().notes()


def test_what_cannot_be_embedded_is_named() -> None:
    with pytest.raises(UsageError, match="fit"):
        Axes().embed("a", A)
    method = _fitted(_split(A, B))
    with pytest.raises(UsageError, match="'c'"):
        method.embed("c", A)
    with pytest.raises(UsageError, match=r"\(n, 5\)"):
        method.embed("a", B)


def test_one_modality_several_labels_and_a_deadline_that_has_passed_end_the_fit() -> None:
    with pytest.raises(Unsupported, match="two modalities"):
        _fitted(_split(A))
    with pytest.raises(Unsupported, match="one class"):
        _fitted(_split(A, B, labels=np.eye(3)[LABELS]))
    with pytest.raises(DeadlineExceeded):
        _fitted(_split(A, B), Context(deadline=time.monotonic() - 1.0))


@pytest.mark.parametrize("wrong", [{"pca_energy": 0.0}, {"pca_energy": 1.1}, {"pca_limit": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="pca_"):
        LinearSettings(**wrong)
