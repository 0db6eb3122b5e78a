"""Files, folders and recipes in the layouts that people have are read as meant, or refused with a remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

import bench
from bench.contract import DataError, Dataset, UsageError
from bench.data import Choices, fingerprint_of, load_dataset
from bench.data.bundle import import_files
from tests.data.layouts import (
    HALF,
    NAMES,
    PARTS,
    TEST,
    TRAIN,
    Arrays,
    arrays,
    cells,
    dump,
    loaded,
    notes,
    of_all_rows,
    one_hot,
    renamed,
    require,
    samples,
    shared,
    table_of,
    views,
    without,
)
from tests.data.released import write_mat73
from tests.wording import mentions


def test_a_gallery_is_a_split_with_a_limit_and_a_part_of_the_fingerprint(tmp_path: Path) -> None:
    more = {f"database_{k[5:]}": v for k, v in arrays(tests=6000).items() if k.startswith("test_")}
    plain = loaded(tmp_path, arrays())
    data = loaded(tmp_path, arrays() | more)
    require(data, gallery=6000)
    assert data.fingerprint not in (plain.fingerprint, fingerprint_of(tmp_path / "mine.npz")[1])
    assert len(load_dataset(tmp_path / "mine.npz").gallery["text"]) == 5000  # type: ignore[index]


def test_row_numbers_of_a_hashing_file_name_a_gallery(tmp_path: Path) -> None:
    values = of_all_rows()
    mine = {"XAll": values["image"], "YAll": values["text"], "LAll": one_hot(values["labels"])}
    savemat(
        tmp_path / "x.mat",
        mine | {f"index{p}": r + 1 for p, r in (("Train", TRAIN), ("Test", TEST), ("Database", TRAIN))},
    )
    data = load_dataset(tmp_path / "x.mat", profile="paper")
    require(data, gallery=24)
    assert "counted from 1" in notes(data)


def test_a_database_without_train_rows_is_trained_on_by_the_command_that_the_refusal_names(
    tmp_path: Path,
) -> None:
    words = {"train": "Database", "test": "Test"}
    keys = {"image": "X{}", "text": "Y{}", "labels": "L{}"}
    path = tmp_path / "x.mat"
    savemat(
        path, {keys[key.split("_")[1]].format(words[key.split("_")[0]]): v for key, v in shared().items()}
    )
    with pytest.raises(DataError, match="--split train=database --split gallery=database --split test=test"):
        load_dataset(path)
    split = {"train": "database", "gallery": "database", "test": "test"}
    found = import_files([path], tmp_path / "y.npz", Choices(split=split))
    assert {part: len(one["image"]) for part, one in found.splits.items()} == {**PARTS, "gallery": 24}


@pytest.mark.parametrize("mark", ["|", "; ", "[]"])
def test_lists_of_classes_in_a_cell_are_several_labels(tmp_path: Path, mark: str) -> None:
    table = table_of(arrays())
    sets = [["0", "2"], ["1"], ["0", "1", "2"]]
    table["label"] = [str(one) if mark == "[]" else mark.join(one) for one in sets * 12]
    table.to_csv(tmp_path / "mine.csv", index=False)
    data = load_dataset(tmp_path / "mine.csv")
    np.testing.assert_array_equal(data.test["image"].labels[:3], [[1, 0, 1], [0, 1, 0], [1, 1, 1]])


def test_empty_cells_are_rows_without_a_label_or_a_modality(tmp_path: Path) -> None:
    table = table_of(arrays()).reset_index(drop=True)
    table.loc[[0, 3], [f"text_{i}" for i in range(4)]] = np.nan
    table.loc[[1, 2, 4], "label"] = None
    table.to_csv(tmp_path / "mine.csv", index=False)
    require(load_dataset(tmp_path / "mine.csv"), second=22, pairs=22, labelled=21)


def written(path: Path, change: Callable[[Any], Any]) -> Dataset:
    """Return a dataset of which each name of a class was changed, in the format that a path states."""
    known = [change(NAMES[label]) for label in of_all_rows()["labels"]]
    if path.suffix == ".csv":
        table = table_of(arrays())
        table.assign(label=known).to_csv(path, index=False)
    elif path.suffix == ".npz":
        np.savez(path, **of_all_rows() | {"labels": np.array(known), "split": HALF})
    else:
        path.write_text(
            json.dumps([row | {"label": one} for row, one in zip(samples(True), known, strict=True)])
        )
    return load_dataset(path, profile="paper")


@pytest.mark.parametrize("name", ["x.csv", "x.npz", "x.json"])
def test_a_word_that_marks_missing_values_is_a_class_unless_all_others_are_numbers(
    tmp_path: Path, name: str
) -> None:
    data = written(tmp_path / name, {"art": "None", "music": "3", "war": "war"}.get)
    require(data)
    assert tuple(data.items.classes) == ("3", "None", "war")
    assert mentions(notes(data), "None ... class")
    rows = iter(range(36))
    numbers = {"art": "1", "music": "2", "war": "3"}
    data = written(tmp_path / name, lambda word: "NA" if next(rows) in (1, 2, 4) else numbers[word])
    require(data, labelled=21)
    assert mentions(notes(data), "train ... 3 of 24 rows of image ... label")
    rows = iter(range(36))
    with pytest.raises(DataError, match=r"\b12 test rows of image.*label"):
        written(tmp_path / name, lambda word: "NA" if next(rows) > 23 else numbers[word])


@pytest.mark.parametrize("named", ["Y", "gt", "labels"])
@pytest.mark.parametrize("turned", [False, True])
def test_cells_are_views_and_test_rows_are_drawn_on_request(tmp_path: Path, turned: bool, named: str) -> None:
    known = of_all_rows()["labels"]
    savemat(tmp_path / "x.mat", {"X": views(turned), named: known[:, None] + 1})
    with pytest.raises(DataError, match=r"view1 = X/1, view2 = X/2.*--split test=0.2"):
        load_dataset(tmp_path / "x.mat")
    found = import_files([tmp_path / "x.mat"], tmp_path / "y.npz", Choices(test_share=0.25))
    require(load_dataset(tmp_path / "y.npz"), rows=27, second=27, test=9, pairs=27)
    assert np.bincount(found.splits["test"]["view1"].labels).tolist() == [3, 3, 3]
    assert "drawn" in " ".join(found.notes)


def test_a_cell_for_each_view_has_its_labels(tmp_path: Path) -> None:
    both = cells([of_all_rows()["labels"][:, None] + 1] * 2)
    savemat(tmp_path / "x.mat", {"data": views(True), "truelabel": both, "names": cells(["a", "b"])})
    found = import_files([tmp_path / "x.mat"], tmp_path / "y.npz", Choices(test_share=0.25))
    assert [*found.splits["train"]] == ["view1", "view2"]
    assert "view1 labels = truelabel/1" in " ".join(found.notes)


def test_two_files_of_one_modality_each_are_imported_together(tmp_path: Path) -> None:
    values = of_all_rows()
    for file, name in (("img", "image"), ("txt", "text")):
        savemat(tmp_path / f"{file}.mat", {"X": values[name], "y": values["labels"][:, None]})
    with pytest.raises(DataError, match="import both"):
        load_dataset(tmp_path / "img.mat")
    both = [tmp_path / "img.mat", tmp_path / "txt.mat"]
    import_files(both, tmp_path / "y.npz", Choices(test_share=0.25))
    require(load_dataset(tmp_path / "y.npz"), rows=27, second=27, test=9, pairs=27)


@pytest.mark.parametrize("name", ["x.pkl", "x.npz"])
def test_a_tuple_of_arrays_is_read_by_the_recipe_that_its_refusal_names(tmp_path: Path, name: str) -> None:
    values = [shared()[f"{part}_{key}"] for key in ("image", "text", "labels") for part in PARTS]
    if name == "x.pkl":
        dump(tmp_path / name, tuple(values))
    else:
        np.savez(tmp_path / name, *values)
    with pytest.raises(DataError, match="recipe") as refused:
        load_dataset(tmp_path / name)
    (tmp_path / "mine.yaml").write_text(str(refused.value).partition("such as: ")[2])
    require(load_dataset(tmp_path / "mine.yaml"))


def test_two_structures_of_an_array_are_parts_by_the_recipe_that_the_refusal_names(tmp_path: Path) -> None:
    kind = [(name, object) for name in ("image", "text", "labels")]
    parts = [tuple(shared()[f"{part}_{name}"] for name, _ in kind) for part in PARTS]
    savemat(tmp_path / "x.mat", {"data": np.array(parts, dtype=kind)})
    with pytest.raises(DataError, match="recipe") as refused:
        load_dataset(tmp_path / "x.mat")
    (tmp_path / "mine.yaml").write_text(str(refused.value).partition("such as: ")[2])
    require(load_dataset(tmp_path / "mine.yaml"))


@pytest.mark.parametrize("name", ["x.mat", "x73.mat", "x.pkl", "x.json"])
def test_a_sample_may_have_a_matrix_of_captions(tmp_path: Path, name: str) -> None:
    keys, parts = ("image", "text", "label"), dict[str, Any]()
    for part, count in PARTS.items():
        image, text, labels = (shared()[f"{part}_{key}"] for key in ("image", "text", "labels"))
        captions = np.stack([text, text + 1, text + 2], axis=1)
        rows = [(image[row], captions[row], str(labels[row])) for row in range(count)]
        parts[part] = np.array(rows, dtype=[(key, object) for key in keys])
    samples_of = {part: [dict(zip(keys, row, strict=True)) for row in parts[part]] for part in PARTS}
    if name == "x.pkl":
        dump(tmp_path / name, samples_of)
    elif name == "x.json":
        (tmp_path / name).write_text(json.dumps(samples_of, default=np.ndarray.tolist))
    else:
        (savemat if name == "x.mat" else write_mat73)(tmp_path / name, parts)
    test = load_dataset(tmp_path / name, profile="paper").test
    np.testing.assert_array_equal(test["image"].features, shared()["test_image"])
    for caption in range(3):
        np.testing.assert_array_equal(test["text"].features[caption::3], shared()["test_text"] + caption)


@pytest.mark.parametrize("write", [savemat, write_mat73])
@pytest.mark.parametrize("count", [24, 72])
def test_a_cell_may_hold_each_row(tmp_path: Path, write: Callable[..., Any], count: int) -> None:
    values: Arrays = {}
    for part in PARTS:
        of_part = arrays(rows=count, tests=count)
        image, text = (of_part[f"{part}_{name}"] for name in ("image", "text"))
        rows: dict[str, list[Any]] = {"image": [*image], "text": [np.stack([one, one + 1]) for one in text]}
        rows["labels"] = [str(name) for name in NAMES[of_part[f"{part}_image_labels"]]]
        rows["text"][0] = np.empty((0, 0)) if write is savemat and part == "train" else rows["text"][0]
        values |= {f"{part}_{k}": cells(v).T if write is savemat else v for k, v in rows.items()}
    write(tmp_path / "x.mat", values)
    data = load_dataset(tmp_path / "x.mat", profile="paper")
    np.testing.assert_array_equal(data.test["image"].features, of_part["test_image"])
    np.testing.assert_array_equal(data.test["text"].features[1::2], of_part["test_text"] + 1)
    assert len(data.test.pairs("image", "text")[0]) == 2 * count


@pytest.mark.parametrize(("name", "wide"), [("x.json", 0), ("x.json", 300), ("x.pkl", 0)])
def test_lists_three_deep_are_captions(tmp_path: Path, name: str, wide: int) -> None:
    values = shared()
    texts = {part: np.pad(values[f"{part}_text"], ((0, 0), (0, wide))) for part in PARTS}
    values |= {f"{part}_text": np.stack([one, one + 1, one + 2], axis=1) for part, one in texts.items()}
    if name == "x.json":
        (tmp_path / name).write_text(json.dumps(values, default=np.ndarray.tolist))
    else:
        dump(tmp_path / name, {key: [*one] for key, one in values.items()})
    test = load_dataset(tmp_path / name, profile="paper").test
    for caption in range(3):
        np.testing.assert_array_equal(test["text"].features[caption::3], texts["test"] + caption)
    values["test_text"] = [values["test_text"][0][:2], *values["test_text"][1:]]
    dump(tmp_path / "y.pkl", values)
    with pytest.raises(DataError, match=r"'test_text': .*length"):
        load_dataset(tmp_path / "y.pkl")


@pytest.mark.parametrize("form", ["{}_ids", "split/{}"])
def test_lists_of_ids_cut_arrays_of_all_rows_into_parts(tmp_path: Path, form: str) -> None:
    order = np.random.default_rng(0).permutation(36)
    values = {name: {str(i): one[i] for i in order} for name, one in of_all_rows().items()}
    lists = {form.format(part): [f"{i}" for i in rows] for part, rows in (("train", TRAIN), ("test", TEST))}
    dump(tmp_path / "x.pkl", values | lists)
    data = load_dataset(tmp_path / "x.pkl", profile="paper")
    require(data)
    np.testing.assert_array_equal(data.test["image"].features, arrays()["test_image"])


@pytest.mark.parametrize("name", ["x.json", "x.pkl"])
def test_numbered_keys_of_samples_are_the_columns_of_a_matrix(tmp_path: Path, name: str) -> None:
    rows = table_of(arrays()).to_dict("records")
    if name == "x.json":
        (tmp_path / name).write_text(json.dumps(rows))
    else:
        dump(tmp_path / name, rows)
    require(load_dataset(tmp_path / name, profile="paper"))


def test_pairs_are_stated_by_an_attribute_of_an_hdf5_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        for key, value in arrays().items():
            file[key] = value
        file.attrs["paired"] = False
    require(load_dataset(tmp_path / "mine.h5"), pairs=0)


def sentences(path: Path, captions: int = 180) -> None:
    """Write Karpathy's JSON of 36 pictures with five sentences each, and features of both."""
    path.mkdir()
    splits = ["train"] * 12 + ["restval"] * 12 + ["test"] * 12
    sentids = np.random.default_rng(0).permutation(180).reshape(36, 5).tolist()
    text = np.empty((180, 4), np.float32)
    for row, numbers in enumerate(sentids):
        text[numbers] = of_all_rows()["text"][row]
    images = [
        {"split": split, "sentids": numbers, "sentences": [{"sentid": n, "raw": "a b"} for n in numbers]}
        for split, numbers in zip(splits, sentids, strict=True)
    ]
    (path / "dataset.json").write_text(json.dumps({"images": images, "dataset": "coco"}))
    for name, value in (("image", of_all_rows()["image"]), ("text", text[:captions])):
        np.save(path / f"{name}.npy", value)
    np.save(path / "labels.npy", of_all_rows()["labels"])


def test_a_json_of_sentences_cuts_and_joins_pictures_and_captions(tmp_path: Path) -> None:
    sentences(tmp_path / "mine")
    data = load_dataset(tmp_path / "mine", profile="paper")
    require(data, second=120, pairs=120)
    assert len(data.test["text"]) == len(data.test.pairs("image", "text")[0]) == 60
    sentences(tmp_path / "short", captions=179)
    with pytest.raises(DataError, match=r"179, 4.* 36 or 180 rows"):
        load_dataset(tmp_path / "short")


def test_a_file_for_each_array_is_named_by_its_file_or_its_key(tmp_path: Path) -> None:
    values = of_all_rows()
    for file, key, value in (
        ("flickr-iall", "IAll", values["image"]),
        ("flickr-2", "TAll", values["text"]),
        ("flickr-lall", "LAll", one_hot(values["labels"])),
    ):
        savemat(tmp_path / f"{file}.mat", {key: value})
    savemat(
        tmp_path / "idx.mat",
        {f"index{p}": r + 1 for p, r in (("Train", TRAIN), ("Test", TEST), ("Database", TRAIN))},
    )
    require(load_dataset(tmp_path), gallery=24)


def test_choices_decide_where_two_readings_are_possible(tmp_path: Path) -> None:
    values = renamed("imgs_deep_labels", "labels", renamed("image", "imgs_deep", without("text_labels")))
    others: Arrays = {f"{part}_imgs_sift": np.ones((n, 9)) for part, n in PARTS.items()}
    np.savez(tmp_path / "x.npz", **values, **others)
    choices = Choices(modalities={"image": "train_imgs_sift", "text": "train_text"}, labels="train_labels")
    found = import_files([tmp_path / "x.npz"], tmp_path / "y.npz", choices)
    assert found.splits["test"]["image"].dimension == 9


def test_a_saved_bundle_is_the_same_dataset(tmp_path: Path) -> None:
    more = {f"gallery_{k[5:]}": v for k, v in arrays().items() if k.startswith("test_")}
    values = arrays() | more | {"train_image_ids": np.arange(24), "train_text_ids": np.arange(24) // 2}
    data = loaded(tmp_path, values)
    parts: Arrays = {"validation": data.validation, "gallery": data.gallery}
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
