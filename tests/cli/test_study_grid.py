"""`make study`: all its commands parse, ask for each cell once, and go on where they stopped."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.conditions import parse_conditions
from bench.records import Store
from tests.grid import run_command

ROOT = Path(__file__).resolve().parent.parent.parent
ISSUE = (
    "clean,label-noise@.2/.4/.6/.8,wrong-pairs@.2/.4/.6/.8,unpaired@.5/1,missing@.5,few-labels@.05/.1,"
    "long-tail@50,late@last,unseen@.2"
)

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def commands(data: Path) -> list[list[str]]:
    """Return the words of each command of `make study`, behind ``python -m bench``."""
    made = subprocess.run(
        ["make", "-n", "study", f"DATA={data}"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    lines = made.stdout.replace("\\\n", " ").splitlines()
    words = [shlex.split(line.partition("||")[0].partition("-m bench ")[2]) for line in lines]
    return [found for found in words if found]


def elsewhere(words: Sequence[str], results: Path) -> list[str]:
    """Return a command with other results, and with data at hand for those whose files are not."""
    other = {"results/study": str(results), "wikipedia_classic": "emoji_fine"}
    return [other.get(word, word) for word in words]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder that has the files of classic Wikipedia."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "wikipedia_classic").mkdir()
    (folder / "wikipedia_classic" / "raw_features.mat").touch()
    return folder


def test_the_study_asks_for_cells_that_exist_and_for_each_once(data: Path, tmp_path: Path) -> None:
    *runs, report = commands(data)
    assert report[-2:] == ["--fill", "docs/study.md"]
    planned = [
        line.split("about")[0]
        for words in runs
        for line in run_command(*elsewhere(words, tmp_path), "--dry-run").check(0).out.splitlines()
        if line.startswith("to run")
    ]
    assert report[0] == "report"
    assert any("wikipedia_classic" in words for words in runs)
    assert not any("wikipedia_classic" in words for words in commands(tmp_path))
    assert len(planned) == len(set(planned)) > 1500
    for dataset in ("emoji", "emoji_views", "icons", "emoji_fine"):
        assert any(f" on {dataset} (" in line for line in planned)
    for applied in parse_conditions(ISSUE.split(",")):
        where = "" if applied is None else f" under {applied.id}"
        for seed in range(3):
            assert any(
                line.rstrip(": ").endswith(f"drcl on emoji (image+text){where}, seed {seed}")
                for line in planned
            )


def test_a_study_that_was_stopped_goes_on(tmp_path: Path) -> None:
    first = elsewhere(commands(tmp_path)[0], tmp_path / "r")
    little = ("--methods", "chance", "--jobs", 0)
    at = first.index("--methods")
    words = [*first[:at], *first[at + 2 :], *little]
    run_command(*words, "--shard", "1/9").check(0)
    before = len(list(Store(tmp_path / "r").records()))
    assert before
    run_command(*words, "--dry-run").check(0, f"27 cells, {27 - before} to run")
