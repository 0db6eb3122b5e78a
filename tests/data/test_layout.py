"""Arrays in the layouts that people have are read as meant, and every assumption is output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contract import Array, DataError
from tests.data.layouts import (
    HALF,
    NAMES,
    PARTS,
    TEST,
    TRAIN,
    Arrays,
    arrays,
    labels,
    loaded,
    notes,
    of_all_rows,
    one_hot,
    renamed,
    require,
    shared,
    views,
    without,
)

NUMBERS = np.arange(36)


def every_fourth(unknown: Any, named: bool = False) -> Callable[[Array], Array]:
    """Return what forgets the labels of some training rows."""

    def forget(y: Array) -> Array:
        known = NAMES[y] if named else y.astype(type(unknown))
        known = known.astype(object) if named and not isinstance(unknown, str) else known
        gone = (np.arange(len(y)) % 4 == 0) & (len(y) == 24)
        return np.where(gone, np.array(unknown, known.dtype), known)

    return forget


def other_pairs() -> Arrays:
    """Return a bundle whose labels differ in some rows."""
    return arrays() | {"train_text_labels": (np.arange(24) + (np.arange(24) % 5 == 0)) % 3}


def repeated(**more: Any) -> Arrays:
    """Return five texts for each image."""
    values = arrays()
    for key in [key for key in values if "text" in key]:
        values[key] = np.repeat(values[key], 5, axis=0)
    return values | more


def captions_in_one_array(label: str = "labels", **more: Any) -> Arrays:
    """Return five texts for each image as an array with three dimensions."""
    values = renamed("image_labels", label, without("text_labels"))
    stacked = {f"{part}_text": np.repeat(values[f"{part}_text"][:, None], 5, axis=1) for part in PARTS}
    return values | stacked | more


def labels_of_each(times: int) -> Arrays:
    return {
        f"{part}_text_labels": np.repeat(arrays()[f"{part}_text_labels"][:, None], times, axis=1)
        for part in PARTS
    }


def captions_by_id() -> Arrays:
    values = renamed("image_labels", "labels", without("text_labels", repeated()))
    for part, count in PARTS.items():
        values[f"{part}_image_ids"] = np.arange(count)
        values[f"{part}_text_ids"] = np.repeat(np.arange(count), 5)
    return values


def missing_rows() -> Arrays:
    values = arrays()
    values["train_text"][::4] = np.nan
    return values | {"train_image_missing": np.arange(24) % 6 == 1}


def captions_of_all_rows() -> Arrays:
    """Captions by id, and a list of the parts of pictures."""
    values, order = of_all_rows(), np.random.default_rng(0).permutation(180)
    known = {"image_ids": NUMBERS, "text_ids": np.repeat(NUMBERS, 5)[order], "split": HALF}
    return values | known | {"text": np.repeat(values["text"], 5, axis=0)[order]}


def captions_in_any_order() -> Arrays:
    """Captions by id, and the labels of pictures in a row, as MATLAB may write them."""
    values = captions_by_id()
    order = np.random.default_rng(0).permutation(120)
    values |= {key: values[key][order] for key in ("train_text", "train_text_ids")}
    return values | {"train_labels": values["train_labels"][None]}


def texts_in_any_order(label: str) -> Arrays:
    """Texts by id, and one list of labels in the order of the images."""
    order = np.random.default_rng(0).permutation(24)
    values = renamed("image_labels", label, without("text_labels"))
    for part, count in PARTS.items():
        values |= {f"{part}_{name}_ids": np.arange(count) for name in ("image", "text")}
    return values | {"train_text": values["train_text"][order], "train_text_ids": order}


def topics() -> Arrays:
    """Columns are samples, and one modality has as many features as there are classes."""
    values = {key: one_hot(v) if "labels" in key else v for key, v in shared().items()}
    return {key: (v[:, :3] if "text" in key else v).T for key, v in values.items()}


def narrow(values: Arrays) -> Arrays:
    """Return one-hot labels, and as many features as classes."""
    return {k: one_hot(v) if "labels" in k else v[:, :3] if v.ndim == 2 else v for k, v in values.items()}


def views_of_objects() -> Arrays:
    """Four pictures of each object, and one text."""
    values = arrays()
    for part, count in PARTS.items():
        objects = np.arange(count // 4)
        values |= {f"{part}_image_ids": np.repeat(objects, 4), f"{part}_text_ids": objects}
        values |= {f"{part}_image_labels": np.repeat(objects % 3, 4), f"{part}_text_labels": objects % 3}
        values[f"{part}_text"] = values[f"{part}_text"][: count // 4]
    return values


def texts_of_some() -> Arrays:
    """Every fourth picture has no text: unequal counts, which ids explain."""
    values, kept = arrays(), np.arange(24) % 4 != 0
    for key in ("train_text", "train_text_labels"):
        values[key] = values[key][kept]
    return values | {"train_image_ids": np.arange(24), "train_text_ids": np.arange(24)[kept]}


def rows_of_zeros() -> Arrays:
    values = arrays()
    values["train_text"][::4] = 0
    return values


def habits(features: str, label: str, train: str, test: str, image: str, text: str) -> Arrays:
    """Return the arrays under names of the field: ``{0}`` is the part, ``{1}`` the modality."""
    found = {}
    for part, word in (("train", train), ("test", test)):
        found[label.format(word)] = arrays()[f"{part}_image_labels"]
        for name, called in (("image", image), ("text", text)):
            found[features.format(word, called)] = arrays()[f"{part}_{name}"]
    return found


ids = np.array([f"p{i}" for i in range(24)])
READ: dict[str, tuple[Arrays, dict[str, Any], str]] = {
    "a column": (labels(lambda y: y[:, None].astype(float)), {}, "taken for pairs"),
    "a row from 1": (labels(lambda y: (y + 1)[None]), {}, "counted from 1"),
    "any numbers": (labels(lambda y: np.array([3, 70, 11])[y]), {}, "3, 11, 70"),
    "one-hot": (labels(one_hot), {}, "one-hot"),
    "turned +-1": (labels(lambda y: one_hot(y).T * 2 - 1), {}, "-1"),
    "dead column": (labels(lambda y: np.eye(4)[y + 1]), {}, "dropped"),
    "names": (labels(lambda y: NAMES[y]), {}, "names"),
    "bytes": (labels(lambda y: NAMES.astype("S")[y]), {}, "names"),
    "stated multi-label": (labels(one_hot) | {"multi_label": True}, {"multi": True}, ""),
    "two of +-1": (labels(lambda y: np.where(y > 0, 1, -1)), {"classes": 2, "same": False}, ""),
    "two in a column": (labels(lambda y: (y % 2)[:, None]), {"classes": 2, "same": False}, "taken for pairs"),
    "unknown -1": (labels(every_fourth(-1)), {"labelled": 18}, "no label"),
    "unknown NaN": (labels(every_fourth(np.nan)), {"labelled": 18}, "no label"),
    "unknown text": (labels(every_fourth("", named=True)), {"labelled": 18}, "no label"),
    "unknown None": (labels(every_fourth(None, named=True)), {"labelled": 18}, "no label"),
    "unknown NaN among texts": (labels(every_fourth(np.nan, named=True)), {"labelled": 18}, "no label"),
    "unknown one-hot": (
        labels(lambda y: one_hot(y) * ((np.arange(len(y)) % 4 > 0) | (len(y) == 12))[:, None]),
        {"labelled": 18},
        "",
    ),
    "255 in train alone": (labels(every_fourth(255)), {"classes": 4, "same": False}, "label 255"),
    "one-hot and from 0": (labels(lambda y: one_hot(y) if len(y) == 24 else y), {}, "same classes"),
    "one-hot and from 1": (labels(lambda y: one_hot(y) if len(y) == 24 else y + 1), {}, "same classes"),
    "columns, as many as classes": (topics(), {}, "transposed"),
    "captions, as many features as classes": (
        narrow(captions_by_id()), {"second": 120, "pairs": 120, "same": False}, "",
    ),
    "columns": ({k: v if k.endswith("labels") else v.T for k, v in arrays().items()}, {}, "transposed"),
    "missing": (missing_rows(), {"rows": 20, "second": 18, "pairs": 14}, "left out"),
    "mask": (arrays() | {"train_text_mask": np.arange(24) % 4 != 0}, {"second": 18, "pairs": 18}, ""),
    "has": (arrays() | {"train_has_text": np.arange(24) % 4 != 0}, {"second": 18, "pairs": 18}, ""),
    "zeros": (rows_of_zeros(), {}, "6 rows of text are zero and taken as data"),
    "paired=false": (arrays() | {"paired": False}, {"pairs": 0}, ""),
    "unpaired": (arrays() | {"unpaired": True}, {"pairs": 0}, ""),
    "train unpaired": (arrays() | {"train_unpaired": True}, {"pairs": 0}, ""),
    "paired=no": (arrays() | {"paired": "no"}, {"pairs": 0}, ""),
    "other labels": (other_pairs(), {"pairs": 0, "same": False}, "not taken for pairs"),
    "paired=1": (other_pairs() | {"paired": np.array([1])}, {"same": False}, ""),
    "is paired": (other_pairs() | {"is_paired": 1}, {"same": False}, ""),
    "aligned": (other_pairs() | {"aligned": "true"}, {"same": False}, ""),
    "sorted": (labels(np.sort), {"same": False}, "sorted"),
    "labels of one": (without("text_labels") | {"paired": True}, {}, ""),
    "unequal": (
        {k: v[:18] if k.startswith("train_text") else v for k, v in arrays().items()},
        {"second": 18, "pairs": 0},
        "counts differ",
    ),
    "captions": (repeated(), {"second": 120, "pairs": 120}, "follow each other"),
    "captions of labelled images": (
        renamed("image_labels", "labels", without("text_labels", repeated())),
        {"second": 120, "pairs": 120},
        "follow each other",
    ),
    "captions by id": (captions_by_id(), {"second": 120, "pairs": 120}, ""),
    "captions of all rows by id": (captions_of_all_rows(), {"second": 120, "pairs": 120}, "part of their id"),
    "captions in any order": (captions_in_any_order(), {"second": 120, "pairs": 120}, ""),
    "captions, labels of images": (
        renamed("labels", "image_labels", captions_in_any_order()), {"second": 120, "pairs": 120}, "",
    ),
    "texts in any order, labels of images": (texts_in_any_order("image_labels"), {}, "labels of their ids"),
    **{
        f"captions in one array, {name}": (values, {"second": 120, "pairs": 120}, "")
        for name, values in {
            "labels of all": captions_in_one_array(),
            "labels of each": captions_in_one_array("image_labels", **labels_of_each(1)),
            "labels of captions": captions_in_one_array("image_labels", **labels_of_each(5)),
            "ids": captions_in_one_array(train_ids=np.array([f"p{i}" for i in range(24)])),
            "columns": {k: v.T if v.ndim == 3 else v for k, v in captions_in_one_array().items()},
            "rows of all": of_all_rows()
            | {"text": np.repeat(of_all_rows()["text"][:, None], 5, axis=1), "split": HALF},
        }.items()
    },
    "captions in one array, missing": (
        captions_in_one_array(train_text_missing=np.arange(24) % 4 == 0), {"second": 90, "pairs": 90}, "",
    ),
    "captions in one array, unpaired": (
        captions_in_one_array(paired=False), {"second": 120, "pairs": 0}, "",
    ),
    "views by id": (views_of_objects(), {"second": 6, "same": False, "partners": False}, ""),
    "partial pairs": (texts_of_some(), {"second": 18, "pairs": 18}, ""),
    "row numbers": (of_all_rows() | {"train_idx": TRAIN, "test_idx": TEST}, {}, ""),
    "row numbers from 1": (
        of_all_rows() | {"indexTrain": TRAIN[None] + 1, "indexTest": TEST[None] + 1}, {}, "counted from 1",
    ),
    "masks": (of_all_rows() | {"train_mask": NUMBERS < 24, "test_mask": NUMBERS >= 24}, {}, ""),
    "mask of train": (of_all_rows() | {"is_train": NUMBERS < 24}, {}, "taken for test"),
    "masks of others": (
        of_all_rows() | {"train_mask": NUMBERS < 16, "val_mask": (NUMBERS >= 16) & (NUMBERS < 24)}, {}, "",
    ),
    "words": (of_all_rows() | {"set": HALF}, {}, ""),
    "unused lists": (
        arrays() | {"train_image_path": ids, "train_raw_text": np.full(24, "a b")},
        {},
        "not used: train_image_path, train_raw_text",
    ),
    "unused split": (arrays() | {"split": HALF}, {}, "not used: split"),
    "cells": (
        {"X": views().reshape(2, 1), "truth": of_all_rows()["labels"], "trainIdx": TRAIN, "testIdx": TEST},
        {},
        "view1 = X/1",
    ),
    **{
        f"habit {number}": (habits(*words), {}, "")
        for number, words in enumerate(
            [
                ("{1}_{0}", "L_{0}", "tr", "te", "I", "T"),
                ("{1}_{0}", "label_{0}", "train", "test", "img", "text"),
                ("{1}{0}", "Lab{0}", "Train", "Query", "Img", "Tag"),
                ("{1}{0}", "LAB{0}", "TRAIN", "TEST", "IMG", "TXT"),
                ("{1}{0}", "lab{0}", "train", "query", "img", "tag"),
                ("{1}{0}", "L{0}", "Train", "Test", "X", "Y"),
                ("{0}_{1}", "{0}_labels", "train", "query", "image", "text"),
                ("{0}/{1}", "{0}/label", "training", "test", "images", "texts"),
            ]
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_arrays_are_read_as_meant_and_what_was_assumed_is_said(tmp_path: Path, name: str) -> None:
    values, found, output = READ[name]
    data = loaded(tmp_path, values)
    require(data, **found)
    assert output in notes(data)
    assert data.modalities == (("view1", "view2") if name == "cells" else ("image", "text"))


def test_ids_pair_rows_in_any_order(tmp_path: Path) -> None:
    data = loaded(tmp_path, arrays() | {"train_image_ids": ids, "train_text_ids": ids[::-1]})
    found = 0
    for split in (data.train, data.validation):
        for a, b in zip(*split.pairs("image", "text"), strict=True):
            row = arrays()["train_image"].tolist().index(split["image"].features[a].tolist())
            np.testing.assert_array_equal(split["text"].features[b], arrays()["train_text"][23 - row])
            found += 1
    assert found == 24


@pytest.mark.parametrize(
    ("change", "classes"),
    [
        (lambda y: y + 1, ("1", "2", "3")),
        (lambda y: np.array([3, 70, 11])[y], ("3", "11", "70")),
        (lambda y: np.eye(4)[y + 1], ("1", "2", "3")),
        (lambda y: NAMES[y], ("art", "music", "war")),
        (one_hot, ()),
    ],
)
def test_classes_keep_their_names(
    tmp_path: Path, change: Callable[[Array], Any], classes: tuple[str, ...]
) -> None:
    assert tuple(loaded(tmp_path, labels(change)).items.classes) == classes


REFUSED: dict[str, tuple[Arrays, str]] = {
    "two readings": (arrays() | {"query_image": np.ones((12, 6))}, "--image"),
    "two labels": (
        {k: v[:, None] if v.ndim == 1 else v for k, v in shared().items()}
        | {f"{part}_category": np.arange(count)[:, None] // 2 for part, count in PARTS.items()},
        "--labels train_labels or .* --labels train_category",
    ),
    "other start": (labels(lambda y: y + 1, "text"), "same number"),
    "below -1": (labels(lambda y: y - 2), "reach from -2"),
    "-1 in test": (labels(lambda y: np.where(np.arange(len(y)) % 4, y, -1)), "no label"),
    "fractions": (labels(lambda y: y + 0.5), "whole"),
    "threes": (labels(lambda y: one_hot(y) * 3), "0 or 1"),
    "ones": (labels(lambda y: np.ones((len(y), 4))) | {"train_text_labels": np.arange(24)}, "class numbers"),
    "no row of labels": (labels(lambda y: np.array(5)), "no labels"),
    "no label at all": (labels(lambda y: y * 0 - 1), "no row has a label"),
    "other widths of labels": (labels(one_hot) | {"test_text_labels": np.eye(5, 9)[TEST % 5]}, "columns"),
    "one-hot and 1, 2": (labels(lambda y: np.eye(4)[y] if len(y) == 24 else y % 2 + 1), "from 0 or from 1"),
    "paired, other counts": (
        arrays() | {"paired": 1, "train_text": np.ones((9, 4)), "train_text_labels": np.arange(9)}, "count",
    ),
    "ids of some": (arrays() | {"train_image_ids": np.arange(24)}, "ids of some"),
    "a label of captions": (captions_by_id() | {"train_labels": np.array(1)}, "no labels"),
    "labels of two orders": (texts_in_any_order("labels"), "in different orders"),
    "labels of two orders, columns": (
        {k: one_hot(v).T if "labels" in k else v for k, v in texts_in_any_order("labels").items()},
        "in different orders",
    ),
    "two kinds of ids": (captions_by_id() | {"train_image_ids": ids}, "but 24 labels"),
    "23 ids": (arrays() | {"train_ids": np.arange(23)}, "23 ids"),
    "paired by numbers": (arrays() | {"paired": np.arange(3)}, "true or false"),
    "stated multi-label": (arrays() | {"multi_label": True}, "multi_label"),
    "widths": (arrays() | {"test_text": np.ones((12, 5))}, "widths"),
    "rows": (arrays() | {"train_image": np.ones((23, 6))}, "23 rows, but 24 labels"),
    "NaN": (arrays() | {"test_image": np.where(np.eye(12, 6) > 0, np.nan, 1)}, "row 0, column 0 is nan"),
    "empty": (arrays() | {"test_image": np.ones((0, 6))}, "'test_image'.*empty"),
    "objects": (arrays() | {"train_image": np.array([[object()]])}, "pickle"),
    "pixels": (arrays() | {"train_image": np.ones((24, 8, 8))}, "'train_image_ids' = numpy.repeat"),
    "texts": (shared() | {"train_text": np.full(24, "a b"), "test_text": np.full(12, "a b")}, "data extract"),
    "no labels": (without("test_text_labels"), "'test_text_labels' is missing"),
    "labels of one": (without("text_labels"), "train_text_labels"),
    "no text in test": (without("test_text"), r"\['image', 'text'\].* \['image'\]"),
    "one modality": (without("text"), "image = train_image.*import both"),
    "one modality of all rows": ({"X": np.ones((5, 2)), "y": np.arange(5)}, "= X,.*import both"),
    "no train": ({"test_a": np.ones((2, 2)), "test_b": np.ones((2, 2))}, "no train features"),
    "no test": ({"train_a": np.ones((2, 2)), "train_a_labels": np.arange(2)}, "no test features"),
    "an array beside": (arrays() | {"val_image": np.ones((2, 2))}, "'val_image'|modalities"),
    "names of modalities": (renamed("text", "текст"), "--modality NAME="),
    "a database": (renamed("train", "database"), "--split train=database"),
    "all rows": (of_all_rows(), "split"),
    "only train": (of_all_rows() | {"train_index": TRAIN}, "test_index"),
    "too many rows": (of_all_rows() | {"train_idx": TRAIN, "test_idx": TEST + 5}, "36 rows"),
    "numbered parts": (of_all_rows() | {"split": NUMBERS // 24}, "found 0, 1"),
    "other orders": (
        of_all_rows() | {"image_ids": NUMBERS, "text_ids": NUMBERS[::-1], "split": HALF}, "sort both",
    ),
    "file names": (labels(lambda y: np.array([f"{i}.jpg" for i in range(len(y))])), "ids"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_or_in_none_is_one_sentence(tmp_path: Path, name: str) -> None:
    values, words = REFUSED[name]
    with pytest.raises(DataError, match=words) as caught:
        loaded(tmp_path, values)
    assert str(tmp_path / "mine.npz") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2
