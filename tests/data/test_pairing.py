"""The one rule for pseudo-pairs: same class, nothing else; no row lost, none repeated without need."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import DataError, MethodCard, Modality, Split
from bench.data import class_matched, training_rows


def split_of(*labels: list[int]) -> Split:
    modalities = {
        f"m{index}": Modality(np.arange(len(rows), dtype=np.float32)[:, None], np.array(rows, dtype=np.int64))
        for index, rows in enumerate(labels)
    }
    return Split(modalities, 1 + max(max(rows) for rows in labels))


label_lists = st.lists(st.integers(0, 4), min_size=1, max_size=40)


@settings(max_examples=50)
@given(label_lists, label_lists, st.integers(0, 5))
def test_rows_share_their_class_and_the_larger_side_of_each_class_is_used_once(
    left: list[int], right: list[int], seed: int
) -> None:
    split = split_of(left, right)
    common = set(left) & set(right)
    if not common:
        with pytest.raises(DataError, match=r"class.*m0, m1"):
            class_matched(split, np.random.default_rng(seed))
        return
    matched = class_matched(split, np.random.default_rng(seed))
    assert matched.pairing == "class-matched"
    np.testing.assert_array_equal(matched["m0"].labels, matched["m1"].labels)
    for name, labels in (("m0", left), ("m1", right)):
        rows = matched[name].features[:, 0].astype(int)
        np.testing.assert_array_equal(np.array(labels)[rows], matched[name].labels)
        for number in range(5):
            uses = np.bincount(rows[matched[name].labels == number], minlength=len(labels))
            uses = uses[np.array(labels) == number]
            most = max(left.count(number), right.count(number)) if number in common else 0
            assert uses.sum() == most
            if len(uses) and most:
                assert uses.max() - uses.min() <= 1


def test_rows_are_shuffled_the_same_way_by_the_same_generator_alone() -> None:
    split = split_of([0] * 30 + [1] * 30, [0] * 30 + [1] * 30)
    matched = [class_matched(split, np.random.default_rng(seed))["m0"] for seed in (1, 1, 2)]
    assert (np.diff(matched[0].labels) < 0).any()
    np.testing.assert_array_equal(matched[0].features, matched[1].features)
    assert not np.array_equal(matched[0].features, matched[2].features)


def test_a_multi_label_row_is_matched_by_its_whole_set_of_labels() -> None:
    sets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 1, 0]], np.uint8)
    split = Split(
        {
            "image": Modality(np.arange(4, dtype=np.float32)[:, None], sets),
            "text": Modality(np.arange(3, dtype=np.float32)[:, None], sets[:3]),
        },
        3,
    )
    matched = class_matched(split, np.random.default_rng(0))
    np.testing.assert_array_equal(matched["image"].labels, matched["text"].labels)
    assert len(matched["image"]) == 4


NEEDS_PAIRS = MethodCard("pairs", "Pairs", pairs="needed")
UNSUPERVISED = MethodCard("unsupervised", "Unsupervised", pairs="needed", unlabelled=True)
LABELS_ONLY = MethodCard("labels", "Labels", pairs="unused")


@pytest.mark.parametrize(
    ("card", "rows", "pairing"),
    [
        (NEEDS_PAIRS, [1, 2], "natural"),
        (UNSUPERVISED, [0, 1, 2], "natural"),
        (LABELS_ONLY, [1, 2, 3], "partial"),
    ],
)
def test_a_method_gets_the_rows_that_it_can_train_on(card: MethodCard, rows: list[int], pairing: str) -> None:
    features = np.arange(4.0)[:, None]
    image = Modality(features, np.array([-1, 0, 1, 1]), ids=np.array([5, 6, 7, 8]))
    text = Modality(features[:3], np.array([-1, 0, 1]), ids=np.array([5, 6, 7]))
    given = training_rows(card, Split({"image": image, "text": text}, 2), np.random.default_rng(0))
    assert given.pairing == pairing
    assert given["image"].features[:, 0].tolist() == rows


def test_without_any_common_id_pseudo_pairs_are_made_of_labelled_rows() -> None:
    split = split_of([0, 1, -1], [1, 0, 0, -1])
    assert training_rows(NEEDS_PAIRS, split, np.random.default_rng(0)).pairing == "class-matched"
    with pytest.raises(DataError, match="label"):
        training_rows(NEEDS_PAIRS, split_of([-1, -1], [0, 1]), np.random.default_rng(0))
