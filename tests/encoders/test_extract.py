"""``data extract``: a table becomes a bundle that loads, and a wrong one costs a sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.contract import DataError
from bench.data import load_dataset
from bench.encoders import read_card, summary_lines
from tests.encoders.raw import ENCODERS, Rows, arrays, extracted, refusal, write_csv, write_items
from tests.grid import run_command
from tests.wording import mentions


def test_a_table_becomes_a_bundle(tmp_path: Path, rows: Rows) -> None:
    found = arrays(extracted(write_csv(tmp_path / "t.csv", rows)))
    assert {name: found[f"test_{name}"].shape for name in ("image", "text", "audio")} == {
        "image": (4, 16), "text": (4, 3), "audio": (4, 20)
    }  # fmt: skip
    assert found["test_text_labels"].tolist() == [1, 0, 1, 0]
    assert found["test_text_ids"].tolist() == [4, 9, 14, 19]
    assert not (tmp_path / "mine.npz.parts").exists()


def test_the_bundle_is_a_dataset_with_pairs_and_names_of_classes(tmp_path: Path, rows: Rows) -> None:
    rows[0]["image"] = ""
    data = load_dataset(extracted(write_csv(tmp_path / "t.csv", rows)))
    assert data.modalities == ("image", "text", "audio")
    assert (data.train.pairing, data.test.pairing) == ("partial", "natural")
    assert list(data.items.classes) == ["blue", "red"]
    assert data.card.notes == ()


def as_tsv(path: Path, rows: Rows) -> Path:
    pd.DataFrame(rows).to_csv(path / "t.tsv", sep="\t", index=False)
    return path / "t.tsv"


def as_json_lines(path: Path, rows: Rows) -> Path:
    (path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path / "t.jsonl"


def as_parquet(path: Path, rows: Rows) -> Path:
    try:
        pd.DataFrame(rows).to_parquet(path / "t.parquet")
    except ImportError:
        pytest.skip("no package for parquet")
    return path / "t.parquet"


@pytest.mark.parametrize("write", [as_tsv, as_json_lines, as_parquet])
def test_every_format_of_table_gives_the_same_features(
    write: Callable[[Path, Rows], Path], tmp_path: Path, rows: Rows
) -> None:
    expected = arrays(extracted(write_csv(tmp_path / "t.csv", rows)))
    given = arrays(extracted(write(tmp_path, rows), name="other.npz"))
    assert given.keys() == expected.keys()
    for key in expected.keys() - {"card"}:
        np.testing.assert_array_equal(given[key], expected[key])


@pytest.mark.parametrize("column", ["my photo", "写真", "photo_ids", "the_label", "photo/1", "labels", "a,b"])
def test_a_column_that_cannot_name_a_modality_is_refused_before_it_is_encoded(
    column: str, tmp_path: Path, rows: Rows
) -> None:
    named = [{column: row["image"], "class": row["label"]} | row for row in rows]
    done = refusal(write_csv(tmp_path / "t.csv", named), "--image", f"{column}=pixels", "--text", "tfidf")
    assert "rename" in done
    assert not (tmp_path / "x.npz.parts").exists()


def test_the_card_says_how_features_were_made_and_that_tfidf_saw_training_rows_only(
    tmp_path: Path, rows: Rows
) -> None:
    plain = extracted(write_csv(tmp_path / "t.csv", rows))
    card = read_card(plain)
    assert card is not None
    made = card["modalities"]["text"]
    assert (made["encoder"], made["fitted"], made["width"]) == ("tfidf:width=3", True, 3)
    assert card["split"] == "column 'split'"
    assert any("fitted" in line for line in summary_lines(card))
    other = [row | {"text": "something else"} if row["split"] == "test" else row for row in rows]
    changed = extracted(write_csv(tmp_path / "t.csv", other), name="changed.npz")
    np.testing.assert_array_equal(arrays(plain)["train_text"], arrays(changed)["train_text"])


def test_a_bundle_without_a_card_says_nothing(tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", train_image=np.zeros((2, 2)))
    assert read_card(tmp_path / "plain.npz") is None
    (tmp_path / "broken.npz").write_bytes(b"PK")
    np.savez(tmp_path / "nested.npz", card=np.array("[" * 100_000))
    for name in ("broken.npz", "nested.npz"):
        with pytest.raises(DataError, match="bundle"):
            read_card(tmp_path / name)
    odd: tuple[Any, ...] = (None, [], {"image": 5})
    for modalities in odd:
        assert summary_lines({"modalities": modalities, "split": "x"}) == ["split: x"]


def test_empty_cells_are_missing_items_and_repeated_items_of_an_id_are_one(
    tmp_path: Path, rows: Rows
) -> None:
    rows[0]["image"] = ""
    captions = [row | {"text": f"{row['text']} again"} for row in rows[:6]]
    found = arrays(extracted(write_csv(tmp_path / "t.csv", [*rows, *captions])))
    assert len(found["train_image"]) == 15
    assert len(found["train_text"]) == 16 + 5
    assert sorted(np.unique(found["train_text_ids"], return_counts=True)[1])[-5:] == [2] * 5
    assert set(found["train_image_ids"]) < set(found["train_text_ids"])


def test_without_a_split_whole_ids_are_drawn_and_the_card_says_so(tmp_path: Path, rows: Rows) -> None:
    without = [{key: value for key, value in row.items() if key != "split"} for row in rows * 2]
    for row in without[20:]:
        row["text"] += " again"
    bundle = extracted(write_csv(tmp_path / "t.csv", without))
    found, card = arrays(bundle), read_card(bundle)
    assert not set(found["train_text_ids"]) & set(found["test_text_ids"])
    assert card is not None
    assert "SHA-256 of the id" in card["split"]


@pytest.mark.parametrize("listed", [True, False])
def test_several_classes_make_a_matrix_and_a_row_without_any_is_unlabelled(
    listed: bool, tmp_path: Path, rows: Rows
) -> None:
    for i, row in enumerate(rows):
        classes = [] if i == 0 else ["all", row["label"]]
        row["label"] = classes if listed else ";".join(classes)
    words = () if listed else ("--multi-label",)
    found = arrays(extracted(as_json_lines(tmp_path, rows), *ENCODERS, *words))
    assert found["class_names"].tolist() == ["all", "blue", "red"]
    np.testing.assert_array_equal(found["train_text_labels"][:2], [[-1, -1, -1], [1, 1, 0]])


def test_rows_of_one_class_each_stay_multi_label_where_the_table_says_so(tmp_path: Path, rows: Rows) -> None:
    bundle = extracted(write_csv(tmp_path / "t.csv", rows), *ENCODERS, "--multi-label")
    assert load_dataset(bundle).train.multi_label
    listed = [row | {"label": [row["label"]]} for row in rows]
    assert load_dataset(extracted(as_json_lines(tmp_path, listed))).train.multi_label


def test_empty_cells_of_every_type_of_a_parquet_file_are_missing(tmp_path: Path, rows: Rows) -> None:
    for i, row in enumerate(rows):
        row["label"] = None if i == 0 else i % 2
    frame = pd.DataFrame(rows).astype({"label": "Int64", "text": "string"})
    frame.loc[1, "text"] = pd.NA
    try:
        frame.to_parquet(tmp_path / "t.parquet")
    except ImportError:
        pytest.skip("no package for parquet")
    found = arrays(extracted(tmp_path / "t.parquet"))
    assert (len(found["train_text"]), len(found["train_image"])) == (15, 16)
    assert found["train_image_labels"][:3].tolist() == [-1, 1, 0]
    assert found["class_names"].tolist() == ["0", "1"]


def test_a_table_without_training_or_test_rows_is_refused(tmp_path: Path, rows: Rows) -> None:
    for part, lacking in (("train", "test"), ("test", "train")):
        table = write_csv(tmp_path / "t.csv", [row | {"split": part} for row in rows])
        assert mentions(refusal(table), f"row ... {lacking}")


def test_run_and_import_keep_and_state_how_features_were_made(tmp_path: Path, rows: Rows) -> None:
    bundle, copied = extracted(write_csv(tmp_path / "t.csv", rows)), tmp_path / "copied.npz"
    run_command("data", "import", bundle, "--output", copied, "--without", "overlap").check(0)
    assert read_card(copied) == read_card(bundle)
    run = ("run", "--methods", "chance", "--results", tmp_path / "results", "--jobs", 0, "--datasets")
    for path in (bundle, copied):
        run_command(*run, path).check(0, "tfidf:width=3", "fitted on the training rows", "column 'split'")


def test_numbers_as_labels_keep_their_order(tmp_path: Path, rows: Rows) -> None:
    for row in rows:
        row["label"] = 2 if row["label"] == "red" else 10
    found = arrays(extracted(as_json_lines(tmp_path, rows)))
    assert found["class_names"].tolist() == ["2", "10"]
    assert found["train_text_labels"][:2].tolist() == [0, 1]


@pytest.mark.parametrize("label", [float("inf"), [float("nan")]])
def test_a_number_that_is_not_finite_is_no_label(tmp_path: Path, rows: Rows, label: Any) -> None:
    rows[1]["label"] = label
    assert mentions(refusal(as_json_lines(tmp_path, rows)), "row 2 ... label")


def test_columns_may_have_any_names_and_a_kind_several_modalities(tmp_path: Path, rows: Rows) -> None:
    renamed = [{f"the_{key}": value for key, value in row.items()} | {"no.2": row["label"]} for row in rows]
    words = ("--image", "the_image=pixels:2", "--text", "the_text=tfidf", "--text", "no.2=tfidf:chars")
    columns = ("--labels", "the_label", "--split", "the_split", "--ids", "the_id")
    found = arrays(extracted(write_csv(tmp_path / "t.csv", renamed), *words, *columns))
    assert {"train_the_image", "train_the_text", "test_no.2"} <= found.keys()
    assert load_dataset(tmp_path / "mine.npz").modalities == ("the_image", "the_text", "no.2")
    usual = {"image": "path", "text": "Caption", "label": "class", "split": "part"}
    renamed = [{usual.get(key, key): value for key, value in row.items()} for row in rows]
    found = arrays(extracted(write_csv(tmp_path / "t.csv", renamed)))
    assert {"train_image", "test_text"} <= found.keys()


@pytest.mark.parametrize("damage", [b"no picture", b"", None])
def test_a_broken_picture_costs_a_sentence_or_itself(
    damage: bytes | None, tmp_path: Path, rows: Rows
) -> None:
    path = tmp_path / "7.png"
    path.unlink() if damage is None else path.write_bytes(damage)
    table = write_csv(tmp_path / "t.csv", rows)
    done = refusal(table)
    assert "row 8" in done
    assert "--skip-broken" in done
    bundle = extracted(table, *ENCODERS, "--skip-broken")
    found, card = arrays(bundle), read_card(bundle)
    assert (len(found["train_image"]), len(found["train_text"])) == (15, 16)
    assert card is not None
    assert card["modalities"]["image"]["skipped"] == 1


def test_truncated_files_of_every_length_are_refused_or_read(tmp_path: Path, rows: Rows) -> None:
    from bench.encoders import read_picture, read_sound

    readers: dict[str, Callable[[Path], object]] = {"0.png": read_picture, "0.wav": read_sound}
    for name, read in readers.items():
        content = (tmp_path / name).read_bytes()
        for length in range(0, len(content), 61):
            (tmp_path / "cut").write_bytes(content[:length])
            with suppress(DataError):
                read(tmp_path / "cut")


@pytest.mark.parametrize("path", ["../secret.png", "/etc/hostname", "link.png"])
def test_paths_stay_below_the_folder_of_the_table(path: str, tmp_path: Path, rows: Rows) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes((tmp_path / "0.png").read_bytes())
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    inside = write_items(folder)
    inside[3]["image"] = path
    done = refusal(write_csv(folder / "t.csv", inside))
    assert "row 4" in done
    assert "--allow-outside" in done
    if "etc" not in path:
        extracted(folder / "t.csv", *ENCODERS, "--allow-outside")


def test_a_pipe_is_no_picture_and_a_table_needs_labels(tmp_path: Path, rows: Rows) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    rows[0]["image"] = "pipe.png"
    assert "no such file" in refusal(write_csv(tmp_path / "t.csv", rows))
    for row in rows:
        del row["label"]
    assert "label" in refusal(as_json_lines(tmp_path, rows))


@pytest.mark.parametrize(
    ("change", "noun"),
    [
        ({"image": 3}, "path"),
        ({"image": "a\0b"}, "path"),
        ({"text": 3}, "text"),
        ({"split": "trial"}, "trial"),
        ({"id": ""}, "id"),
        ({"label": {"a": 1}}, "label"),
    ],
)
def test_a_wrong_value_is_named_with_its_row(
    change: dict[str, Any], noun: str, tmp_path: Path, rows: Rows
) -> None:
    rows[2].update(change)
    done = refusal(as_json_lines(tmp_path, rows))
    assert noun in done
    assert "row 3" in done


@pytest.mark.parametrize(
    ("words", "noun"),
    [
        (("--image", "pixel:4", "--text", "tfidf"), "pixels"),
        (("--image", "pixels:sides=4", "--text", "tfidf"), "side"),
        (("--image", "pixels:side=x", "--text", "tfidf"), "whole number"),
        (("--image", "pixels:0", "--text", "tfidf"), "side"),
        (("--image", "pixels", "--text", "tfidf:words,shortest=4"), "n-grams"),
        (("--image", "pixels"), "two or more"),
        (("--image", "pixels", "--text", "none=tfidf"), "no column"),
        (("--image", "pixels", "--text", "tfidf", "--split", "none"), "no column"),
        (("--image", "pixels", "--text", "transformers"), "folder"),
        (("--image", "pixels", "--text", "tfidf", "--plugin", "nothing.py"), "nothing.py"),
    ],
)
def test_a_wrong_word_costs_a_sentence(words: tuple[str, ...], noun: str, tmp_path: Path, rows: Rows) -> None:
    assert noun in refusal(write_csv(tmp_path / "t.csv", rows), *words)


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.csv", b""), ("t.csv", b"\xff\xfe\x00"), ("t.jsonl", b"[1]\n"), ("t.jsonl", b"{\n"), ("t.txt", b"a"),
     ("t.parquet", b"PAR1"), ("t.jsonl", b"[" * 100_000), ("t.csv", b'a,b\n"x'),
     ("t.csv", b"image,text,label\n1.png,one, two,x\n")],
)  # fmt: skip
def test_a_table_that_is_none_costs_a_sentence(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert name in refusal(tmp_path / name)
