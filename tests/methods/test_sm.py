"""Semantic matching: posteriors that share a space, and the level it sets for everybody."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from bench.contract import Array, Context, Modality, Split, Unsupported, UsageError
from methods.sm import SM, SMSettings
from tests.methods.real_splits import COMPACT, FULL, emoji, reached
from tests.methods.small_splits import separable


def _fitted(train: Split, **settings: Any) -> SM:
    method = SM(SMSettings(**settings))
    method.fit(train, train, Context())
    return method


@pytest.mark.parametrize(("file", "level"), [(COMPACT, (0.737, 0.744)), (FULL, (0.767, 0.764))])
def test_emoji_scores_are_the_known_ones(file: str, level: tuple[float, float]) -> None:
    assert reached(SM(), *emoji(file)) == pytest.approx(level, abs=0.02)


def test_posteriors_sum_to_one_and_name_the_class() -> None:
    train = separable({"image": 60, "text": 45, "audio": 30})
    method = _fitted(train)
    for name, part in train.items():
        posteriors = method.embed(name, part.features.astype(np.float64))
        assert posteriors.dtype == np.float32
        np.testing.assert_allclose(posteriors.sum(axis=1), 1.0, rtol=1e-6)
        assert np.mean(posteriors.argmax(axis=1) == part.labels) > 0.95


def test_a_modality_is_learnt_alone() -> None:
    train = separable({"image": 60, "text": 45})
    other = Split({"image": train["image"], "text": train["text"].take(np.arange(20))}, 3)
    rows = train["image"].features
    np.testing.assert_array_equal(_fitted(train).embed("image", rows), _fitted(other).embed("image", rows))


def test_a_class_never_shown_has_no_posterior() -> None:
    train = separable({"image": 60, "text": 60})
    part = train["text"].take(train["text"].labels != 1)
    posteriors = _fitted(Split({"image": train["image"], "text": part}, 3)).embed("text", part.features)
    assert not posteriors[:, 1].any()
    np.testing.assert_allclose(posteriors.sum(axis=1), 1.0, rtol=1e-6)


def test_several_labels_get_a_sigmoid_each() -> None:
    train = separable({"image": 80, "text": 80}, multi_label=True)
    labels = train["image"].labels
    posteriors = _fitted(train, strength=1.0).embed("image", train["image"].features)
    two = labels.sum(axis=1) == 2
    assert posteriors[two].sum(axis=1).mean() > 1.2
    assert np.mean((posteriors > 0.5) == labels) > 0.9


def test_labels_on_every_row_or_on_none_are_constants() -> None:
    def label(modality: Modality) -> Array:
        return np.stack([np.ones(len(modality)), modality.labels == 0, np.zeros(len(modality))], axis=1)

    train = separable({"image": 60, "text": 60})
    several = Split({name: Modality(part.features, label(part)) for name, part in train.items()}, 3)
    posteriors = _fitted(several).embed("text", train["text"].features)
    np.testing.assert_array_equal(posteriors[:, [0, 2]], np.tile([1.0, 0.0], (60, 1)))


def test_one_class_alone_is_refused() -> None:
    train = separable({"image": 60, "text": 60})
    part = train["text"].take(train["text"].labels == 1)
    with pytest.raises(Unsupported, match="at least two classes"):
        _fitted(Split({"image": train["image"], "text": part}, 3))


def test_a_regression_cut_short_is_said_and_recorded() -> None:
    train = separable({"image": 60, "text": 60})
    with pytest.warns(UserWarning, match="raise the setting iterations") as said:
        method = _fitted(train, iterations=2)
    assert len(said) == 2
    assert method.notes()["converged"] == {"image": False, "text": False}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _fitted(train).notes()["converged"] == {"image": True, "text": True}


def test_an_unknown_modality_is_named() -> None:
    with pytest.raises(UsageError, match="call fit first"):
        SM().embed("image", np.ones((1, 6)))
    with pytest.raises(UsageError, match="it knows image, text"):
        _fitted(separable({"image": 30, "text": 30})).embed("audio", np.ones((1, 6)))


@pytest.mark.parametrize("wrong", [{"strength": 0.0}, {"iterations": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SMSettings(**wrong)
