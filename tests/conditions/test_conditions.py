"""Conditions: effective levels, their formulas, and what stays; promises of all are in bench.conformance."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from bench.conditions import Applied, conditions, parse_conditions
from bench.conformance.conditions import _changed
from bench.contract import Array, Modality, Split, Unsupported, UsageError

SCOPE = ("emoji", "image", "text")
SINGLE = [(name, variant) for name, cls in conditions().items() for variant in cls.card.variants or ("",)]
SINGLE = [(name, variant) for name, variant in SINGLE if name not in ("label-noise-multi", "late")]
EVERY = [*SINGLE, ("label-noise-multi", "")]
CLASSES, ROWS = 6, 3000


def _split(n: int = 120, classes: int = 6, multi: bool = False, modalities: int = 2) -> Split:
    rng = np.random.default_rng(n)
    labels: Array = np.arange(n) % classes
    if multi:
        labels = (rng.random((n, classes)) < 0.4).astype(np.uint8)
    parts = {
        name: Modality(rng.normal(size=(n, 3)).astype(np.float32), labels)
        for name in ("image", "text", "audio")[:modalities]
    }
    return Split(parts, classes, "natural")


def _train(name: str, variant: str, level: float, seed: int = 0, split: Split | None = None) -> Split:
    split = _split() if split is None else split
    return Applied(name, variant, level).to(split, _split(30), SCOPE, seed)[0]


def _bytes(split: Split) -> list[tuple[str, bytes, str, bytes, bytes]]:
    found = []
    for name, one in split.items():
        assert one.ids is not None
        labels = one.labels
        found.append((name, one.features.tobytes(), labels.dtype.str, labels.tobytes(), one.ids.tobytes()))
    return found


def _of(name: str) -> Split:
    return _split(multi=name == "label-noise-multi", modalities=3)


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


@pytest.mark.parametrize(
    ("name", "variant", "level", "effective"),
    [
        ("label-noise", "shared", 0.4, 0.4),
        ("label-noise", "per-modality", 0.4, 0.4),
        ("label-noise-asymmetric", "half", 0.4, 0.2),
        ("label-noise-open", "", 0.4, 0.5),
        ("wrong-pairs", "by-id", 0.4, 0.4),
        ("unpaired", "", 0.5, 0.5),
        ("missing", "evenly", 0.5, 0.5),
        ("unequal", "last", 0.5, 0.5),
        ("few-labels", "drop", 0.1, 0.1),
        ("long-tail", "", 10.0, 10.0),
        ("unseen", "unseen", 0.5, 0.5),
    ],
)
def test_the_level_is_reached(name: str, variant: str, level: float, effective: float) -> None:
    reached = Applied(name, variant, level).to(_split(600), _split(30), SCOPE, 0)[2]
    assert reached == pytest.approx(effective, abs=0.02)


@pytest.mark.parametrize(
    ("name", "variant"), [(n, v) for n, v in EVERY if n != "feature-noise" and v != "blocks"]
)
def test_another_seed_changes_other_rows(name: str, variant: str) -> None:
    split, level = _of(name), 10.0 if name == "long-tail" else 0.4
    first, second = (_changed(split, _train(name, variant, level, seed, split)) for seed in (0, 1))
    assert first != second


def test_label_noise_is_shared_by_the_modalities_of_an_id_unless_drawn_apart() -> None:
    shared = _train("label-noise", "shared", 0.4)
    assert np.array_equal(shared["image"].labels, shared["text"].labels)
    split, apart = _split(), _train("label-noise", "per-modality", 0.4)
    assert not np.array_equal(apart["image"].labels, apart["text"].labels)
    for name, one in apart.items():
        assert np.array_equal(one.ids, split[name].ids)  # type: ignore[arg-type]
        assert one.features.tobytes() == split[name].features.tobytes()
    left, right = apart.pairs("image", "text")
    assert apart.pairing == "natural"
    assert (left == right).all()


@pytest.mark.parametrize("variant", conditions()["label-noise"].card.variants)
def test_label_noise_gives_no_label_to_rows_without_one(variant: str) -> None:
    whole, known = _split(), np.arange(120) % 3 > 0
    parts = {
        name: Modality(one.features, np.where(known, one.labels, -1), one.ids) for name, one in whole.items()
    }
    noisy = _train("label-noise", variant, 1.0, split=Split(parts, 6))
    for one in noisy.values():
        assert np.array_equal(one.labelled, known)


def test_pairs_are_lost_in_part_or_altogether() -> None:
    assert _train("unpaired", "", 1.0).pairing == "none"
    half = _train("unpaired", "", 0.5)
    assert (half.pairing, len(half.pairs("image", "text")[0])) == ("partial", 60)
    wrong = _train("wrong-pairs", "by-id", 1.0)
    left, right = wrong.pairs("image", "text")
    assert len(left) == 120
    assert not (left == right).any()


def test_every_id_keeps_a_modality() -> None:
    split = _train("missing", "evenly", 1.0, split=_split(modalities=3))
    ids = [modality.ids for modality in split.values()]
    assert len(np.unique(np.concatenate(ids))) == 120  # type: ignore[arg-type]
    assert [len(modality) for modality in split.values()] == [80, 80, 80]


def test_few_labels_keep_every_class_and_smaller_shares_are_parts_of_larger_ones() -> None:
    few, more = (_train("few-labels", "unlabelled", share) for share in (0.05, 0.5))
    assert set(np.unique(few["image"].labels)) == {-1, 0, 1, 2, 3, 4, 5}
    assert (more["image"].labelled >= few["image"].labelled).all()


def test_unseen_classes_are_absent_from_training_and_asked_for_in_the_test() -> None:
    applied, train, test = Applied("unseen", "generalised", 0.5), _split(), _split(60)
    seen, validation, _ = applied.to(train, _split(30), SCOPE, 0)
    queries, gallery = applied.to_test(test, None, train, SCOPE, 0)
    assert seen.n_classes == 3 == validation.n_classes
    assert set(np.unique(seen["image"].labels)) == {0, 1, 2} == set(np.unique(validation["text"].labels))
    assert set(np.unique(queries["image"].labels)) == {3, 4, 5}
    assert gallery is not None
    assert len(gallery["text"]) == 60
    assert Applied("unseen", "unseen", 0.5).to_test(test, None, train, SCOPE, 0)[1] is None


def test_unknown_classes_have_no_validation_rows_and_a_method_is_not_given_them() -> None:
    train, validation, _ = Applied("label-noise-open", "", 0.2).to(_split(), _split(30), SCOPE, 0)
    assert train.n_classes == 5 == validation.n_classes
    assert len(train["image"]) == 120
    assert train["image"].labels.max() == 4 == validation["image"].labels.max()


def test_multi_label_noise_moves_one_label_of_a_row() -> None:
    split = _split(multi=True)
    noisy = _train("label-noise-multi", "", 0.5, split=split)
    moved = (noisy["image"].labels != split["image"].labels).sum(axis=1)
    assert set(moved.tolist()) == {0, 2}
    assert np.array_equal(noisy["image"].labels, noisy["text"].labels)
    with pytest.raises(Unsupported, match="label-noise-multi"):
        _train("label-noise", "shared", 0.5, split=split)
    with pytest.raises(Unsupported, match="label-noise"):
        _train("label-noise-multi", "", 0.5)


UNPAIRED = Split({name: Modality(one.features, one.labels) for name, one in _split().items()}, 6)


@pytest.mark.parametrize(
    ("name", "variant", "level", "split", "noun"),
    [
        ("unseen", "unseen", 1.0, _split(classes=2), "unseen"),
        ("unseen", "generalised", 0.1, _split(classes=3), "unseen"),
        ("label-noise-open", "", 0.2, _split(classes=2), "known"),
        ("label-noise-open", "unknown-40", 0.2, _split(classes=2), "known"),
        ("wrong-pairs", "", 0.2, UNPAIRED, "correspond"),
        ("unpaired", "", 1.0, UNPAIRED, "correspond"),
        ("missing", "evenly", 0.5, UNPAIRED, "correspond"),
        ("missing", "blocks", 0.5, UNPAIRED, "natural pairs"),
    ],
)
def test_what_would_change_nothing_is_refused(
    name: str, variant: str, level: float, split: Split, noun: str
) -> None:
    with pytest.raises(Unsupported, match=noun):
        Applied(name, variant, level).to(split, split, SCOPE, 0)


def test_the_variant_says_how_many_classes_are_unknown() -> None:
    few, many = (
        Applied("label-noise-open", variant, 0.2).to(_split(), _split(), SCOPE, 0)[0]
        for variant in ("unknown-20", "unknown-40")
    )
    assert (few.n_classes, many.n_classes) == (5, 4)
    assert _changed(_split(), few) <= _changed(_split(), many)


def test_feature_noise_leaves_training_rows_and_the_other_modality() -> None:
    applied, train, test = Applied("feature-noise", "last", 1.0), _split(), _split(60)
    assert _bytes(applied.to(train, _split(30), SCOPE, 0)[0]) == _bytes(train)
    noisy, _ = applied.to_test(test, None, train, SCOPE, 0)
    assert np.array_equal(noisy["image"].features, test["image"].features)
    difference = noisy["text"].features - test["text"].features
    assert difference.std() == pytest.approx(train["text"].features.std(), rel=0.2)


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
        unknown = float((labels >= {"unknown-20": CLASSES - 1, "unknown-40": CLASSES - 2}[variant]).mean())
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
        # Chi-squared: 5 degrees of freedom reach 20.5 in .001.
        assert np.square(drawn - even).sum() / even < 25


@pytest.mark.parametrize(
    ("name", "variant"),
    [(n, v) for n, v in SINGLE if conditions()[n].card.group in ("noise", "labels", "pairs") and v != "drop"],
)
def test_changes_of_labels_and_pairs_leave_features_and_test_rows(name: str, variant: str) -> None:
    split, test = _split(), _split(60)
    train = Applied(name, variant, 0.5).to(split, split, SCOPE, 0)[0]
    assert _changed(split, train)
    assert _bytes(Applied(name, variant, 0.5).to_test(test, None, split, SCOPE, 0)[0]) == _bytes(test)
    for modality, one in train.items():
        assert one.features.tobytes() == split[modality].features.tobytes()


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


def test_words_mean_conditions() -> None:
    found = parse_conditions(
        ["clean", "label-noise@.2/.4", "label-noise/per-modality/same@0.4", "late@audio"]
    )
    assert [None if one is None else one.id for one in found] == [
        None,
        "label-noise@0.2",
        "label-noise@0.4",
        "label-noise/per-modality/same@0.4",
        "late@audio",
    ]
    late = parse_conditions(["late@last/last-1/last-2/last-02/second-last"])
    assert [one.id for one in late if one] == ["late@last", "late@last-2", "late@second-last"]
    assert len(parse_conditions(["pairs"])) == 8
    assert {one.name for one in parse_conditions(["all"]) if one} == set(conditions())
    for word in ("labelnoise@.2", "label-noise@2", "label-noise@x", "label-noise/odd@.2", "late@last-0"):
        with pytest.raises(UsageError, match="late" if "late" in word else "label-noise"):
            parse_conditions([word])
    for word in (
        *("late@", "clean@.2", "long-tail@.2", "long-tail@1001", "feature-noise@inf", "label-noise@nan"),
        *("label-noise@-.2", "feature-noise/zeros-first@1", "feature-noise/zeros-last@2"),
        *("unseen/same@.5", "feature-noise/same@1", "late/same@text"),
    ):
        with pytest.raises(UsageError, match=word.partition("@")[0]):
            parse_conditions([word])
    assert len(parse_conditions(["long-tail@0/1/200", "feature-noise@.1/3"])) == 5
    assert [one.level for one in parse_conditions(["feature-noise/zeros-last"]) if one] == [0.5]


def test_a_level_is_that_of_the_id() -> None:
    zero, long = parse_conditions(["label-noise@-0/.0", "label-noise@.12345678"])
    assert zero is not None
    assert long is not None
    assert (zero.id, long.id) == ("label-noise@0", "label-noise@0.123457")
    assert parse_conditions([long.id]) == [long]
