"""The kill drill: kill -9 of a whole run at random moments loses at most what its workers were doing."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.records import Store
from tests.drill.running import Drill, fixed_bytes, kill_group
from tests.grid import write_bundle

WORKERS = 2


@dataclass(frozen=True)
class Undisturbed:
    """The same grid without any kill.

    Attributes:
        words: of the command, but for the results folder.
        found: bytes of all records.
        before: seconds until the first cell began.
        during: seconds from then to the end.
    """

    words: tuple[object, ...]
    found: dict[str, Any]
    before: float
    during: float


def undisturbed(folder: Path, seeds: int) -> Undisturbed:
    bundle = write_bundle(folder / "small.npz")
    words = (
        *("--datasets", bundle, "--methods", "steady,raises,nan_embeddings", "--seeds", seeds),
        *("--jobs", WORKERS, "--set", "steady.seconds=0.05"),
    )
    drill = Drill(folder / "undisturbed")
    drill.folder.mkdir()
    begin = time.monotonic()
    process = drill.start("--results", drill.folder / "r", *words)
    drill.wait_for(1)
    before = time.monotonic() - begin
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (1, ""), out  # two of the methods fail, always in the same way
    assert set(drill.starts().values()) == {1}
    found = fixed_bytes(drill.folder / "r")
    assert len(found) == 3 * seeds
    return Undisturbed(words, found, before, time.monotonic() - begin - before)


def kill_once(folder: Path, usual: Undisturbed, chance: random.Random, *again: object) -> tuple[int, int]:
    """Kill a run at a random moment and run again; returns how many cells the kill found done, and cost.

    ``again`` are more words of the second run. Every fifth moment is anywhere from the start of the command
    on, the others are after the first cell has begun: otherwise most kills would meet a program that is still
    loading.
    """
    drill = Drill(folder)
    folder.mkdir()
    results = folder / "r"
    early, moment = chance.random() < 0.2, chance.random()
    process = drill.start("--results", results, *usual.words)
    if early:
        time.sleep(moment * (usual.before + usual.during))
    else:
        drill.wait_for(1)
        time.sleep(moment * usual.during)
    kill_group(process)

    recorded = fixed_bytes(results)  # and none is damaged
    assert recorded.items() <= usual.found.items()
    stamps = Store(results).stamps()
    lost = drill.starts().total() - len(recorded)

    status, out, err = drill.run("--results", results, *usual.words, *again)
    assert (status, err) == (1, "")
    assert fixed_bytes(results) == usual.found
    assert {entry.name for entry in (results / "runs").iterdir()} == set(usual.found)  # nothing left over
    assert not (results / "running").exists()
    after = Store(results).stamps()
    assert stamps.items() <= after.items()  # what was recorded was not touched
    assert f"; {len(usual.found) - len(recorded)} run now" in out
    starts = drill.starts()
    assert len(starts) == len(usual.found)
    assert max(starts.values()) <= 2
    assert starts.total() - len(usual.found) == lost <= WORKERS  # only what was running is done again
    return len(recorded), lost


def test_a_kill_amid_a_grid_loses_nothing_but_what_was_running(tmp_path: Path) -> None:
    usual = undisturbed(tmp_path, seeds=3)
    kill_once(tmp_path / "killed", usual, random.Random(3), "--jobs", 0)


@pytest.mark.drill
@pytest.mark.slow
def test_a_hundred_kills_lose_nothing_but_what_was_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = undisturbed(tmp_path, seeds=8)
    chance = random.Random(100)
    rounds = [kill_once(tmp_path / str(number), usual, chance) for number in range(100)]
    amid = sum(0 < recorded < len(usual.found) for recorded, _ in rounds)
    redone = Counter(redone for _, redone in rounds)
    with capsys.disabled():
        print(f"\n100 kills, {amid} of them amid the grid; cells redone: {dict(sorted(redone.items()))}")
    assert amid >= 30
