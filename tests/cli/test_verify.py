"""`verify`: recorded cells are run again, and every way in which they can disagree is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bench.records import Record, Store
from bench.registry import Versions
from tests.grid import FAULTS, Grid, Said, bytes_of, say, write_bundle
from tests.records import making


def verify(results: Path, *words: object) -> Said:
    return say("verify", "--results", results, "--plugin", FAULTS, "--jobs", 0, *words)


def test_cells_run_again_give_the_same_bytes_and_touch_nothing(grid: Grid) -> None:
    before = bytes_of(grid.results)
    said = verify(grid.results, "--methods", "plain,mcca,sm", "--cells", 4)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("4 of 12 finished cells, drawn with seed 0\n")
    assert said.out.count("the same bytes") == 4
    assert said.out.endswith("4 of 4 agree\n")
    assert bytes_of(grid.results) == before
    usual = {"runs", ".locks", "datasets.json", "fingerprints.json", "running"}
    assert {path.name for path in grid.results.iterdir()} <= usual


@pytest.fixture
def shelf(grid: Grid, tmp_path: Path) -> Callable[[Callable[[Record], Record]], Path]:
    """Return what makes a results folder with one changed record of the grid and one as it was."""

    def make(change: Callable[[Record], Record]) -> Path:
        results = tmp_path / "results"
        for record in grid.store.records():
            who = record.identity
            if (who.method, who.dataset) == ("plain", "small"):
                kept = change(record) if who.seed == 0 else record
                arrays = {(*series,): ap for series, ap in grid.store.per_query(record.digest).items()}
                assert kept.result is not None
                for metric in kept.result.metrics:  # where a number was changed, so is each of its queries
                    values = arrays[metric.selection, metric.protocol, metric.query, metric.gallery]
                    values *= metric.value / values.mean()
                Store(results).write(kept, arrays, [], "")
        return results

    return make


def moved(record: Record) -> Record:
    """Return a record of an earlier commit whose first number was .004 lower."""
    assert record.result is not None
    first, *others = record.result.metrics
    metrics = [msgspec.structs.replace(first, value=first.value - 0.004), *others]
    return msgspec.structs.replace(
        record,
        result=msgspec.structs.replace(record.result, metrics=metrics),
        environment=msgspec.structs.replace(record.environment, commit="a" * 40),
    )


def test_drift_is_measured_and_what_was_different_is_named(
    shelf: Callable[[Callable[[Record], Record]], Path],
) -> None:
    results = shelf(moved)
    said = verify(results)
    assert said.status == 1
    assert said.out.endswith("1 of 2 agree\n")
    (line,) = [line for line in said.out.splitlines() if line.endswith("DRIFT")]
    assert line.split()[-5:-3] == ["8", "0.004"]
    assert 0.004 <= float(line.split()[-3]) < 0.02
    assert line.split()[-2:] == ["0", "DRIFT"]
    assert "plain on small (image+text), seed 0 differs: image→text map@all (none) by 0.004" in said.out
    assert "Different meanwhile: commit aaaaaaaa" in said.out
    assert verify(results, "--tolerance", 0.005).status == 0
    assert verify(results, "--tolerance", 0.003).status == 1


def test_what_cannot_be_checked_is_one_sentence_each_and_the_others_go_on(grid: Grid, tmp_path: Path) -> None:
    results, bundle = tmp_path / "results", write_bundle(tmp_path / "mine.npz", seed=5)
    run = ("run", "--results", results, "--plugin", FAULTS, "--jobs", 0)
    assert say(*run, "--methods", "plain", "--datasets", f"{grid.small},{bundle}").status == 0
    write_bundle(bundle, seed=6)
    for name in ("gone", "raises"):
        record = making.record(method=name, harness=Versions().harness, device="cpu")
        if name == "raises":
            recorded = grid.record("raises")["identity"]
            who = msgspec.convert(recorded, type(record.identity))
            environment = making.environment(command=f"run --datasets {grid.small}")
            record = msgspec.structs.replace(record, identity=who, environment=environment)
        Store(results).write(record, making.values_of(record), [], "")
    said = verify(results, "--cells", 9)
    said.check(
        1,
        "not checked: gone on emoji (image+text), seed 0: unknown method 'gone'",
        "not checked: plain on mine (image+text), seed 0: the data of mine is not what",
        "not checked: raises on small (image+text), seed 0: failed now: ValueError",
    )
    assert said.out.count("the same bytes") == 1
    assert said.out.endswith("1 of 4 agree\n")


def test_new_records_can_be_kept_for_a_comparison(grid: Grid, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    words = ("--methods", "plain", "--datasets", "small", "--keep", kept)
    assert verify(grid.results, *words).status == 0
    assert {
        digest: files for digest, files in bytes_of(grid.results).items() if digest in bytes_of(kept)
    } == (bytes_of(kept))
    verify(grid.results, *words).check(2, "holds records already; name a new folder")
