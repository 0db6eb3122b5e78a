"""Semantic matching: posteriors that share a space."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from bench.contract import Array, Modality, Split, Unsupported
from methods.sm import SM, SMSettings
from tests.methods.small_splits import fitted, separable

TRAIN = separable({"image": 60, "text": 60})
FEATURES, LABELS = TRAIN["text"].features, TRAIN["text"].labels


def _fitted(train: Split, **settings: Any) -> SM:
    return fitted(SM(SMSettings(**settings)), train)


def _with_texts(rows: Array) -> Split:
    return Split({"image": TRAIN["image"], "text": TRAIN["text"].take(rows)}, 3)


def test_posteriors_sum_to_one_and_name_the_class() -> None:
    train = separable({"image": 60, "text": 45, "audio": 30})
    method = _fitted(train)
    for name, part in train.items():
        posteriors = method.embed(name, part.features.astype(np.float64))
        assert posteriors.dtype == np.float32
        np.testing.assert_allclose(posteriors.sum(axis=1), 1.0, rtol=1e-6)
        assert np.mean(posteriors.argmax(axis=1) == part.labels) > 0.95


def test_a_class_never_shown_has_no_posterior_and_one_class_alone_is_refused() -> None:
    posteriors = _fitted(_with_texts(LABELS != 1)).embed("text", FEATURES)
    assert not posteriors[:, 1].any()
    np.testing.assert_allclose(posteriors.sum(axis=1), 1.0, rtol=1e-6)
    with pytest.raises(Unsupported, match="classes"):
        _fitted(_with_texts(LABELS == 1))


def test_several_labels_get_a_sigmoid_each_and_constant_ones_are_constants() -> None:
    train = separable({"image": 80, "text": 80}, multi_label=True)
    labels = train["image"].labels
    posteriors = _fitted(train, strength=1.0).embed("image", train["image"].features)
    assert posteriors[labels.sum(axis=1) == 2].sum(axis=1).mean() > 1.2
    assert np.mean((posteriors > 0.5) == labels) > 0.9
    part = Modality(FEATURES, np.stack([np.ones(60), LABELS == 0, np.zeros(60)], axis=1))
    posteriors = _fitted(Split({"image": part, "text": part}, 3)).embed("text", FEATURES)
    np.testing.assert_array_equal(posteriors[:, [0, 2]], np.tile([1.0, 0.0], (60, 1)))


def test_a_regression_cut_short_is_warned_of_and_recorded() -> None:
    with pytest.warns(UserWarning, match="iterations") as warned:
        method = _fitted(TRAIN, iterations=2)
    assert len(warned) == 2
    assert method.notes()["converged"] == {"image": False, "text": False}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _fitted(TRAIN).notes()["converged"] == {"image": True, "text": True}
