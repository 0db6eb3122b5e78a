"""Modalities, splits and pairs; data that does not fit is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.conformance.samples import Sample
from bench.contract import Array, DataError, Modality, Split

LABELS = np.array([0, 2, 1, 2])


def _split(*, pairing: str = "natural", labels: Array = LABELS) -> Split:
    features = np.arange(len(labels) * 3, dtype=np.float32).reshape(len(labels), 3)
    parts = {"image": Modality(features, labels), "text": Modality(-features[:, :2], labels)}
    return Split(parts, 4, pairing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "labels", "noun"),
    [((3,), (3,), "features"), ((3, 2), (3, 1, 1), "labels"), ((3, 2), (2,), "2 label")],
)
def test_a_modality_refuses_shapes_that_do_not_fit(features: Any, labels: Any, noun: str) -> None:
    with pytest.raises(DataError, match=noun):
        Modality(np.zeros(features), np.zeros(labels, int))


def test_arrays_are_read_only_views_of_what_was_given() -> None:
    features, labels = np.zeros((4, 2)), np.array([0, 1, 0, 1])
    modality = Modality(features, labels)
    for part in (
        modality,
        modality.take(np.array([2, 0])),
        _split().take({"image": LABELS, "text": LABELS})["image"],
    ):
        for array in (part.features, part.labels):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
    features[0], labels[0] = 5.0, 1  # the arrays given stay writable, and are not copied
    assert modality.features[0, 0] == 5.0
    assert modality.labels[0] == 1


def test_a_split_needs_modalities_and_equal_counts_where_rows_are_pairs() -> None:
    with pytest.raises(DataError, match="modality"):
        Split({}, 2)
    parts = {"image": Modality(np.zeros((2, 1)), LABELS[:2]), "text": Modality(np.zeros((3, 1)), LABELS[:3])}
    assert not Split(parts, 4).paired
    with pytest.raises(DataError, match="'image': 2, 'text': 3"):
        Split(parts, 4, "natural")


def test_a_split_is_a_mapping_in_the_datasets_order() -> None:
    split = _split()
    assert list(split) == ["image", "text"]
    assert len(split) == 2
    assert split["text"].dimension == 2
    assert len(split["text"]) == 4
    assert list(split.select(("text", "image"))) == ["text", "image"]
    with pytest.raises(KeyError):
        split["audio"]


def test_targets_have_a_column_for_every_class() -> None:
    targets = _split().targets("image")
    assert targets.dtype == np.float32
    assert targets.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    labels = np.array([[1, 0, 1, 0], [0, 0, 0, 1]])
    split = _split(labels=labels)
    assert split.multi_label
    assert split["image"].multi_label
    assert split.targets("text").tolist() == labels.tolist()


@given(rows=st.lists(st.integers(0, 3), max_size=8))
def test_equal_rows_stay_pairs_and_keep_their_labels(rows: list[int]) -> None:
    index = np.array(rows, dtype=np.int64)
    taken = _split().take({"image": index, "text": index})
    assert taken.pairing == "natural"
    assert taken["image"].labels.tolist() == LABELS[index].tolist()
    assert (taken["image"].features[:, :2] == -taken["text"].features).all()


def test_rows_taken_apart_correspond_by_their_ids() -> None:
    taken = _split().take({"image": np.array([0, 1, 2]), "text": np.array([1, 0])})
    assert taken.pairing == "partial"
    assert not taken.paired
    assert [rows.tolist() for rows in taken.pairs("image", "text")] == [[0, 1], [1, 0]]
    aligned = taken.aligned()
    assert aligned.pairing == "natural"
    assert aligned["image"].labels.tolist() == LABELS[:2].tolist() == aligned["text"].labels.tolist()
    masks = np.array([True, False, True, False])
    assert _split().take({"image": masks, "text": masks}).paired


def _captions() -> Split:
    """Three pictures; the first has two captions, the second none, and a caption has no picture."""
    features = np.arange(4, dtype=np.float32)[:, None]
    image = Modality(features[:3], np.array([0, 1, 2]), ids=np.array([7, 8, 9]))
    text = Modality(features, np.array([2, 0, 0, -1]), ids=np.array([9, 7, 7, 5]))
    return Split({"image": image, "text": text}, 3)


def test_ids_say_which_rows_correspond() -> None:
    split = _captions()
    assert split.pairing == "partial"
    assert [rows.tolist() for rows in split.pairs("image", "text")] == [[0, 0, 2], [1, 2, 0]]
    assert [rows.tolist() for rows in split.pairs("text", "image")] == [[0, 1, 2], [2, 0, 0]]
    aligned = split.aligned()
    assert aligned.pairing == "natural"
    assert aligned["image"].ids is not None
    assert aligned["image"].ids.tolist() == [7, 7, 9]
    assert aligned["text"].features[:, 0].tolist() == [1, 2, 0]
    assert len(aligned.pairs("image", "text")[0]) == 3


def test_rows_without_a_label_have_no_target_and_can_be_left_out() -> None:
    split = _captions()
    assert split.targets("text").sum(axis=1).tolist() == [1, 1, 1, 0]
    assert split["text"].labelled.tolist() == [True, True, True, False]
    assert len(split.labelled()["text"]) == 3
    matrix = Modality(np.zeros((2, 1)), np.array([[-1, -1], [0, 1]], dtype=np.int8))
    assert matrix.labelled.tolist() == [False, True]
    assert Split({"tags": matrix}, 2).targets("tags").tolist() == [[0, 0], [0, 1]]


def test_rows_without_ids_do_not_correspond() -> None:
    split = _split(pairing="none")
    assert split.pairing == "none"
    assert len(split.pairs("image", "text")[0]) == 0
    with pytest.raises(DataError, match="correspond"):
        split.aligned()


def test_ids_must_be_whole_numbers_and_agree_with_natural_pairs() -> None:
    with pytest.raises(DataError, match="ids"):
        Modality(np.zeros((2, 1)), np.zeros(2, int), ids=np.array(["a", "b"]))
    parts = {
        name: Modality(np.zeros((2, 1)), np.zeros(2, int), np.array(ids))
        for name, ids in (("a", [0, 1]), ("b", [1, 0]))
    }
    with pytest.raises(DataError, match="ids"):
        Split(parts, 1, "natural")


def test_selecting_modalities_of_a_dataset_reaches_all_three_splits() -> None:
    dataset = Sample(modalities=("image", "text", "audio"), rows=(8, 8, 8)).dataset()
    assert dataset.modalities == ("image", "text", "audio")
    assert dataset.n_classes == 4
    chosen = dataset.select(("audio", "image"))
    assert chosen.modalities == tuple(chosen.validation) == tuple(chosen.test) == ("audio", "image")
    assert chosen.fingerprint == dataset.fingerprint
