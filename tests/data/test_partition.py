"""Fixed draws keep the classes' shares, never invent rows and never split pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.contract import DataError, Modality, Split, UsageError
from bench.data import QUICK, QUICK_LOOK_ALIKE, row_limits, stratified_validation
from bench.data.partition import apportion, capped, fixed_generator, strata_of, stratified_rows

counts = st.lists(st.integers(0, 60), min_size=1, max_size=12).map(
    lambda values: np.array(values, dtype=np.int64)
)


def paired(n: int = 200, classes: int = 5) -> Split:
    labels = np.arange(n, dtype=np.int64) % classes
    rows = np.arange(n, dtype=np.float32)[:, None]
    return Split({"image": Modality(rows, labels), "text": Modality(rows * 2, labels)}, classes, "natural")


@given(counts, st.integers(0, 400), st.integers(0, 3))
def test_apportion_gives_exactly_what_is_asked_for_and_never_more_than_there_is(
    available: np.ndarray, total: int, least: int
) -> None:
    share = apportion(available, total, least)
    assert share.sum() == min(total, available.sum())
    assert (share >= 0).all()
    assert (share <= available).all()


@given(counts, st.integers(0, 400))
def test_every_stratum_is_served_first_when_the_total_reaches_that_far(
    available: np.ndarray, total: int
) -> None:
    share = apportion(available, total, least=1)
    if total >= (available > 0).sum():
        assert (share[available > 0] >= 1).all()


def test_apportion_is_proportional() -> None:
    np.testing.assert_array_equal(apportion(np.array([100, 200, 700]), 100, 0), [10, 20, 70])


def test_validation_is_fifteen_percent_of_every_class_and_leaves_the_rest() -> None:
    train, validation = stratified_validation(paired(200, 5))
    assert len(validation["image"]) == 30
    np.testing.assert_array_equal(np.bincount(validation["image"].labels), [6] * 5)
    both = np.concatenate([train["image"].features, validation["image"].features])
    np.testing.assert_array_equal(np.sort(both[:, 0]), np.arange(200))


def test_paired_rows_stay_together_in_the_validation_split() -> None:
    for split in stratified_validation(paired()):
        assert split.pairing == "natural"
        np.testing.assert_array_equal(split["text"].features, split["image"].features * 2)


def test_unpaired_modalities_are_drawn_from_separately() -> None:
    train, _ = stratified_validation(Split(paired().modalities, 5, "none"))
    assert not np.array_equal(train["text"].features, train["image"].features * 2)


def test_the_draw_is_the_same_every_time() -> None:
    first, second = stratified_validation(paired())[1], stratified_validation(paired())[1]
    np.testing.assert_array_equal(first["image"].features, second["image"].features)


def test_a_class_never_gives_its_last_row_to_validation() -> None:
    labels = np.array([0] * 40 + [1, 2, 3], dtype=np.int64)
    split = Split({"image": Modality(np.zeros((43, 2), np.float32), labels)}, 4)
    train, validation = stratified_validation(split)
    assert set(train["image"].labels) == {0, 1, 2, 3}
    assert len(validation["image"]) == 6


def test_too_few_rows_for_a_validation_split_are_refused() -> None:
    split = Split({"image": Modality(np.zeros((3, 2), np.float32), np.arange(3))}, 3)
    with pytest.raises(DataError, match="too few to cut a validation set off"):
        stratified_validation(split)


def test_rare_label_sets_form_one_stratum() -> None:
    common = np.tile(np.array([[1, 0, 0, 0]], np.uint8), (20, 1))
    rare = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]], np.uint8)
    strata = strata_of(np.concatenate([common, rare]))
    assert len(set(strata[:20])) == 1
    assert len(set(strata[20:])) == 1
    assert strata[0] != strata[20]


def test_multi_label_rows_reach_the_validation_split_although_every_set_of_labels_is_rare() -> None:
    generator = np.random.default_rng(0)
    labels = (generator.random((200, 16)) < 0.4).astype(np.uint8)
    split = Split({"image": Modality(np.zeros((200, 2), np.float32), labels)}, 16)
    assert len(stratified_validation(split)[1]["image"]) == 30


def test_a_cap_keeps_every_class_and_the_pairs() -> None:
    split = capped(paired(200, 5), "train", 23)
    assert len(split["image"]) == 23
    assert set(split["image"].labels) == set(range(5))
    np.testing.assert_array_equal(split["text"].features, split["image"].features * 2)


def test_a_cap_that_nothing_exceeds_changes_nothing() -> None:
    split = paired(20)
    assert capped(split, "test", 20) is split


def test_only_modalities_beyond_the_cap_are_cut() -> None:
    modalities = dict(paired(200).modalities)
    modalities["text"] = modalities["text"].take(np.arange(10))
    split = capped(Split(modalities, 5), "train", 50)
    assert (len(split["image"]), len(split["text"])) == (50, 10)


def test_spare_rows_are_never_drawn() -> None:
    rows = stratified_rows(np.zeros(5, np.int64), 10, fixed_generator("x"), spare=2)
    assert len(rows) == 3


def test_row_limits_leave_room_for_many_classes() -> None:
    assert QUICK_LOOK_ALIKE.rows(10) == {"train": 1000, "validation": 250, "test": 400}
    assert QUICK_LOOK_ALIKE.rows(400) == {"train": 1600, "validation": 800, "test": 800}


def test_profiles_are_known_by_name() -> None:
    assert row_limits("quick") is QUICK
    assert row_limits("quick", "look-alike") is QUICK_LOOK_ALIKE
    assert row_limits("paper", "look-alike") is None
    assert row_limits("paper") is None
    with pytest.raises(UsageError, match="did you mean 'quick'"):
        row_limits("quik")
    with pytest.raises(UsageError, match="only quick, paper"):
        row_limits("zzz")
