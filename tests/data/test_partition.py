"""Fixed draws keep the classes' shares, never invent rows and never split pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.contract import DataError, Modality, Split, UsageError
from bench.data import stratified_validation
from bench.data.partition import (
    QUICK,
    QUICK_LOOK_ALIKE,
    apportion,
    capped,
    fixed_generator,
    row_limits,
    strata_of,
    stratified_rows,
)

counts = st.lists(st.integers(0, 60), min_size=1, max_size=12).map(
    lambda values: np.array(values, dtype=np.int64)
)


def paired(n: int = 200, classes: int = 5) -> Split:
    labels = np.arange(n, dtype=np.int64) % classes
    rows = np.arange(n, dtype=np.float32)[:, None]
    return Split({"image": Modality(rows, labels), "text": Modality(rows * 2, labels)}, classes, "natural")


@given(counts, st.integers(0, 400), st.integers(0, 3))
def test_apportion_gives_exactly_what_is_asked_for_and_serves_every_stratum_first(
    available: np.ndarray, total: int, least: int
) -> None:
    share = apportion(available, total, least)
    assert share.sum() == min(total, available.sum())
    assert (share >= 0).all()
    assert (share <= available).all()
    served = np.minimum(available, least)
    if total >= served.sum():
        assert (share >= served).all()
    np.testing.assert_array_equal(apportion(np.array([100, 200, 700]), 100, 0), [10, 20, 70])  # in proportion


def test_validation_is_fifteen_percent_of_every_class_leaves_the_rest_and_is_the_same_every_time() -> None:
    (train, validation), again = stratified_validation(paired(200, 5)), stratified_validation(paired(200, 5))
    np.testing.assert_array_equal(np.bincount(validation["image"].labels), [6] * 5)
    both = np.concatenate([train["image"].features, validation["image"].features])
    np.testing.assert_array_equal(np.sort(both[:, 0]), np.arange(200))
    np.testing.assert_array_equal(validation["image"].features, again[1]["image"].features)
    for split in (train, validation):
        assert split.pairing == "natural"
        np.testing.assert_array_equal(split["text"].features, split["image"].features * 2)


def test_unpaired_modalities_are_drawn_from_separately() -> None:
    train, _ = stratified_validation(
        Split({name: Modality(one.features, one.labels) for name, one in paired().items()}, 5)
    )
    assert not np.array_equal(train["text"].features, train["image"].features * 2)


def test_a_class_never_gives_its_last_row_to_validation() -> None:
    labels = np.array([0] * 40 + [1, 2, 3], dtype=np.int64)
    split = Split({"image": Modality(np.zeros((43, 2), np.float32), labels)}, 4)
    train, validation = stratified_validation(split)
    assert set(train["image"].labels) == {0, 1, 2, 3}
    assert len(validation["image"]) == 6
    with pytest.raises(DataError, match="too few"):
        stratified_validation(split.take({"image": np.arange(40, 43)}))


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


def test_only_modalities_beyond_the_cap_are_cut() -> None:
    assert capped(split := paired(20), "test", 20) is split
    rows = {"image": np.arange(200), "text": np.arange(10)}
    modalities = {name: Modality(one.features, one.labels).take(rows[name]) for name, one in paired().items()}
    split = capped(Split(modalities, 5), "train", 50)
    assert (len(split["image"]), len(split["text"])) == (50, 10)


def test_spare_rows_are_never_drawn() -> None:
    assert len(stratified_rows(np.zeros(5, np.int64), 10, fixed_generator("x"), spare=2)) == 3


def test_row_limits_are_known_by_profile_and_leave_room_for_many_classes() -> None:
    assert QUICK_LOOK_ALIKE.rows(10) == {"train": 1000, "validation": 250, "test": 400, "gallery": 5000}
    assert QUICK_LOOK_ALIKE.rows(400) == {"train": 1600, "validation": 800, "test": 800, "gallery": 5000}
    assert (row_limits("quick"), row_limits("quick", "look-alike")) == (QUICK, QUICK_LOOK_ALIKE)
    assert row_limits("paper", "look-alike") is row_limits("paper") is None
    for wrong in ("quik", "zzz"):
        with pytest.raises(UsageError, match="quick"):
            row_limits(wrong)


def test_rows_with_the_same_id_stay_together() -> None:
    rows = np.arange(60)
    image = Modality(rows[:, None].astype(float), rows % 3, ids=rows)
    text = Modality(np.zeros((120, 1)), np.where(np.arange(120) < 60, -1, 0), ids=np.repeat(rows, 2))
    split = Split({"image": image, "text": text}, 3)
    kept, drawn = stratified_validation(split)
    assert (len(drawn["image"]), len(drawn["text"])) == (9, 18)
    assert not np.intersect1d(kept["image"].ids, drawn["text"].ids).size  # type: ignore[arg-type]
    few = capped(split, "train", 40)
    assert (len(few["image"]), len(few["text"])) == (20, 40)
    assert len(few.pairs("image", "text")[0]) == 40


def test_rows_without_a_label_are_not_drawn_for_validation() -> None:
    labels = np.where(np.arange(60) % 3 == 0, 0, -1)
    split = Split({name: Modality(np.zeros((60, 1)), labels) for name in ("a", "b")}, 1, "natural")
    kept, drawn = stratified_validation(split)
    assert drawn["a"].labelled.all()
    assert len(drawn["a"]) == 3
    assert len(kept["a"]) == 57
