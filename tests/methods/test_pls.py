"""PLS: its golden numbers and its closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.contract import Array
from methods.pls import PLS, PLSSettings
from tests.methods.golden import Golden
from tests.methods.linear_splits import split_of
from tests.methods.small_splits import fitted


def _fitted(views: list[Array], **settings: Any) -> PLS:
    labels = np.arange(len(views[0])) % 5
    return fitted(PLS(PLSSettings(**settings)), split_of(views, [labels] * len(views), 5, "natural"))


def test_weights_scores_and_covariances_are_those_of_cca_zoo(numbers: Golden) -> None:
    views = [numbers["x0"], numbers["x1"]]
    method = _fitted(views, components=int(numbers["n_components"]))
    scores = []
    for i, view in enumerate(views):
        ours, theirs = method.projections[f"v{i}"].weights, numbers[f"weights_v{i}"]
        scale = np.sum(ours * theirs, axis=0) / np.sum(ours**2, axis=0)
        np.testing.assert_allclose(ours * scale, theirs, rtol=1e-8, atol=1e-10)
        scores.append(method.projections[f"v{i}"](view) * scale)
        np.testing.assert_allclose(scores[i], numbers[f"scores_v{i}"], rtol=1e-8, atol=1e-10)
    covariances = np.sum(scores[0] * scores[1], axis=0) / (len(views[0]) - 1)
    np.testing.assert_allclose(covariances, numbers["score_covariances"], rtol=1e-8)
    np.testing.assert_allclose(method.notes()["eigenvalues"], numbers["singular_values_derived"], rtol=1e-8)


@pytest.mark.parametrize(("width", "components"), [(9, 4), (3, 3)])
def test_components_default_to_one_less_than_the_classes_and_end_with_the_narrower_modality(
    width: int, components: int
) -> None:
    generator = np.random.default_rng(0)
    views = [generator.normal(size=(30, 6)), generator.normal(size=(30, width))]
    assert _fitted(views).embed("v0", views[0]).shape == (30, components)
