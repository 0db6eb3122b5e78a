"""Files in the layouts that people have are read as meant, and every assumption is said."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

import bench
from bench.contract import Array, DataError, UsageError
from bench.data import diagnose, fingerprint_of, load_dataset
from bench.data.bundle import import_files
from bench.data.keys import Choices

Arrays = dict[str, Any]


def arrays(rows: int = 24, tests: int = 12, classes: int = 3) -> Arrays:
    """Return a good bundle with classes in turn."""
    draws, found = np.random.default_rng(0), dict[str, Any]()
    for part, count in (("train", rows), ("test", tests)):
        for name, width in (("image", 6), ("text", 4)):
            found[f"{part}_{name}"] = draws.normal(size=(count, width)).astype("f4")
            found[f"{part}_{name}_labels"] = np.arange(count) % classes
    return found


def labels(change: Callable[[Array], Any], keep: str = "") -> Arrays:
    return {k: change(v) if k.endswith("_labels") and keep in k else v for k, v in arrays().items()}


def loaded(path: Path, values: Arrays) -> Any:
    np.savez(path / "mine.npz", **values)
    return load_dataset(path / "mine.npz", profile="paper")


def rows(data: Any, name: str = "image") -> int:
    return len(data.train[name]) + len(data.validation[name])


def pairs(data: Any) -> int:
    return sum(len(split.pairs("image", "text")[0]) for split in (data.train, data.validation))


@pytest.mark.parametrize(
    ("change", "classes", "said"),
    [
        (lambda y: y[:, None].astype(float), (), ""),
        (lambda y: (y + 1)[None], ("1", "2", "3"), "counted from 1"),
        (lambda y: np.array([3, 70, 11])[y], ("3", "11", "70"), "3, 11, 70"),
        (lambda y: np.eye(3)[y], (), "one-hot"),
        (lambda y: np.eye(3)[y].T * 2 - 1, (), "-1"),
        (lambda y: np.eye(4)[y + 1], ("1", "2", "3"), "dropped"),
        (lambda y: np.array(["b", "a", "c"])[y], ("a", "b", "c"), "names"),
        (lambda y: np.array([b"b", b"a", b"c"])[y], ("a", "b", "c"), "names"),
    ],
)
def test_labels_of_one_class_each_are_numbered_from_0(
    tmp_path: Path, change: Callable[[Array], Any], classes: tuple[str, ...], said: str
) -> None:
    data = loaded(tmp_path, labels(change))
    assert (data.n_classes, data.train.multi_label, tuple(data.items.classes)) == (3, False, classes)
    assert {*data.test["image"].labels.tolist()} == {0, 1, 2}
    assert said in " ".join(data.card.notes)
    assert pairs(data) == 24


def test_one_hot_rows_are_multi_label_where_a_key_states_it(tmp_path: Path) -> None:
    data = loaded(tmp_path, {**labels(lambda y: np.eye(3)[y]), "multi_label": True})
    assert data.train.multi_label
    assert data.n_classes == 3


def test_two_values_of_one_and_minus_one_are_two_classes(tmp_path: Path) -> None:
    data = loaded(tmp_path, labels(lambda y: np.where(y > 0, 1, -1)))
    assert data.n_classes == 2
    assert data.train["image"].labelled.all()


@pytest.mark.parametrize("unknown", [-1, np.nan, ""])
def test_training_rows_without_a_label_are_kept_and_others_refused(tmp_path: Path, unknown: Any) -> None:
    def forget(y: Array) -> Array:
        known = np.array(["a", "b", "c"])[y] if unknown == "" else y.astype(type(unknown))
        return np.where(np.arange(len(y)) % 4 == 0, np.array(unknown, known.dtype), known)

    named = (lambda y: np.array(["a", "b", "c"])[y]) if unknown == "" else (lambda y: y)
    data = loaded(tmp_path, labels(lambda y: forget(y) if len(y) == 24 else named(y)))
    assert int(data.train["image"].labelled.sum() + data.validation["image"].labelled.sum()) == 18
    assert "no label" in " ".join(data.card.notes)
    with pytest.raises(DataError, match="no label"):
        loaded(tmp_path, labels(forget))


@pytest.mark.parametrize(
    ("features", "label", "train", "test", "image", "text"),
    [
        ("{1}_{0}", "L_{0}", "tr", "te", "I", "T"),
        ("{1}_{0}", "label_{0}", "train", "test", "img", "text"),
        ("{1}{0}", "Lab{0}", "Train", "Query", "Img", "Tag"),
        ("{1}{0}", "LAB{0}", "TRAIN", "TEST", "IMG", "TXT"),
        ("{1}{0}", "lab{0}", "train", "query", "img", "tag"),
        ("{1}{0}", "L{0}", "Train", "Test", "X", "Y"),
        ("{0}_{1}", "{0}_labels", "train", "query", "image", "text"),
        ("{0}/{1}", "{0}/label", "training", "test", "images", "texts"),
    ],
)
def test_the_naming_habits_of_the_field_are_known(
    tmp_path: Path, features: str, label: str, train: str, test: str, image: str, text: str
) -> None:
    found = {}
    for part, word in (("train", train), ("test", test)):
        found[label.format(word)] = arrays()[f"{part}_image_labels"]
        for name, called in (("image", image), ("text", text)):
            found[features.format(word, called)] = arrays()[f"{part}_{name}"]
    data = loaded(tmp_path, found)
    assert (data.modalities, data.n_classes) == (("image", "text"), 3)
    assert (rows(data), len(data.test["text"]), pairs(data)) == (24, 12, 24)


def test_names_that_need_not_be_literal_share_labels_by_their_modality(tmp_path: Path) -> None:
    values = {k.replace("_image", "_imgs_deep").replace("_text", "_texts"): v for k, v in arrays().items()}
    values = {k.replace("_deep_labels", "_labels"): v for k, v in values.items()}
    assert loaded(tmp_path, values).modalities == ("image", "text")


def test_a_gallery_is_a_split_with_a_limit_and_a_part_of_the_fingerprint(tmp_path: Path) -> None:
    more = {f"database_{k[5:]}": v for k, v in arrays(tests=6000).items() if k.startswith("test_")}
    plain = loaded(tmp_path, arrays())
    data = loaded(tmp_path, arrays() | more)
    assert plain.gallery is None
    assert len(data.gallery["image"]) == 6000
    assert data.fingerprint not in (plain.fingerprint, fingerprint_of(tmp_path / "mine.npz")[1])
    assert len(load_dataset(tmp_path / "mine.npz").gallery["text"]) == 5000  # type: ignore[index]


def test_columns_that_are_samples_are_turned_where_the_labels_decide(tmp_path: Path) -> None:
    values = arrays()
    data = loaded(tmp_path, {k: v if k.endswith("labels") else v.T for k, v in values.items()})
    np.testing.assert_array_equal(data.test["image"].features, values["test_image"])
    assert "transposed" in " ".join(data.card.notes)


def test_rows_of_nan_or_declared_missing_are_left_out_and_the_rest_keeps_its_pairs(tmp_path: Path) -> None:
    values = arrays()
    values["train_text"][::4] = np.nan
    values["train_image_missing"] = np.arange(24) % 6 == 1
    data = loaded(tmp_path, values)
    assert (rows(data, "image"), rows(data, "text"), pairs(data)) == (20, 18, 14)


def test_ids_and_paired_state_pairs_and_equal_labels_are_only_taken_for_them(tmp_path: Path) -> None:
    values = arrays()
    assert "taken for pairs" in " ".join(loaded(tmp_path, values).card.notes)
    assert pairs(loaded(tmp_path, values | {"paired": False})) == 0
    other = values | {"train_text_labels": (np.arange(24) + (np.arange(24) % 5 == 0)) % 3}
    unpaired = loaded(tmp_path, other)
    assert pairs(unpaired) == 0
    assert "not taken for pairs" in " ".join(unpaired.card.notes)
    assert pairs(loaded(tmp_path, other | {"paired": np.array([1])})) == 24
    ordered = values | {key: np.sort(v) for key, v in values.items() if key.endswith("labels")}
    assert "sorted" in " ".join(loaded(tmp_path, ordered).card.notes)
    names = np.array([f"p{i}" for i in range(24)])
    stated = {"train_image_ids": names, "train_text_ids": names[::-1]}
    assert pairs(loaded(tmp_path, values | stated)) == 24


def test_labels_of_one_modality_serve_all_where_rows_are_stated_to_be_pairs(tmp_path: Path) -> None:
    values = {key: value for key, value in arrays().items() if not key.endswith("text_labels")}
    assert pairs(loaded(tmp_path, values | {"paired": True})) == 24
    with pytest.raises(DataError, match="train_text_labels"):
        loaded(tmp_path, values)


def test_captions_take_the_labels_of_their_pictures_by_id(tmp_path: Path) -> None:
    values = {k: v for k, v in arrays().items() if not k.endswith("text_labels")}
    for part, count in (("train", 24), ("test", 12)):
        values[f"{part}_labels"] = values.pop(f"{part}_image_labels")
        values[f"{part}_image_ids"] = np.arange(count)[::-1]
        values[f"{part}_text_ids"] = np.repeat(np.arange(count), 5)
        values[f"{part}_text"] = np.repeat(values[f"{part}_text"], 5, axis=0)
    data = loaded(tmp_path, values)
    assert (rows(data, "text"), pairs(data)) == (120, 120)
    a, b = data.train.pairs("image", "text")
    assert (data.train["image"].labels[a] == data.train["text"].labels[b]).all()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (arrays() | {"query_image": np.ones((12, 6))}, "--image"),
        (labels(lambda y: y + 1, "text"), "same number"),
        (labels(lambda y: y - 2), "reach from -2"),
        (labels(lambda y: y + 0.5), "whole"),
        (labels(lambda y: np.eye(3)[y] * 3), "0 or 1"),
        (labels(lambda y: np.array(5)), "no labels"),
        (labels(lambda y: y * 0 - 1), "no row has a label"),
        (arrays() | {"paired": 1, "train_text": np.ones((9, 4)), "train_text_labels": np.arange(9)}, "count"),
        (arrays() | {"train_image_ids": np.arange(24)}, "ids of some"),
        (arrays() | {"train_ids": np.arange(23)}, "23 ids"),
        (arrays() | {"paired": np.arange(3)}, "true or false"),
        (arrays() | {"multi_label": True}, "multi_label"),
        (arrays() | {"test_text": np.ones((12, 5))}, "widths"),
        ({"image": np.ones((5, 2)), "labels": np.arange(5)}, "data import"),
        ({k.replace("train", "database"): v for k, v in arrays().items()}, "--split train=database"),
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_or_in_none_is_one_sentence(
    tmp_path: Path, values: Arrays, words: str
) -> None:
    with pytest.raises(DataError, match=words) as caught:
        loaded(tmp_path, values)
    assert "\n" not in str(caught.value)


def as_mat(path: Path, values: Arrays) -> Path:
    savemat(path / "mine.mat", {k.replace("train_", "tr_"): v for k, v in values.items()})
    return path / "mine.mat"


def as_h5(path: Path, values: Arrays) -> Path:
    with h5py.File(path / "mine.hdf5", "w") as file:
        for key, value in values.items():
            file[key.replace("_", "/", 1)] = value
    return path / "mine.hdf5"


def as_pickle(path: Path, values: Arrays) -> Path:
    nested = {
        p: {k[len(p) + 1 :]: v for k, v in values.items() if k.startswith(p)} for p in ("train", "test")
    }
    (path / "mine.pkl").write_bytes(pickle.dumps(nested))
    return path / "mine.pkl"


def as_folder(path: Path, values: Arrays) -> Path:
    (path / "mine").mkdir()
    for key, value in values.items():
        np.save(path / "mine" / f"{key}.npy", value)
    return path / "mine"


def as_recipe(path: Path, values: Arrays) -> Path:
    np.save(path / "y.npy", values["train_image_labels"])
    savemat(path / "x.mat", {f"m{i}": values[k] for i, k in enumerate(KEYS)} | {"yt": np.arange(12) % 3})
    (path / "mine.yaml").write_text(
        "files: {x: x.mat, y: y.npy}\n"
        "train: {image: 'x:m0', text: 'x:m1', labels: 'y:y'}\n"
        "test: {image: 'x:m2', text: 'x:m3', labels: 'x:yt'}\n"
    )
    return path / "mine.yaml"


KEYS = ("train_image", "train_text", "test_image", "test_text")


@pytest.mark.parametrize("save", [as_mat, as_h5, as_pickle, as_folder, as_recipe], ids=lambda f: f.__name__)
def test_every_format_is_a_dataset_in_place_and_imports_to_the_same_bundle(
    tmp_path: Path, save: Callable[[Path, Arrays], Path]
) -> None:
    values = arrays()
    path = save(tmp_path, values)
    data = load_dataset(str(path))
    assert (data.name, rows(data), pairs(data)) == ("mine", 24, 24)
    np.testing.assert_array_equal(data.test["text"].features, values["test_text"])
    assert diagnose(path).status == "complete"
    import_files([path], tmp_path / "other.npz", Choices())
    other = load_dataset(tmp_path / "other.npz")
    for part in ("train", "validation", "test"):
        for name in data.modalities:
            ours, theirs = getattr(data, part)[name], getattr(other, part)[name]
            np.testing.assert_array_equal(ours.features, theirs.features)
            np.testing.assert_array_equal(ours.labels, theirs.labels)
    before = fingerprint_of(path)
    if path.suffix == ".yaml":
        np.save(tmp_path / "y.npy", (values["train_image_labels"] + 1) % 3)
        assert fingerprint_of(path) != before


def test_a_saved_bundle_is_the_same_dataset(tmp_path: Path) -> None:
    more = {f"gallery_{k[5:]}": v for k, v in arrays().items() if k.startswith("test_")}
    values = arrays() | more | {"train_image_ids": np.arange(24), "train_text_ids": np.arange(24) // 2}
    data = loaded(tmp_path, values)
    parts = {"validation": data.validation, "gallery": data.gallery}
    path = bench.save_bundle(tmp_path / "again.npz", train=data.train, test=data.test, **parts)
    again = load_dataset(path, profile="paper")
    for part in ("train", "validation", "test", "gallery"):
        ours, theirs = getattr(data, part), getattr(again, part)
        assert ours.pairing == theirs.pairing
        for name in ours:
            np.testing.assert_array_equal(ours[name].features, theirs[name].features)
            np.testing.assert_array_equal(ours[name].labels, theirs[name].labels)


def test_arrays_are_saved_only_if_they_are_a_dataset(tmp_path: Path) -> None:
    good = {"image": np.ones((6, 2)), "text": np.ones((6, 3)), "labels": np.arange(6) % 2}
    path = bench.save_bundle(str(tmp_path / "a.npz"), train=good, test=good)
    assert load_dataset(path).train.pairing == "natural"
    path = bench.save_bundle(tmp_path / "c.npz", train=good, test=good, paired=False)
    assert load_dataset(path).train.pairing == "none"
    with pytest.raises(DataError):
        bench.save_bundle(tmp_path / "b.npz", train=good, test={"image": np.ones((6, 2))})
    assert not (tmp_path / "b.npz").exists()
    with pytest.raises(UsageError):
        bench.save_bundle(tmp_path / "b.mat", train=good, test=good)


def test_choices_decide_where_two_readings_are_possible(tmp_path: Path) -> None:
    values = {k.replace("image", "imgs_deep"): v for k, v in arrays().items()}
    values |= {f"{part}_imgs_sift": np.ones((n, 9)) for part, n in (("train", 24), ("test", 12))}
    values = {k.replace("imgs_deep_labels", "labels"): v for k, v in values.items() if "text_labels" not in k}
    np.savez(tmp_path / "x.npz", **values)
    choices = Choices(modalities={"image": "train_imgs_sift", "text": "train_text"}, labels="train_labels")
    found = import_files([tmp_path / "x.npz"], tmp_path / "y.npz", choices)
    assert found.splits["test"]["image"].dimension == 9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "mapping"),
        ("train: {image: a}", "files"),
        ("files: x.npz\ntrain: 3", "train"),
        ("files: x.npz\nfoo: 3", "foo"),
        ("files: none.npz\ntrain: {image: a}", "none.npz"),
        ("files: [x.npz, y.npz]\ntrain: {image: a}", "names no file"),
        (
            "files: x.npz\ntrain: {image: zz, text: zz, labels: zz}\ntest: {image: a, text: a, labels: a}",
            "zz",
        ),
        ("a: !!python/object/apply:os.system ['true']", "YAML"),
    ],
)
def test_a_wrong_recipe_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    for name in ("x", "y"):
        np.savez(tmp_path / f"{name}.npz", a=np.ones(3))
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(DataError, match=words):
        load_dataset(tmp_path / "r.yaml")
