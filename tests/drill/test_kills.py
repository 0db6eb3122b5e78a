"""A killed run loses only the cells that its workers were running, and the next run makes these."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.records import Store
from tests.drill.running import Drill, fixed_bytes, kill_group
from tests.grid import Output, write_bundle

WORKERS = 2


def words_of(folder: Path, seeds: int) -> tuple[object, ...]:
    """Return the words of a grid in which two of three methods fail; the results folder is missing."""
    return (
        *("--datasets", write_bundle(folder / "small.npz"), "--methods", "steady,raises,nan_embeddings"),
        *("--seeds", seeds, "--set", "steady.seconds=0.05"),
    )


def kill_once(
    drill: Drill,
    words: tuple[object, ...],
    expected: dict[str, Any],
    until: Callable[[], None],
    run: Callable[..., Output],
) -> tuple[int, int]:
    """Kill a run when ``until`` returns and ``run`` it again; returns how many cells were done and lost."""
    results = drill.folder / "r"
    process = drill.start("--results", results, *words, "--jobs", WORKERS)
    until()
    kill_group(process)

    recorded = fixed_bytes(results)  # and none is damaged
    assert recorded.items() <= expected.items()
    stamps = Store(results).stamps()
    lost = drill.starts().total() - len(recorded)

    output = run("--results", results, *words).check(1, silent=True)
    assert fixed_bytes(results) == expected
    assert {entry.name for entry in (results / "runs").iterdir()} == set(expected)  # no other files
    assert not (results / "running").exists()
    assert stamps.items() <= Store(results).stamps().items()  # finished records were not written again
    assert f"; {len(expected) - len(recorded)} run now" in output.out
    starts = drill.starts()
    assert len(starts) == len(expected)
    assert max(starts.values()) <= 2
    assert starts.total() - len(expected) == lost <= WORKERS  # only running cells start again
    return len(recorded), lost


def test_a_kill_during_a_grid_loses_only_running_cells(tmp_path: Path) -> None:
    words = words_of(tmp_path, 3)
    Drill(tmp_path).run_here("--results", tmp_path / "undisturbed", *words).check(1)
    expected = fixed_bytes(tmp_path / "undisturbed")
    assert len(expected) == 9
    drill = Drill(tmp_path / "killed")
    drill.folder.mkdir()
    kill_once(drill, words, expected, lambda: drill.wait_for(4), drill.run_here)


@pytest.mark.drill
@pytest.mark.slow
def test_a_hundred_kills_lose_only_running_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every fifth moment is at any time of the command, the others are after the start of the first cell."""
    words, usual = words_of(tmp_path, 8), Drill(tmp_path)
    begin = time.monotonic()
    process = usual.start("--results", tmp_path / "undisturbed", *words, "--jobs", WORKERS)
    usual.wait_for(1)
    before = time.monotonic() - begin
    process.communicate(timeout=120)
    during = time.monotonic() - begin - before
    assert set(usual.starts().values()) == {1}
    expected, chance, rounds = (
        fixed_bytes(tmp_path / "undisturbed"),
        random.Random(100),
        list[tuple[int, int]](),
    )
    assert len(expected) == 24
    for number in range(100):
        drill = Drill(tmp_path / str(number))
        drill.folder.mkdir()
        early, moment = chance.random() < 0.2, chance.random()

        def until(drill: Drill = drill, early: bool = early, moment: float = moment) -> None:
            if not early:
                drill.wait_for(1)
            time.sleep(moment * (during + before * early))

        def run(*words: object, drill: Drill = drill) -> Output:
            return Output(*drill.run(*words, "--jobs", WORKERS))

        rounds.append(kill_once(drill, words, expected, until, run))
    amid = sum(0 < recorded < len(expected) for recorded, _ in rounds)
    lost = Counter(number for _, number in rounds)
    with capsys.disabled():
        print(f"\n100 kills, {amid} of them during the grid; lost cells: {dict(sorted(lost.items()))}")
    assert amid >= 30
