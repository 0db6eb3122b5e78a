"""What must hold of every condition, whatever it draws: level 0, nesting, rates, and untouched rows."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from bench.conditions import Applied, conditions
from bench.contract import Array, Modality, Split
from tests.conditions.test_conditions import SCOPE, SINGLE, _changed, _split

CLASSES = 6
EVERY = [*SINGLE, ("label-noise-multi", "")]


def _of(name: str) -> Split:
    return _split(multi=name == "label-noise-multi", modalities=3)


def _bytes(split: Split) -> list[tuple[str, bytes, bytes, bytes]]:
    found = []
    for name, one in split.items():
        assert one.ids is not None
        found.append((name, one.features.tobytes(), one.labels.tobytes(), one.ids.tobytes()))
    return found


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_level_0_gives_the_bytes_of_clean(name: str, variant: str, same: bool) -> None:
    whole = _of(name)
    applied = Applied(name, variant, 0.0, same)
    train, validation, _ = applied.to(whole, whole, SCOPE, 0)
    test, gallery = applied.to_test(whole, whole, whole, SCOPE, 0)
    assert gallery is not None
    for split in (train, validation, test, gallery):
        assert _bytes(split) == _bytes(whole)
        assert (split.n_classes, split.pairing) == (whole.n_classes, whole.pairing)


def test_unseen_classes_and_noisy_features_are_nested_too() -> None:
    train, test = _split(), _split(60)
    unseen = []
    for level in (0.2, 0.4, 0.7):
        queries = Applied("unseen", "unseen", level).to_test(test, None, train, SCOPE, 0)[0]
        unseen.append({bytes(row) for row in queries["image"].features})
    assert all(low < high for low, high in pairwise(unseen))
    zeros = [_noisy("zeros-first", level)["image"].features == 0 for level in (0.2, 0.5, 0.9)]
    assert all((low <= high).all() and low.sum() < high.sum() for low, high in pairwise(zeros))
    clean = _split(60)["text"].features
    low, high = (_noisy("last", level)["text"].features - clean for level in (0.5, 1.0))
    np.testing.assert_allclose(2 * low, high, atol=1e-5)


def _noisy(variant: str, level: float) -> Split:
    return Applied("feature-noise", variant, level).to_test(_split(60), None, _split(), SCOPE, 0)[0]


def test_open_noise_adds_rows_of_known_classes_only() -> None:
    split = _split(600)
    changed = [
        _changed(split, Applied("label-noise-open", "", level).to(split, split, SCOPE, 0)[0])
        for level in (0.2, 0.4, 0.8)
    ]
    assert all(low < high for low, high in pairwise(changed))
    unknown = {(name, row) for name in split for row in np.flatnonzero(split[name].labels == 5).tolist()}
    assert unknown <= changed[0]


ROWS = 3000


def _uneven() -> Split:
    """Return rows of classes of unequal size; the first class has a third of them."""
    rng = np.random.default_rng(1)
    labels = rng.choice(CLASSES, size=ROWS, p=[1 / 3, *[2 / 15] * 5])
    return Split(
        {name: Modality(rng.normal(size=(ROWS, 2)), labels) for name in ("image", "text")}, CLASSES, "natural"
    )


def _rate(name: str, variant: str, level: float, labels: Array, seed: int) -> tuple[float, float]:
    """Return the expected share of rows that change, and its standard deviation over draws."""
    miss = 1 - 1 / CLASSES
    if name == "label-noise-open":
        unknown = float((labels == CLASSES - 1).mean())
        return unknown + level * (1 - unknown), math.sqrt(level * (1 - level) * unknown / ROWS)
    if variant == "shared-any":
        return level * miss, math.sqrt(level * miss * (1 - miss) / ROWS)
    if variant == "half":
        classes = Applied(name, variant, level)._draws(SCOPE, seed).generator("classes").permutation(CLASSES)
        return level * float(np.isin(labels, classes[: CLASSES // 2]).mean()), 0.0
    return level, 0.0


@pytest.mark.parametrize("level", [0.1, 0.4, 0.8])
@pytest.mark.parametrize(
    ("name", "variant"),
    [pair for pair in EVERY if conditions()[pair[0]].card.group == "noise" and "multi" not in pair[0]],
)
def test_effective_rates_follow_their_formula_within_binomial_error(
    name: str, variant: str, level: float
) -> None:
    split = _uneven()
    labels = split["image"].labels
    for seed in range(5):
        train, _, reached = Applied(name, variant, level).to(split, split, SCOPE, seed)
        measured = np.mean([(one.labels != labels).mean() for one in train.values()])
        assert reached == pytest.approx(measured)
        expected, deviation = _rate(name, variant, level, labels, seed)
        rounding = CLASSES / ROWS  # each class or the whole is a whole number of rows
        assert abs(measured - expected) <= 4 * deviation + rounding


def test_multi_label_noise_reaches_the_rows_that_have_a_label_to_lose_and_one_to_gain() -> None:
    split = _split(ROWS, multi=True)
    matrix = split["image"].labels
    able = float(((matrix == 1).any(axis=1) & (matrix == 0).any(axis=1)).mean())
    for level in (0.2, 0.5, 0.8):
        reached = Applied("label-noise-multi", "", level).to(split, split, SCOPE, 0)[2]
        assert isinstance(reached, float)
        assert abs(reached - level * able) <= 4 * math.sqrt(level * able * (1 - able) / ROWS) + 1 / ROWS


def test_wrong_classes_are_drawn_evenly() -> None:
    split = _uneven()
    for variant in ("shared", "per-modality", "shared-any"):
        noisy = Applied("label-noise", variant, 1.0).to(split, split, SCOPE, 0)[0]["text"].labels
        first = noisy[split["text"].labels == 0]
        drawn = np.bincount(first, minlength=CLASSES)[int(variant != "shared-any") :]
        even = len(first) / len(drawn)
        assert (
            np.square(drawn - even).sum() / even < 25
        )  # chi-squared; 5 degrees of freedom reach 20.5 in .001


def test_noise_of_one_modality_keeps_ids_and_pairs() -> None:
    split = _split()
    apart = Applied("label-noise", "per-modality", 0.8).to(split, split, SCOPE, 0)[0]
    for name, one in apart.items():
        assert np.array_equal(one.ids, split[name].ids)  # type: ignore[arg-type]
        assert one.features.tobytes() == split[name].features.tobytes()
    assert apart.pairing == "natural"
    left, right = apart.pairs("image", "text")
    assert (left == right).all()
    assert (apart["image"].labels != apart["text"].labels).any()


def _nearest_mean(features: Array, labels: Array, rows: Array) -> Array:
    """Return the class whose mean is nearest to each row."""
    means = np.stack([features[labels == label].mean(axis=0) for label in range(CLASSES)])
    return np.asarray(np.square(rows[:, None] - means).sum(axis=2).argmin(axis=1))


@pytest.mark.parametrize(
    ("name", "variant"),
    [(n, v) for n, v in SINGLE if conditions()[n].card.group in ("noise", "labels", "pairs") and v != "drop"],
)
def test_the_nearest_class_mean_of_untouched_labels_is_unmoved(name: str, variant: str) -> None:
    """Whatever happens to labels and pairs, rows keep their features: by true labels no mean moves."""
    split, test = _split(), _split(60)
    train = Applied(name, variant, 0.5).to(split, split, SCOPE, 0)[0]
    assert _changed(split, train)
    asked = Applied(name, variant, 0.5).to_test(test, None, split, SCOPE, 0)[0]
    for modality, one in train.items():
        labels = split[modality].labels
        before = _nearest_mean(split[modality].features, labels, test[modality].features)
        assert np.array_equal(_nearest_mean(one.features, labels, asked[modality].features), before)


@pytest.mark.parametrize(
    ("name", "variant"),
    [(n, v) for n, v in SINGLE if conditions()[n].card.group in ("classes", "modalities") and v != "blocks"],
)
def test_rows_that_stay_keep_label_and_id(name: str, variant: str) -> None:
    split = _split()
    train = Applied(name, variant, 5.0 if name == "long-tail" else 0.5).to(split, split, SCOPE, 0)[0]
    number: dict[int, int] = {}
    for modality, one in train.items():
        before, ids = split[modality], one.ids
        assert ids is not None
        assert before.ids is not None
        rows = np.searchsorted(before.ids, ids)
        assert one.features.tobytes() == before.features[rows].tobytes()
        for old, new in zip(before.labels[rows].tolist(), one.labels.tolist(), strict=True):
            assert number.setdefault(old, new) == new  # unseen classes leave gaps, which are closed
    if name != "unseen":
        assert all(old == new for old, new in number.items())
