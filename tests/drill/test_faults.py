"""The fault drill: whatever one cell does, it costs that cell alone, and its cause is named.

All faults in one grid, with cells that work before, between and after them; then what can be wrong with the
folder of the records.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
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
from tests.grid import write_bundle

CAUSES = {
    "raises": ("failed", "ValueError: the matrix is singular"),
    "exits": ("exited", "its process ended by itself with status 3"),
    "killed": ("killed", "its process was killed by SIGKILL, from outside"),
    "segfaults": ("killed", "its process was killed by SIGSEGV: C code touched memory that is not its own"),
    "c_loop": ("timeout", "it went on after its time limit of 5 s and was stopped"),
    "python_loop": ("timeout", "it went on after its time limit of 5 s and was stopped"),
    "hog": ("out-of-memory", "its worker may take 300M beyond its libraries (--max-memory)"),
    "nan_embeddings": ("refused", "NaN"),
    "wrong_shape": ("refused", "rows"),
    "disk_full": ("disk-full", "No space left on device"),
}
"""What each method of `breaking` ends with: status, and words of the reason."""

SOUND = ("steady", "waits")


@dataclass(frozen=True)
class Drilled:
    """A grid in which everything went wrong at once."""

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
    status, out, err = drill.run(
        *("--results", folder / "r", "--datasets", folder / "small.npz", "--jobs", 2),
        *("--methods", ",".join([*CAUSES, *SOUND]), "--timeout", 5, "--max-memory", "300M"),
        seconds=300,
    )
    return Drilled(folder / "r", status, out, err, drill.starts())


@pytest.mark.drill
@pytest.mark.parametrize("method", CAUSES)
def test_a_fault_costs_its_own_cell_and_its_cause_is_named(drilled: Drilled, method: str) -> None:
    status, words = CAUSES[method]
    record = drilled.record(method)
    assert record["status"] == status
    assert words in record["failure"]["reason"]
    (line,) = [line for line in drilled.out.splitlines() if line.startswith("[") and f" {method} on " in line]
    assert f"] {status}" in line
    assert words in line


@pytest.mark.drill
def test_all_other_cells_finish_and_the_summary_counts(drilled: Drilled) -> None:
    assert (drilled.status, drilled.err) == (1, "")
    assert [drilled.record(method)["status"] for method in SOUND] == ["done", "done"]
    total = (
        "12 cells: 2 done, 1 failed, 1 exited, 2 killed, 2 timeout, 1 out-of-memory, 1 disk-full, 2 refused; "
        "12 run now"
    )
    assert total in drilled.out
    summary = drilled.out[drilled.out.index(total) :].splitlines()
    assert len(summary) <= 1 + 10 + 1
    assert summary[1] == (
        "  2 timeout: c_loop on small (image+text), seed 0 and 1 more: "
        "it went on after its time limit of 5 s and was stopped"
    )
    assert summary[-1].endswith("to try again: add --retry all")
    assert set(drilled.starts) == {f"{method} small 0" for method in (*CAUSES, *SOUND)}
    # What a run cannot tell from a kill by somebody else is tried once more; nothing else is.
    assert {cell for cell, count in drilled.starts.items() if count > 1} <= {"killed small 0"}
    assert fixed_bytes(drilled.results)


@pytest.mark.drill
def test_running_again_repeats_no_failure_unasked(drilled: Drilled, tmp_path: Path) -> None:
    drill = Drill(tmp_path)
    bundle = drilled.results.parent / "small.npz"
    status, out, _ = drill.run(
        *("--results", drilled.results, "--datasets", bundle, "--methods", ",".join([*CAUSES, *SOUND]))
    )
    assert (status, drill.starts().total()) == (1, 0)
    assert "; 0 run now" in out


def small_run(drill: Drill, *words: object) -> tuple[int, str, str]:
    return drill.run(
        *("--results", drill.folder / "r", "--datasets", drill.folder / "small.npz"),
        *("--methods", "steady", "--seeds", 3, "--jobs", 1, *words),
    )


@pytest.mark.drill
def test_damaged_and_half_written_records_are_named_and_made_again_and_the_others_stay(
    tmp_path: Path,
) -> None:
    drill = Drill(tmp_path)
    write_bundle(tmp_path / "small.npz")
    assert small_run(drill)[0] == 0
    before, stamps = fixed_bytes(tmp_path / "r"), Store(tmp_path / "r").stamps()
    truncated, emptied, sound = sorted(before)
    runs = tmp_path / "r" / "runs"
    record = runs / truncated / "record.json"
    record.write_bytes(record.read_bytes()[:100])
    for name in FILES[1:]:  # as a copy that broke off would leave it
        (runs / emptied / name).unlink()
    half = runs / f".tmp-{sound}-{os.uname().nodename}-{2**22 + 1}-00000000"  # nobody has this number
    half.mkdir()
    (half / "record.json").write_text("{")
    os.utime(half, (0, 0))  # so old that its writer cannot live

    status, out, err = small_run(drill)
    assert status == 0
    assert f"warning: cell to be run again: {runs / truncated}: record.json was truncated or edited" in err
    assert f"warning: cell to be run again: {runs / emptied}: " in err
    assert err.count("\n") == 2
    assert "3 cells: 3 done; 2 run now" in out
    assert fixed_bytes(tmp_path / "r") == before
    assert Store(tmp_path / "r").stamps()[sound] == stamps[sound]
    assert not half.exists()


@pytest.mark.drill
def test_a_disk_without_room_for_one_record_costs_that_cell_alone_and_the_next_run_makes_it(
    tmp_path: Path,
) -> None:
    drill = Drill(tmp_path)
    write_bundle(tmp_path / "small.npz")
    drill.full = "steady 1"
    status, out, err = small_run(drill, "--seeds", 4, "--jobs", 2)
    assert (status, err) == (1, "")
    lost = "steady on small (image+text), seed 1"
    full = (
        f"cannot write results to {tmp_path / 'r' / 'runs'}: the disk is full; free some space and run again"
    )
    assert f"not on disk yet, to be tried again: {lost}: {full}" in out
    summary = out[out.index("4 cells: 3 done, 1 disk-full; 4 run now") :].splitlines()
    assert summary[1].startswith(
        f"  1 disk-full: {lost}: it was done, but not recorded: cannot write results"
    )
    assert summary[2] == (
        f"next: free some space for {tmp_path / 'r'}, then the same command; it runs only what is missing"
    )
    before = fixed_bytes(tmp_path / "r")
    assert len(before) == 3
    assert {entry.name for entry in (tmp_path / "r" / "runs").iterdir()} == set(before)

    drill.full = ""
    status, out, _ = small_run(drill, "--seeds", 4)
    assert status == 0
    assert "4 cells: 4 done; 1 run now" in out
    assert drill.starts() == {f"steady small {seed}": 1 + (seed == 1) for seed in range(4)}
    assert before.items() <= fixed_bytes(tmp_path / "r").items()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB, at the results folder of the drill."""
    place = tmp_path / "r"
    place.mkdir()
    mounted = shutil.which("mount") is not None and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True
    ).returncode  # fmt: skip
    if not mounted:
        pytest.skip("a small disk can be mounted by root on Linux only")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.drill
def test_a_small_disk_takes_every_record_but_the_one_that_is_too_large(
    tmp_path: Path, small_disk: Path
) -> None:
    drill = Drill(tmp_path)
    write_bundle(tmp_path / "small.npz")
    words = ("--methods", "chatty,steady", "--set", "chatty.megabytes=2", "--seeds", 2)
    status, out, err = small_run(drill, *words)
    assert (status, err) == (1, "")
    assert "4 cells: 2 done, 2 disk-full; 4 run now" in out
    first, second = (f"chatty on small (image+text), seed {seed} [megabytes=2]" for seed in range(2))
    assert f"  2 disk-full: {first}; {second}: it was done, but not recorded: " in out
    assert len(fixed_bytes(small_disk)) == 2
    assert [entry for entry in (small_disk / "runs").iterdir() if entry.name.startswith(".")] == []


@pytest.mark.drill
def test_a_disk_that_is_full_lets_no_more_cells_start_and_the_next_run_makes_up_for_it(
    tmp_path: Path, small_disk: Path
) -> None:
    drill = Drill(tmp_path)
    write_bundle(tmp_path / "small.npz")
    assert small_run(drill, "--seeds", 1)[0] == 0
    before = fixed_bytes(small_disk)
    with (small_disk / "something else").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    status, out, err = small_run(drill, "--seeds", 5)
    assert (status, err) == (1, "")
    assert "not started, because the disk of the results is full: steady on small " in out
    assert "5 cells: 1 done, 4 missing; 0 run now" in out
    assert f"next: free some space for {small_disk}, then the same command" in out
    assert drill.starts().total() == 1
    assert fixed_bytes(small_disk) == before

    (small_disk / "something else").unlink()
    status, out, _ = small_run(drill, "--seeds", 5)
    assert status == 0
    assert "5 cells: 5 done; 4 run now" in out
    assert before.items() <= fixed_bytes(small_disk).items()


@pytest.mark.drill
def test_a_worker_that_ignores_every_polite_signal_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A C loop hears nothing; two interrupts end the run at once all the same."""
    drill = Drill(tmp_path)
    write_bundle(tmp_path / "small.npz")
    words = ("--results", tmp_path / "r", "--datasets", tmp_path / "small.npz", "--jobs", 1)
    process = drill.start(*words, "--methods", "c_loop")
    drill.wait_for(1)
    assert process.stderr is not None
    os.killpg(process.pid, signal.SIGINT)
    assert "stopping" in process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "1 cell: 1 missing; 0 run now" in out
