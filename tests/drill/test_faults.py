"""The fault drill: a fault costs its cell only, and its cause is named.

First all faults in one grid, with cells that work between them; then faults of the results folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.records import Store
from bench.records.encoding import FILES
from tests.drill.running import Drill, fixed_bytes
from tests.grid import Output, write_bundle
from tests.wording import mentions

CAUSES = {
    "raises": ("failed", "ValueError: the matrix is singular"),
    "exits": ("exited", "status 3"),
    "killed": ("killed", "SIGKILL ... outside"),
    "segfaults": ("killed", "SIGSEGV"),
    "c_loop": ("timeout", "time limit ... 5 s"),
    "python_loop": ("timeout", "time limit ... 5 s"),
    "hog": ("out-of-memory", "300M ... --max-memory"),
    "nan_embeddings": ("refused", "NaN"),
    "wrong_shape": ("refused", "rows"),
    "disk_full": ("disk-full", "No space left on device"),
}
"""Status of each method of `breaking`, and words of the reason."""

SOUND = ("steady", "waits")


@dataclass(frozen=True)
class Drilled:
    """A grid with all faults."""

    results: Path
    status: int
    out: str
    err: str
    starts: dict[str, int]

    def record(self, method: str, seed: int = 0) -> Any:
        """Return the record of a cell as plain JSON."""
        for folder in (self.results / "runs").iterdir():
            content = json.loads((folder / "record.json").read_bytes())
            if (content["identity"]["method"], content["identity"]["seed"]) == (method, seed):
                return content
        raise AssertionError(f"no record of {method}, seed {seed}")


@pytest.fixture(scope="module")
def drilled(tmp_path_factory: pytest.TempPathFactory) -> Drilled:
    folder = tmp_path_factory.mktemp("drill")
    drill = Drill(folder)
    drill.gate.touch()
    write_bundle(folder / "small.npz")
    ended = drill.run(
        *("--results", folder / "r", "--datasets", folder / "small.npz", "--jobs", 2),
        *("--methods", ",".join([*CAUSES, *SOUND]), "--timeout", 5, "--max-memory", "300M"),
        seconds=300,
    )
    return Drilled(folder / "r", *ended, drill.starts())


@pytest.mark.drill
@pytest.mark.parametrize("method", CAUSES)
def test_a_fault_costs_its_cell_only_and_its_cause_is_named(drilled: Drilled, method: str) -> None:
    status, words = CAUSES[method]
    record = drilled.record(method)
    assert record["status"] == status
    assert mentions(record["failure"]["reason"], words)
    (line,) = [line for line in drilled.out.splitlines() if line.startswith("[") and f" {method} on " in line]
    assert f"] {status}" in line
    assert mentions(line, words)


@pytest.mark.drill
def test_all_other_cells_finish_and_the_summary_counts(drilled: Drilled) -> None:
    assert (drilled.status, drilled.err) == (1, "")
    assert [drilled.record(method)["status"] for method in SOUND] == ["done", "done"]
    summary = drilled.out[drilled.out.index("12 cells: ") :].splitlines()
    for counts in (
        "2 done ... 1 failed ... 1 exited ... 2 killed ... 2 timeout",
        "1 out-of-memory ... 1 disk-full ... 2 refused ... 12 run",
    ):
        assert mentions(summary[0], counts)
    assert len(summary) <= 1 + 10 + 1
    assert mentions(summary[1], "2 timeout ... c_loop on small (image+text), seed 0 ... 1 more")
    assert mentions(summary[-1], "--retry all")
    assert set(drilled.starts) == {f"{method} small 0" for method in (*CAUSES, *SOUND)}
    # A run cannot distinguish this fault from a kill from outside, and tries it again; nothing else.
    assert {cell for cell, count in drilled.starts.items() if count > 1} <= {"killed small 0"}
    assert fixed_bytes(drilled.results)


@pytest.mark.drill
def test_a_second_run_repeats_no_failure_without_a_request(drilled: Drilled, tmp_path: Path) -> None:
    drill = Drill(tmp_path)
    words = ("--results", drilled.results, "--datasets", drilled.results.parent / "small.npz")
    drill.run_here(*words, "--methods", ",".join([*CAUSES, *SOUND])).check(1, "0 run")
    assert drill.starts().total() == 0


@pytest.fixture
def drill(tmp_path: Path) -> Drill:
    write_bundle(tmp_path / "small.npz")
    return Drill(tmp_path)


def words_of(drill: Drill, *words: object) -> list[object]:
    usual = ("--results", drill.folder / "r", "--datasets", drill.folder / "small.npz", "--seeds", 3)
    return [*usual, "--methods", "steady", *words]


def run(drill: Drill, *words: object) -> Output:
    """Run in a separate process."""
    return Output(*drill.run(*words_of(drill, *words)))


@pytest.mark.drill
def test_damaged_and_unfinished_records_are_named_and_made_again_and_the_others_stay(drill: Drill) -> None:
    store = Store(drill.folder / "r")
    drill.run_here(*words_of(drill)).check(0)
    before, stamps = fixed_bytes(store.root), store.stamps()
    truncated, emptied, sound = sorted(before)
    record = store.runs / truncated / "record.json"
    record.write_bytes(record.read_bytes()[:100])
    for name in FILES[1:]:  # as an interrupted copy leaves it
        (store.runs / emptied / name).unlink()
    half = (
        store.runs / f".tmp-{sound}-{os.uname().nodename}-{2**22 + 1}-00000000"
    )  # no process has this number
    half.mkdir()
    (half / "record.json").write_text("{")
    os.utime(half, (0, 0))  # older than a day

    output = drill.run_here(*words_of(drill)).check(0, "3 cells ... 3 done ... 2 run")
    for digest in (truncated, emptied):
        assert mentions(output.err, f"warning: ... {store.runs / digest}: ")
    assert output.err.count("\n") == 2
    assert fixed_bytes(store.root) == before
    assert store.stamps()[sound] == stamps[sound]
    assert not half.exists()


@pytest.mark.drill
def test_a_disk_without_room_for_one_record_costs_that_cell_only_and_the_next_run_makes_it(
    drill: Drill,
) -> None:
    drill.full, results = "steady 1", drill.folder / "r"
    output = run(drill, "--seeds", 4, "--jobs", 2).check(1, silent=True)
    lost = "steady on small (image+text), seed 1"
    assert mentions(output.out, f"not on disk ... {lost} ... {results}")
    total, reason, advice = output.out[output.out.index("4 cells: ") :].splitlines()
    assert mentions(total, "4 cells ... 3 done ... 1 disk-full ... 4 run")
    assert mentions(reason, f"1 disk-full ... {lost} ... {results}")
    assert mentions(advice, f"next: ... space ... {results} ... same command")
    before = fixed_bytes(results)
    assert len(before) == 3
    assert {entry.name for entry in (results / "runs").iterdir()} == set(before)

    drill.run_here(*words_of(drill, "--seeds", 4)).check(0, "4 cells ... 4 done ... 1 run")
    assert drill.starts() == {f"steady small {seed}": 1 + (seed == 1) for seed in range(4)}
    assert before.items() <= fixed_bytes(results).items()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB, at the results folder of the drill."""
    folder = tmp_path / "r"
    folder.mkdir()
    mounted = shutil.which("mount") is not None and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
    ).returncode  # fmt: skip
    if not mounted:
        pytest.skip("a small disk can be mounted by root on Linux only")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.drill
def test_a_small_disk_takes_every_record_but_the_one_that_is_too_large(
    drill: Drill, small_disk: Path
) -> None:
    words = ("--methods", "chatty,steady", "--set", "chatty.megabytes=2", "--seeds", 2, "--jobs", 1)
    output = run(drill, *words).check(1, "4 cells ... 2 done ... 2 disk-full ... 4 run", silent=True)
    first, second = (f"chatty on small (image+text), seed {seed} [megabytes=2]" for seed in range(2))
    assert mentions(output.out, f"2 disk-full ... {first} ... {second}")
    assert len(fixed_bytes(small_disk)) == 2
    assert [entry for entry in (small_disk / "runs").iterdir() if entry.name.startswith(".")] == []


@pytest.mark.drill
def test_on_a_full_disk_no_more_cells_start_and_the_next_run_makes_them(
    drill: Drill, small_disk: Path
) -> None:
    drill.run_here(*words_of(drill, "--seeds", 1)).check(0)
    before = fixed_bytes(small_disk)
    with (small_disk / "something else").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    output = run(drill, "--seeds", 5, "--jobs", 1).check(1, silent=True)
    assert mentions(output.out, "not started ... disk ... full ... steady on small")
    assert mentions(output.out, "5 cells ... 1 done ... 4 missing ... 0 run")
    assert mentions(output.out, f"next: ... space ... {small_disk} ... same command")
    assert drill.starts().total() == 1
    assert fixed_bytes(small_disk) == before

    (small_disk / "something else").unlink()
    drill.run_here(*words_of(drill, "--seeds", 5)).check(0, "5 cells ... 5 done ... 4 run")
    assert before.items() <= fixed_bytes(small_disk).items()
