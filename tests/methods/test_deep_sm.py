"""Deep-SM: posteriors of classifiers that are trained apart."""

from __future__ import annotations

import numpy as np
import pytest

from bench.contract import Context, Split
from methods.deep_sm import DeepSM, DeepSMSettings
from tests.methods.small_splits import separable

SMALL = DeepSMSettings(epochs=10, batch_size=10, hidden=(8,), lr=1e-2)


def fitted(split: Split) -> tuple[DeepSM, Context]:
    context = Context(scope=("small",))
    method = DeepSM(SMALL)
    method.fit(split, split, context)
    return method, context


def test_embeddings_are_posteriors_of_the_right_class() -> None:
    split = separable({"image": 30, "text": 24})
    method, _ = fitted(split)
    for name, part in split.items():
        rows = method.embed(name, part.features)
        np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-5)
        assert (rows.argmax(axis=1) == part.labels).mean() > 0.95


def test_several_classes_have_a_posterior_each() -> None:
    split = separable({"image": 40, "text": 40}, multi_label=True)
    method, _ = fitted(split)
    rows = method.embed("image", split["image"].features)
    assert rows.sum(axis=1).max() > 1.2
    assert ((rows > 0.5) == split["image"].labels).mean() > 0.8


def test_the_traced_loss_of_unknowing_classifiers_is_the_entropy_of_the_choice() -> None:
    _, context = fitted(separable({"image": 30, "text": 30}))
    losses = [float(value or 0.0) for value in context.trace.column("train_loss/image")]
    assert losses[0] == pytest.approx(np.log(3), abs=0.6)
    assert losses[-1] < 0.5 * losses[0]
