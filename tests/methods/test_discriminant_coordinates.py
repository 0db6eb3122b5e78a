"""Limits on the cards of GMLDA and MvDA-VC: directions are good, and their cosine loses accuracy."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bench import mean_average_precision, registry
from bench.contract import Array, Context, Method, Modality, Split
from bench.evaluation import validation_map

SETTINGS = {"gmlda": {"alpha": 100.0, "ridge": 1.0}, "mvda_vc": {"ridge": 1.0}, "sm": {"strength": 0.01}}
"""Those that the numbers on the cards belong to; the rest as in the quick profile before its trials."""


def two_views_of_digits() -> tuple[Split, Split]:
    """Return training and test rows: scans, and a noisy random image of other scans of the same digits."""
    scans, digits = load_digits(return_X_y=True)
    generator = np.random.default_rng(0)
    others = np.empty_like(scans)
    for digit in range(10):
        rows = np.flatnonzero(digits == digit)
        others[rows] = scans[generator.permutation(rows)]
    mixed = np.maximum(others / 16 @ generator.normal(size=(64, 40)) / 8, 0)
    mixed += 0.05 * generator.normal(size=mixed.shape)
    order = generator.permutation(len(scans))

    def part(rows: Array) -> Split:
        views = {"image": scans, "audio": mixed}
        return Split({name: Modality(x[rows], digits[rows]) for name, x in views.items()}, 10, "natural")

    return part(order[:900]), part(order[1200:])


def fitted(name: str, train: Split) -> Method:
    description = registry.method(name)
    settings = registry.resolve_settings(description, profile="quick", tuned=False, overrides=SETTINGS[name])
    method = registry.instantiate(name, settings)
    method.fit(train, train, Context(threads=1))
    return method


def posteriors(method: Method, train: Split, name: str, features: Array) -> Array:
    """Return the class posteriors of normal classes of one covariance, in the method's coordinates."""
    coordinates, labels = method.embed(name, train[name].features).astype(float), train[name].labels
    means = np.stack([coordinates[labels == label].mean(axis=0) for label in range(train.n_classes)])
    whiten = np.linalg.cholesky(np.linalg.inv(np.cov((coordinates - means[labels]).T)))
    rows = method.embed(name, features).astype(float)
    logits = -0.5 * np.square((rows[:, None] - means) @ whiten).sum(axis=2)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("name", ["gmlda", "mvda_vc"])
def test_coordinates_hold_what_semantic_matching_finds_but_their_cosine_does_not(name: str) -> None:
    train, test = two_views_of_digits()
    method = fitted(name, train)
    cosine, sm = (np.mean(list(validation_map(one, test).values())) for one in (method, fitted("sm", train)))
    views = {view: posteriors(method, train, view, test[view].features) for view in test}
    labels = test["image"].labels
    read = np.mean(
        [
            mean_average_precision(views[query], views[gallery], labels, labels)
            for query, gallery in (("image", "audio"), ("audio", "image"))
        ]
    )
    assert read > sm - 0.04
    assert read > cosine + 0.06
