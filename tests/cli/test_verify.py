"""`verify` runs recorded cells again and names every difference."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench.records import Store
from bench.registry import Versions
from tests.analysis.making import with_result
from tests.grid import FAULTS, Grid, Output, bytes_of, run_command, write_bundle
from tests.records import making
from tests.wording import mentions


def verify(results: Path, *words: object) -> Output:
    return run_command("verify", "--results", results, "--plugin", FAULTS, "--jobs", 0, *words)


def test_cells_run_again_give_the_same_bytes_and_touch_nothing(grid: Grid) -> None:
    before = bytes_of(grid.results)
    output = verify(grid.results, "--methods", "plain,mcca,sm", "--cells", 4).check(0, silent=True)
    assert mentions(output.out.splitlines()[0], "4 of 12 ... seed 0")
    assert output.out.count("the same bytes") == 4
    assert output.out.endswith("4 of 4 agree\n")
    assert bytes_of(grid.results) == before
    usual = {"runs", ".locks", "datasets.json", "fingerprints.json", "running"}
    assert {path.name for path in grid.results.iterdir()} <= usual


def with_a_moved_number(grid: Grid, results: Path) -> Path:
    """Write two records of the grid, of which the first is of another commit with a number .004 lower."""
    for record in grid.store.records():
        identity = record.identity
        if (identity.method, identity.dataset) != ("plain", "small"):
            continue
        arrays = {(*series,): ap for series, ap in grid.store.per_query(record.digest).items()}
        if identity.seed == 0:
            assert record.result is not None
            first, *rest = record.result.metrics
            arrays[first.series] = arrays[first.series] * (first.value - 0.004) / first.value
            moved = msgspec.structs.replace(first, value=first.value - 0.004)
            environment = msgspec.structs.replace(record.environment, commit="a" * 40)
            record = msgspec.structs.replace(
                with_result(record, metrics=[moved, *rest]), environment=environment
            )
        Store(results).write(record, arrays, [], "")
    return results


def test_drift_is_measured_and_what_was_different_is_named(grid: Grid, tmp_path: Path) -> None:
    results = with_a_moved_number(grid, tmp_path / "results")
    output = verify(results)
    difference = "plain on small (image+text), seed 0 ... image→text map@all (none) ... 0.004"
    output.check(1, "1 of 2 agree", difference, "commit aaaaaaaa")
    (line,) = [line for line in output.out.splitlines() if line.endswith("DRIFT")]
    assert line.split()[-5:-3] == ["8", "0.004"]
    assert 0.004 <= float(line.split()[-3]) < 0.02
    assert line.split()[-2:] == ["0", "DRIFT"]
    verify(results, "--tolerance", 0.005).check(0)
    verify(results, "--tolerance", 0.003).check(1)


def test_what_cannot_be_checked_is_one_sentence_each_and_the_others_go_on(grid: Grid, tmp_path: Path) -> None:
    results, bundle = tmp_path / "results", write_bundle(tmp_path / "mine.npz", seed=5)
    run = ("run", "--results", results, "--plugin", FAULTS, "--jobs", 0)
    assert run_command(*run, "--methods", "plain", "--datasets", f"{grid.small},{bundle}").status == 0
    write_bundle(bundle, seed=6)
    for name in ("gone", "raises"):
        record = making.record(method=name, harness=Versions().harness, device="cpu")
        if name == "raises":
            identity = msgspec.convert(grid.record("raises")["identity"], type(record.identity))
            environment = making.environment(command=f"run --datasets {grid.small}")
            record = msgspec.structs.replace(record, identity=identity, environment=environment)
        Store(results).write(record, making.values_of(record), [], "")
    output = verify(results, "--cells", 9)
    output.check(
        1,
        "gone on emoji (image+text), seed 0 ... 'gone'",
        "plain on mine (image+text), seed 0 ... data of mine",
        "raises on small (image+text), seed 0 ... ValueError",
    )
    assert output.out.count("the same bytes") == 1
    assert output.out.endswith("1 of 4 agree\n")


def test_new_records_can_be_kept_for_a_comparison(grid: Grid, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    words = ("--methods", "plain", "--datasets", "small", "--keep", kept)
    verify(grid.results, *words).check(0)
    new, old = bytes_of(kept), bytes_of(grid.results)
    assert {digest: old[digest] for digest in new} == new
    verify(grid.results, *words).check(2, "records")
