"""Modalities and splits refuse what cannot be, and pairs stay pairs only where they are."""

from __future__ import annotations

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
    ("features", "labels", "message"),
    [
        (np.zeros(3), np.zeros(3, int), r"must be a matrix \(n, d\), not of shape \(3,\)"),
        (np.zeros((3, 2)), np.zeros((3, 1, 1), int), r"not of shape \(3, 1, 1\)"),
        (np.zeros((3, 2)), np.zeros(2, int), "3 feature rows but 2 label rows"),
    ],
)
def test_a_modality_refuses_shapes_that_do_not_fit(
    features: Array,
    labels: Array,
    message: str,
) -> None:
    with pytest.raises(DataError, match=message):
        Modality(features, labels)


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
    features[0], labels[0] = 5.0, 1  # whoever made them may go on, and nothing was copied
    assert modality.features[0, 0] == 5.0
    assert modality.labels[0] == 1


def test_a_split_needs_modalities_and_equal_counts_where_rows_are_pairs() -> None:
    with pytest.raises(DataError, match="at least one modality"):
        Split({}, 2)
    parts = {"image": Modality(np.zeros((2, 1)), LABELS[:2]), "text": Modality(np.zeros((3, 1)), LABELS[:3])}
    assert not Split(parts, 4).paired
    with pytest.raises(DataError, match=r"equally many rows, not \{'image': 2, 'text': 3\}"):
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


def test_targets_have_a_column_for_every_class_also_for_absent_ones() -> None:
    targets = _split().targets("image")
    assert targets.dtype == np.float32
    assert targets.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 0]]


def test_targets_of_several_classes_are_the_labels() -> None:
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


def test_different_rows_are_pairs_no_more() -> None:
    taken = _split().take({"image": np.array([0, 1]), "text": np.array([1, 0])})
    assert taken.pairing == "none"
    masks = np.array([True, False, True, False])
    assert _split().take({"image": masks, "text": masks}).paired


def test_selecting_modalities_of_a_dataset_reaches_all_three_splits() -> None:
    dataset = Sample(modalities=("image", "text", "audio"), rows=(8, 8, 8)).dataset()
    assert dataset.modalities == ("image", "text", "audio")
    assert dataset.n_classes == 4
    chosen = dataset.select(("audio", "image"))
    assert chosen.modalities == tuple(chosen.validation) == tuple(chosen.test) == ("audio", "image")
    assert chosen.fingerprint == dataset.fingerprint
