"""`compare`, and how commands tell apart cells on data of one name."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.data import fingerprint_of
from bench.records import Rows, Store
from tests.analysis.cells_apart import add
from tests.analysis.making import IT, TI, Shelf, with_result
from tests.grid import Output, run_command, write_bundle
from tests.records import making
from tests.wording import mentions


def stored(folder: Path, *shelves: Shelf) -> Path:
    store = Store(folder)
    for shelf in shelves:
        for record in shelf.records:
            arrays = {(*series,): values for series, values in shelf.per_query(record.digest).items()}
            store.write(record, arrays, [], "")
    return folder


def values(level: float, seed: int = 0) -> dict[tuple[str, str], np.ndarray]:
    random = np.random.default_rng(seed)
    return {IT: level + random.random(80) / 4, TI: np.full(80, 0.5)}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    shelf = Shelf()
    for seed in range(3):
        shelf.add(values(0.5, seed), seed=seed)
        shelf.add(values(0.4, 10 + seed), seed=seed, method="mcca")
        shelf.add(values(0.3, 20 + seed), seed=seed, variant="without_fa")
    shelf.add(values(0.5), dataset="wikipedia", data_kind="look-alike")
    shelf.add(values(0.5), dataset="wikipedia", data_kind="look-alike", method="mcca")
    shelf.add(values(0.5), method="sm", profile="paper")
    shelf.records.append(making.record(method="pls", status="failed", reason="singular"))
    return stored(tmp_path / "results", shelf)


def compare(results: Path, *words: object) -> Output:
    return run_command("compare", *words, "--results", results)


def test_two_methods_are_compared_in_each_direction(results: Path) -> None:
    output = compare(results, "drcl", "mcca", "--dataset", "emoji").check(0, "emoji (real data)", silent=True)
    lines = [line.split() for line in output.out.splitlines()]
    (image,) = (line for line in lines if line[:1] == ["image→text"])
    assert float(image[3]) == pytest.approx(float(image[1]) - float(image[2]), abs=2e-4)
    assert image[-2:] == ["80", "3"]
    assert mentions(output.out, "drcl and mcca, image→text ... drcl is above by 0.")
    assert mentions(output.out, "same ... query")
    assert "3 seeds" in output.out
    alike = compare(results, "drcl", "mcca", "--dataset", "wikipedia")
    alike.check(0, "LOOK-ALIKE", "one seed")


def test_an_ablation_and_a_whole_label_are_names_too(results: Path) -> None:
    output = compare(results, "drcl", "drcl/without_fa", "--dataset", "emoji").check(0)
    (label,) = [line[3:] for line in output.out.splitlines() if line.startswith("B: DRCL without_fa")]
    again = compare(results, "drcl", label, "--dataset", "emoji")
    assert again.out.splitlines()[1] == f"B: {label}"


def test_a_method_before_and_after_a_change(results: Path, tmp_path: Path) -> None:
    shelf = Shelf()
    for seed in range(3):
        shelf.add(values(0.2, seed), seed=seed)
    before = stored(tmp_path / "before", shelf)
    words = ("drcl", "drcl", "--dataset", "emoji", "--other-results")
    above = f"drcl in {results} and drcl in {before}, image→text: drcl in {results} is above"
    compare(results, *words, before).check(0, above, "+0.3000")
    assert "is above" not in compare(results, *words, results).check(0).out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("drlc", "mcca", "--dataset", "emoji"), "'drcl'"),
        (("drcl", "mca", "--dataset", "emoji"), "'mcca'"),
        (("drcl", "mcca", "--dataset", "emojo"), "'emojo' ... 'emoji'"),
        (("drcl", "drcl", "--dataset", "emoji"), "itself"),
        (("drcl", "sm", "--dataset", "emoji"), "same data"),
        (("drcl", "pls", "--dataset", "emoji"), "pls ... emoji"),
        (
            ("drcl", "mcca", "--dataset", "emoji", "--protocol", "map@50/hits"),
            "protocol 'map@50/hits'",
        ),
        (("drcl", "mcca", "--dataset", "emoji", "--protocol", "nonsense"), "nonsense"),
        (("drcl", "mcca", "--dataset", "emoji", "--other-results", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(results: Path, words: tuple[str, ...], reason: str) -> None:
    output = compare(results, *words).check(2, reason)
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1


def test_rows_that_differ_in_settings_alone_must_be_named_in_full(tmp_path: Path) -> None:
    shelf = Shelf()
    for epochs in (1, 2):
        settings = {**making.identity().settings, "epochs": epochs}
        shelf.add(values(0.1 * epochs), method="gone", settings=settings)
    results, labels = stored(tmp_path, shelf), ("gone [epochs=1]", "gone [epochs=2]")
    compare(results, "gone", "gone", "--dataset", "emoji").check(2, "2 rows", *map(repr, labels))
    compare(results, *labels, "--dataset", "emoji").check(0)


ONE, TWO = "1" * 16, "2" * 16
BOTH = ("drcl", "mcca", "--dataset")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Return records of two methods on two bundles of one name."""
    shelf = Shelf()
    for fingerprint, value in ((ONE, 0.4), (TWO, 0.6)):
        for method in ("drcl", "mcca"):
            add(shelf, value, method=method, dataset="emoji", fingerprint=fingerprint)
    return stored(tmp_path / "results", shelf)


def test_commands_name_cells_of_both_and_how_to_choose(two: Path) -> None:
    where = ("--results", two)
    run_command("why", "drcl", "emoji", *where).check(0, "--data-version 11111111", "--data-version 22222222")
    for words in (("emoji@1111",), ("emoji", "--data-version", "1111")):
        output = run_command("why", "drcl", *words, *where).check(0, f"fingerprint {ONE}", "0.4000")
        assert "0.6000" not in output.out
    assert compare(two, *BOTH, "emoji").check(2, "emoji@11111111, emoji@22222222").out == ""
    compare(two, *BOTH, "emoji@2222").check(0, "data 22222222")
    compare(two, *BOTH, "emoji@3333").check(2, "emoji@11111111")
    header, *lines = run_command("results", "--format", "csv", *where).out.splitlines()
    columns = header.split(",")
    assert {"fingerprint", "device", "harness", "code", "threads", "settings"} <= {*columns}
    assert {line.split(",")[columns.index("fingerprint")] for line in lines} == {ONE, TWO}
    table = run_command("results", *where).out.splitlines()[0].split()
    assert ("fingerprint" in table, "harness" in table) == (True, False)  # the latter is the same everywhere
    cells = json.loads(run_command("status", "--format", "json", *where).out)["cells"]
    assert {(row["fingerprint"], row["method"], row["cells"]) for row in cells} == {
        (fingerprint[:8], method, 1) for fingerprint in (ONE, TWO) for method in ("drcl", "mcca")
    }


def test_the_path_of_a_bundle_means_its_content(tmp_path: Path) -> None:
    shelf, paths = Shelf(), []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        paths.append(write_bundle(tmp_path / str(number) / "mine.npz", seed=number))
        for method in ("drcl", "mcca"):
            add(shelf, 0.4 + number / 5, method=method, fingerprint=fingerprint_of(paths[-1])[1])
    for index, record in enumerate(shelf.records):
        identity = msgspec.structs.replace(record.identity, dataset="mine")
        shelf.arrays[identity.digest] = shelf.arrays[record.digest]
        shelf.records[index] = msgspec.structs.replace(record, identity=identity)
    results = stored(tmp_path / "results", shelf)
    for number, path in enumerate(paths):
        why = run_command("why", "drcl", path, "--results", results).check(0, f"{0.4 + number / 5:.4f}")
        assert f"{0.6 - number / 5:.4f}" not in why.out
        compare(results, *BOTH, path).check(0)
    elsewhere = run_command("why", "drcl", "elsewhere/mine.npz", "--results", results)
    assert elsewhere.out.startswith("2 cells")


def test_why_says_what_is_known_beside_the_numbers(tmp_path: Path) -> None:
    record = add(Shelf(), 0.4, settings={"scaling": "none"})
    assert record.result is not None
    metrics = [
        msgspec.structs.replace(metric, queries=497, items=497)
        for metric in record.result.metrics
        if metric.selection != "last"
    ]
    rows = Rows(train=9, validation=3, test=497, dimension=4)
    record = with_result(
        record,
        metrics=metrics,
        zero_rows={"best": {"image": 5}},
        rows={"image": rows, "text": rows},
        refused={"last": "all rows are equal"},
        chance={"image>text": 0.38, "text>image": 0.39},
        snapshot_error="no room",
    )
    Store(tmp_path).write(record, making.values_of(record), [], "")
    notes = ("5 of 497 image", "all rows are equal", "of chance", "--set drcl.scaling=standard", "no room")
    run_command("why", "drcl", "emoji", "--results", tmp_path).check(0, *notes, "evaluation 1")
