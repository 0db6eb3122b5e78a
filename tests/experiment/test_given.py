"""Embeddings and similarities of another program are rows of the tables, marked as not trained here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.records.schema import GIVEN, Record
from bench.records.store import Store
from tests.experiment.running import done
from tests.grid import run_command
from tests.wording import mentions

NAMES = ("image", "text")
Arrays = dict[str, Any]


@pytest.fixture
def arrays(small: Path) -> Arrays:
    """Return embeddings of the test rows, and their labels by other numbers."""
    random = np.random.default_rng(0)
    with np.load(small) as file:
        labels = {name: file[f"test_{name}_labels"] for name in NAMES}
    rows = {name: np.eye(3)[labels[name]] + 0.6 * random.normal(size=(30, 3)) for name in NAMES}
    return {**rows, **{f"{name}_labels": 7 - labels[name] for name in NAMES}}


def records_of(folder: Path) -> dict[str, Record]:
    return {record.identity.method: record for record in Store(folder).records()}


def values_of(record: Record, protocol: str = "map@all") -> list[float]:
    return [metric.value for metric in done(record).metrics if metric.protocol == protocol]


def test_embeddings_and_similarities_are_rows_like_any_method_but_say_what_is_unknown(
    small: Path, arrays: Arrays, tmp_path: Path
) -> None:
    np.savez(tmp_path / "rows.npz", **arrays)
    np.savez(tmp_path / "matrix.npz", image_text=-((arrays["image"][:, None] - arrays["text"]) ** 2).sum(2))
    words = ["--embeddings", f"E={tmp_path / 'rows.npz'}", "--embeddings", f"S={tmp_path / 'matrix.npz'}"]
    where = ["--results", tmp_path / "results"]
    run = ["run", *("--datasets", small, "--similarity", "euclidean", "--protocols", "recall@1"), *where]
    run_command(*run, *words, "--methods", "sm").check(0, "3 done")
    run_command(*run, *words, "--methods", "sm").check(0, "0 run now")
    found = records_of(tmp_path / "results")
    for protocol in ("map@all", "recall@1"):
        rows, matrix = (values_of(found[name], protocol) for name in "ES")
        np.testing.assert_allclose(rows, matrix, atol=1e-6)
    record, result = found["E"], done(found["E"])
    assert (record.identity.code, len(record.identity.file_sha256)) == (GIVEN, 64)
    assert record.identity.harness == found["sm"].identity.harness
    assert (result.pairing, result.rows["text"].train, result.snapshot_error) == ("unknown", 0, "")
    run_command("why", "E", "small", *where).check(
        0, "not trained here", 'selection: "unknown"', "--embeddings E="
    )
    run_command("report", *where, "--reports", tmp_path / "reports", "--only", "tables").check(0)
    printed = f"{values_of(found['S'])[0]:.4f}"
    table = next((tmp_path / "reports" / "tables").glob("small*map@all*.md")).read_text()
    assert "E (not trained here)" in table
    assert record.identity.file_sha256 in table
    run_command("verify", *where, "--cells", "9").check(0, "3 of 3 agree")
    run_command("explain", "S", "small", *where, "--printed", printed).check(0, "the same numbers", "map@all")


def test_several_files_of_a_name_are_the_seeds_of_one_row(
    small: Path, arrays: Arrays, tmp_path: Path
) -> None:
    words: list[Any] = []
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(size=(30, 3))
        np.savez(tmp_path / f"{seed}.npz", **(arrays | {"image": arrays["image"] + noise}))
        words += ["--embeddings", f"E={tmp_path / f'{seed}.npz'}"]
    where = ["--results", tmp_path / "r"]
    run = ["run", "--datasets", small, *words, *where]
    output = run_command(*run, "--methods", "chance", "--seeds", 3).check(0, "6 done")
    assert "--seeds" not in output.out + output.err
    found = [record for record in Store(tmp_path / "r").records() if record.identity.method == "E"]
    assert {record.identity.seed for record in found} == {0, 1, 2}
    assert len({record.identity.file_sha256 for record in found}) == 1
    assert len({tuple(values_of(record)) for record in found}) == 3
    frame = bench.results(tmp_path / "r").query("method == 'E' and protocol == 'map@all'")
    assert (frame["label"].nunique(), frame["seed"].nunique()) == (1, 3)
    run_command("verify", *where, "--cells", "9").check(0, "6 of 6 agree")
    run_command("run", *words, *where).check(2, "--datasets")
    run_command(*run, *words[:2]).check(2, "not all different")
    np.savez(tmp_path / "3.npz", image_text=np.ones((30, 30)))
    run_command(*run, "--embeddings", f"E={tmp_path / '3.npz'}").check(2, "different kinds")


def test_a_file_with_labels_is_a_dataset_by_itself_and_explain_finds_the_convention(
    arrays: Arrays, tmp_path: Path
) -> None:
    ids: dict[str, Any] = {f"{name}_ids": np.arange(30) for name in NAMES}
    np.savez(tmp_path / "mine.npz", **arrays, **ids)
    given = "--embeddings", f"E={tmp_path / 'mine.npz'}"
    run_command("run", *given, "--protocols", "medr", "--results", tmp_path).check(0)
    record = records_of(tmp_path)["E"]
    assert (record.identity.dataset, record.identity.fingerprint) == ("mine", record.identity.file_sha256)
    assert min(values_of(record, "medr")) >= 1

    matrix = arrays["image"] @ arrays["text"].T
    labels = {key: value for key, value in arrays.items() if key.endswith("_labels")}
    np.savez(tmp_path / "matrix.npz", image_text=matrix, **labels, **ids)
    printed = 100 * float((matrix.argmax(axis=1) == np.arange(30)).mean())
    output = run_command(
        "explain", "--embeddings", tmp_path / "matrix.npz", "--cutoffs", "1", "--printed", printed
    )
    output.check(0, "image with text: 30 x 30", "recall@1", "image→text")


def test_a_gallery_split_needs_its_rows_too(small: Path, arrays: Arrays, tmp_path: Path) -> None:
    with np.load(small) as file:
        content: Arrays = dict(file)
    items = {name: np.eye(3)[content[f"train_{name}_labels"]] for name in NAMES}
    for name in NAMES:
        content |= {f"gallery_{name}{end}": content[f"train_{name}{end}"] for end in ("", "_labels")}
    files: dict[str, Arrays] = {
        "with": content,
        "lacks": arrays,
        "rows": {**arrays, **{f"gallery_{name}": items[name] for name in NAMES}},
        "matrix": {f"{a}2{b}": arrays[a] @ items[b].T for a, b in (NAMES, NAMES[::-1])},
    }
    for name, parts in files.items():
        np.savez(tmp_path / f"{name}.npz", **parts)
    words = [f"{row}={tmp_path / row}.npz" for row in ("rows", "matrix", "lacks")]
    run = ["run", "--datasets", tmp_path / "with.npz", "--similarity", "dot", "--results", tmp_path / "r"]
    output = run_command(*run, *(part for word in words for part in ("--embeddings", word)))
    output.check(1, "2 done", "gallery_image")
    records = records_of(tmp_path / "r")
    of_rows, of_matrix = (values_of(records[name], "map@all/gallery") for name in ("rows", "matrix"))
    assert len(of_rows) == 2
    np.testing.assert_allclose(of_rows, of_matrix, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": np.zeros((29, 3))}, "(30, d)"),
        ({"image_labels": np.arange(30) % 3 + 1}, "labels are not those"),
        ({"text": None}, "no embeddings of two"),
        ({"image_text": np.ones((30, 30))}, "similarities"),
        ({"image": np.full((30, 3), np.nan)}, "NaN"),
        ({"image": np.array([["a"] * 3] * 30)}, "must be numbers"),
    ],
)
def test_a_file_that_is_not_of_the_test_rows_costs_itself_one_sentence(
    small: Path, arrays: Arrays, tmp_path: Path, change: Arrays, words: str
) -> None:
    content = {key: value for key, value in (arrays | change).items() if value is not None}
    np.savez(tmp_path / "bad.npz", **content)
    np.savez(tmp_path / "good.npz", **arrays)
    files = ["--embeddings", f"bad={tmp_path / 'bad.npz'}", "--embeddings", f"good={tmp_path / 'good.npz'}"]
    output = run_command("run", "--datasets", small, *files, "--results", tmp_path / "results")
    output.check(output.status or 1, words)
    assert "Traceback" not in output.out + output.err
    assert records_of(tmp_path / "results")["good"].status == "done"


def test_labels_in_a_file_may_be_written_otherwise_than_in_the_dataset(
    small: Path, arrays: Arrays, tmp_path: Path
) -> None:
    with np.load(small) as file:
        content: Arrays = dict(file)
    one_hot = {f"{name}_labels": np.eye(4)[content[f"test_{name}_labels"]] for name in NAMES}
    matrices = {key: np.eye(3)[values] for key, values in content.items() if key.endswith("_labels")}
    for values in matrices.values():
        values[::2, 0] = 1
    np.savez(tmp_path / "several.npz", **(content | matrices))
    unused = {f"{name}_labels": np.pad(matrices[f"test_{name}_labels"], ((0, 0), (1, 2))) for name in NAMES}
    for dataset, labels in ((small, one_hot), (tmp_path / "several.npz", unused)):
        np.savez(tmp_path / "e.npz", **(arrays | labels))
        run = ["run", "--datasets", dataset, "--results", tmp_path / "r"]
        run_command(*run, "--embeddings", f"E={tmp_path / 'e.npz'}").check(0, "1 done")
        np.savez(tmp_path / "e.npz", **(arrays | {key: values[::-1] for key, values in labels.items()}))
        run_command(*run, "--embeddings", f"E={tmp_path / 'e.npz'}").check(1, "labels are not those")


def test_a_corrected_file_is_a_row_beside_the_earlier_one(
    small: Path, arrays: Arrays, tmp_path: Path
) -> None:
    for number, rows in enumerate((arrays["image"][::-1], arrays["image"])):
        np.savez(tmp_path / "mine.npz", **{**arrays, "image": rows})
        run = "run", "--datasets", small, "--embeddings", f"E={tmp_path / 'mine.npz'}", "--results", tmp_path
        run_command(*run).check(0, "1 done")
        assert len(Store(tmp_path).statuses()) == number + 1
    run_command("why", "E", "small", "--results", tmp_path).check(0, "E (not trained here) [file ")


@pytest.mark.parametrize("word", ["mine.npz", "drcl=mine.npz", "=mine.npz", "a/b=mine.npz"])
def test_a_row_needs_a_name_that_no_method_has(word: str, tmp_path: Path) -> None:
    run_command("run", "--embeddings", word, "--results", tmp_path).check(2, "--embeddings")


def test_what_cannot_be_done_to_given_embeddings_is_not_left_out_silently(
    small: Path, arrays: Arrays, tmp_path: Path
) -> None:
    np.savez(tmp_path / "e.npz", **arrays)
    given = "--embeddings", f"E={tmp_path / 'e.npz'}"
    run = ["run", "--datasets", small, *given, "--results", tmp_path / "r"]
    for methods in ([], ["--methods", "chance"]):
        for condition in ("label-noise@.4", "clean,unpaired@1", "feature-noise@.5"):
            output = run_command(*run, *methods, "--conditions", condition)
            assert "Traceback" not in output.check(2, "--conditions", "cannot be checked").err
    run_command(*run, "--seeds", 3).check(2, "--seeds", "files of a row")
    assert not (tmp_path / "r").exists()
    mixed = run_command(*run, "--methods", "chance", "--seeds", 2, "--conditions", "clean").check(0, "3 done")
    assert mentions(mixed.out, "--seeds ... E")
    made = {(record.identity.method, record.identity.seed) for record in Store(tmp_path / "r").records()}
    assert made == {("E", 0), ("chance", 0), ("chance", 1)}
