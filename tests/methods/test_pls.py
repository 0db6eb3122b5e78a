"""PLS: its golden numbers and its closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.contract import Array, Context, Modality, Split, Unsupported
from methods.pls import PLS, PLSSettings
from tests.shared import shared


def _fitted(views: list[Array], **settings: Any) -> PLS:
    labels = np.arange(len(views[0])) % 5
    split = Split({f"v{i}": Modality(view, labels) for i, view in enumerate(views)}, 5, "natural")
    method = PLS(PLSSettings(**settings))
    method.fit(split, split, Context())
    return method


def test_weights_scores_and_covariances_are_those_of_cca_zoo() -> None:
    golden = np.load(shared("golden/pls.npz"))
    views = [golden["x0"], golden["x1"]]
    method = _fitted(views, components=int(golden["n_components"]))
    scores = []
    for i, view in enumerate(views):
        ours, theirs = method.projections[f"v{i}"].weights, golden[f"weights_v{i}"]
        scale = np.sum(ours * theirs, axis=0) / np.sum(ours**2, axis=0)
        np.testing.assert_allclose(ours * scale, theirs, rtol=1e-8, atol=1e-10)
        found = method.projections[f"v{i}"](view)
        np.testing.assert_allclose(found * scale, golden[f"scores_v{i}"], rtol=1e-8, atol=1e-10)
        scores.append(found * scale)
    covariances = np.sum(scores[0] * scores[1], axis=0) / (len(views[0]) - 1)
    np.testing.assert_allclose(covariances, golden["score_covariances"], rtol=1e-8)
    np.testing.assert_allclose(method.notes()["eigenvalues"], golden["singular_values_derived"], rtol=1e-8)


def test_no_pair_of_directions_covaries_more_than_the_first() -> None:
    generator = np.random.default_rng(0)
    hidden = generator.normal(size=(70, 2))
    views = [
        hidden @ generator.normal(size=(2, width)) + generator.normal(size=(70, width)) for width in (6, 4)
    ]
    first = _fitted(views).notes()["eigenvalues"][0]
    left, right = (generator.normal(size=(width, 500)) for width in (6, 4))
    left, right = (rows / np.linalg.norm(rows, axis=0) for rows in (left, right))
    scores = [(view - view.mean(axis=0)) @ rows for view, rows in zip(views, (left, right), strict=True)]
    assert np.abs(np.sum(scores[0] * scores[1], axis=0) / 69).max() < first


def test_components_default_to_one_less_than_the_classes_and_end_with_the_narrower_modality() -> None:
    generator = np.random.default_rng(0)
    views = [generator.normal(size=(30, 6)), generator.normal(size=(30, 3))]
    assert _fitted([views[0], generator.normal(size=(30, 9))]).embed("v0", views[0]).shape == (30, 4)
    assert _fitted(views).embed("v0", views[0]).shape == (30, 3)


def test_three_modalities_are_refused() -> None:
    with pytest.raises(Unsupported, match="exactly two"):
        _fitted([np.eye(9)] * 3)


def test_no_components_are_refused() -> None:
    with pytest.raises(ValueError, match="components"):
        PLSSettings(components=0)
