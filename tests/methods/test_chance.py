"""Chance: simulated and analytic mAP agree."""

from __future__ import annotations

import numpy as np
import pytest

from bench import mean_average_precision
from bench.contract import Context, Modality, Split
from bench.evaluation import expected_random_ap
from methods.chance import Chance
from tests.methods.small_splits import PAIR, fitted, separable


def _fitted(train: Split, validation: Split | None = None, seed: int = 0) -> Chance:
    return fitted(Chance(), train, validation, Context(seed=seed))


def test_notes_carry_the_expectation_for_every_direction() -> None:
    validation = separable({"image": 40, "text": 25, "audio": 30}, n_classes=4)
    found = _fitted(validation).notes()["expected_map_at_all"]
    assert len(found) == 6
    counts = np.bincount(validation["text"].labels, minlength=4)[validation["image"].labels]
    assert found["image->text"] == np.mean(expected_random_ap(counts, 25))
    # A query without relevant items counts nothing.
    split = separable(PAIR)
    alone = Split({"image": split["image"], "text": split["text"].take(split["text"].labels == 0)}, 3)
    assert _fitted(split, alone).notes()["expected_map_at_all"]["image->text"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("multi_label", [False, True])
def test_simulation_and_expectation_agree(multi_label: bool) -> None:
    split = separable({"image": 60, "text": 45}, n_classes=5, multi_label=multi_label)
    found = []
    for seed in range(30):
        method = _fitted(split, seed=seed)
        image, text = (method.embed(name, split[name].features) for name in split)
        found.append(mean_average_precision(image, text, split["image"].labels, split["text"].labels))
    exact = method.notes()["expected_map_at_all"]["image->text"]
    assert np.mean(found) == pytest.approx(exact, abs=4 * np.std(found) / np.sqrt(30))


def test_rows_keep_their_embedding_in_any_company_and_type() -> None:
    split = separable(PAIR)
    rows, method = split["image"].features.astype(np.float16), _fitted(split)
    whole = method.embed("image", rows)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(method.embed("image", rows[::-1].astype(np.float64)), whole[::-1])
    assert not np.allclose(whole, method.embed("text", rows))
    assert not np.allclose(whole, _fitted(split, seed=1).embed("image", rows))


def test_near_rows_are_as_far_apart_as_any() -> None:
    near = np.ones((200, 3)) + np.arange(200)[:, None] * 1e-9
    part = Modality(near, np.arange(200) % 2)
    rows = _fitted(Split({"image": part, "text": part}, 2)).embed("image", near)
    cosines = (rows @ rows.T)[~np.eye(200, dtype=bool)]
    assert abs(cosines.mean()) < 0.01
    assert cosines.max() < 0.7
