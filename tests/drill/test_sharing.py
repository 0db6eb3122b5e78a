"""Two runs on one results folder share the cells, and neither waits for a dead one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.records import Store
from tests.drill.running import Drill, kill_group
from tests.grid import write_bundle
from tests.wording import mentions


@pytest.fixture
def drill(tmp_path: Path) -> Drill:
    write_bundle(tmp_path / "small.npz")
    return Drill(tmp_path)


def words(drill: Drill, methods: str, seeds: int = 1) -> list[object]:
    return [
        *("--results", drill.folder / "r", "--datasets", drill.folder / "small.npz"),
        *("--methods", methods, "--seeds", seeds, "--jobs", 1),
    ]


def test_two_runs_share_a_grid_and_run_every_cell_once(drill: Drill) -> None:
    """Cells run in the two processes themselves, one of which is this: workers would take seconds."""
    line = [*words(drill, "waits,steady,raises", 2), "--jobs", 0]
    drill.open_after(2)
    process = drill.start(*line)
    here = drill.run_here(*line).check(1, silent=True)  # `raises` fails for both
    there, errors = process.communicate(timeout=180)
    assert (process.returncode, errors) == (1, "")
    assert len(drill.starts()) == 6
    assert set(drill.starts().values()) == {1}
    assert all("6 cells: 4 done, 2 failed; " in out for out in (here.out, there))
    assert sum(int(out.partition(" run now")[0].rpartition("; ")[2]) for out in (here.out, there)) == 6
    assert Store(drill.folder / "r").problems == []
    assert not (drill.folder / "r" / "running").exists()


@pytest.mark.drill
def test_a_run_takes_over_what_a_killed_one_leaves(drill: Drill) -> None:
    first = drill.start(*words(drill, "waits"))
    drill.wait_for(1)
    second = drill.start(*words(drill, "waits,steady"))
    assert second.stdout is not None
    assert "steady on small" in second.stdout.readline()
    assert mentions(second.stdout.readline(), "waiting ... another run ... waits on small")
    kill_group(first)
    drill.gate.touch()
    out, err = second.communicate(timeout=180)
    assert (second.returncode, err) == (0, "")
    assert mentions(out, "2 cells ... 2 done ... 2 run")
    assert drill.starts() == {"waits small 0": 2, "steady small 0": 1}


@pytest.mark.drill
def test_a_run_waits_for_what_another_is_finishing(drill: Drill) -> None:
    first = drill.start(*words(drill, "waits"))
    drill.wait_for(1)
    second = drill.start(*words(drill, "waits,steady"))
    assert second.stdout is not None
    assert "steady on small" in second.stdout.readline()
    assert mentions(second.stdout.readline(), "waiting ... another run")
    drill.gate.touch()
    ended = [process.communicate(timeout=180) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0]
    assert mentions(ended[1][0], "waits on small (image+text), seed 0 ... another run")
    assert mentions(ended[1][0], "2 cells ... 2 done ... 1 run")
    assert set(drill.starts().values()) == {1}
