"""`compare`: two methods on one dataset in words, and one sentence for whatever cannot be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.records import Store
from tests.analysis.making import IT, TI, Shelf
from tests.grid import Grid, Said, say
from tests.records import making


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


def compare(results: Path, *words: object) -> Said:
    return say("compare", *words, "--results", results)


def test_two_methods_are_compared_in_each_direction(results: Path) -> None:
    said = compare(results, "drcl", "mcca", "--dataset", "emoji")
    assert (said.status, said.err) == (0, "")
    lines = [line.split() for line in said.out.splitlines()]
    (image,) = (line for line in lines if line[:1] == ["image→text"])
    assert float(image[3]) == pytest.approx(float(image[1]) - float(image[2]), abs=2e-4)
    assert image[-2:] == ["80", "3"]
    assert "drcl and mcca, image→text: drcl is above by 0.1" in said.out
    assert "the same on every query" in said.out
    assert "3 seeds tell little about their spread" in said.out
    assert "emoji (real data), quick profile" in said.out


def test_an_ablation_and_a_whole_label_are_names_too(results: Path) -> None:
    said = compare(results, "drcl", "drcl/without_fa", "--dataset", "emoji")
    assert said.status == 0
    (label,) = [line[3:] for line in said.out.splitlines() if line.startswith("B: DRCL without_fa")]
    again = compare(results, "drcl", label, "--dataset", "emoji")
    assert again.out.splitlines()[1] == f"B: {label}"


def test_look_alikes_are_named_and_one_seed_is_too(results: Path) -> None:
    said = compare(results, "drcl", "mcca", "--dataset", "wikipedia")
    assert "LOOK-ALIKE, generated data, not the benchmark" in said.out
    assert "rest on one seed" in said.out


def test_a_method_before_and_after_a_change(results: Path, tmp_path: Path) -> None:
    shelf = Shelf()
    for seed in range(3):
        shelf.add(values(0.2, seed), seed=seed)
    before = stored(tmp_path / "before", shelf)
    said = compare(results, "drcl", "drcl", "--dataset", "emoji", "--other-results", before)
    assert said.status == 0
    assert f"drcl in {results} and drcl in {before}, image→text: drcl in {results} is above" in said.out
    assert "+0.3000" in said.out
    same = compare(results, "drcl", "drcl", "--dataset", "emoji", "--other-results", results).check(0)
    assert "is above" not in same.out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("drlc", "mcca", "--dataset", "emoji"), "'drlc' with a result here (did you mean 'drcl'"),
        (("drcl", "mca", "--dataset", "emoji"), "'mca' with a result here (did you mean 'mcca'"),
        (("drcl", "mcca", "--dataset", "emojo"), "(did you mean 'emoji'?)"),
        (("drcl", "drcl", "--dataset", "emoji"), "drcl would be compared with itself"),
        (("drcl", "sm", "--dataset", "emoji"), "have no result on the same data"),
        (("drcl", "pls", "--dataset", "emoji"), "pls has no result on emoji"),
        (
            ("drcl", "mcca", "--dataset", "emoji", "--protocol", "map@50/hits"),
            "unknown protocol 'map@50/hits'",
        ),
        (("drcl", "mcca", "--dataset", "emoji", "--protocol", "nonsense"), "nonsense"),
        (("drcl", "mcca", "--dataset", "emoji", "--other-results", "nowhere"), "no records in nowhere"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(results: Path, words: tuple[str, ...], reason: str) -> None:
    said = compare(results, *words)
    assert said.status == 2
    assert said.out == ""
    assert reason in said.err
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1


def test_rows_that_differ_in_settings_alone_must_be_named_in_full(tmp_path: Path) -> None:
    shelf = Shelf()
    for epochs in (1, 2):
        settings = {**making.identity().settings, "epochs": epochs}
        shelf.add(values(0.1 * epochs), method="gone", settings=settings)
    results = stored(tmp_path, shelf)
    compare(results, "gone", "gone", "--dataset", "emoji").check(
        2, "2 rows are of gone; name one by its whole label: 'gone [epochs=1]', 'gone [epochs=2]'"
    )
    full = compare(results, "gone [epochs=1]", "gone [epochs=2]", "--dataset", "emoji")
    assert full.status == 0


def test_the_records_of_a_real_run_are_compared(grid: Grid) -> None:
    said = compare(grid.results, "sdml", "mcca", "--dataset", "small", "--protocol", "map@50/hits")
    assert said.status in (0, 1)
    assert "text→image" in said.out
