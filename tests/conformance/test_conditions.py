"""``new condition`` writes what works at once; ``check`` holds every condition to its promises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bench import registry
from bench.conditions import conditions, names, parse_conditions
from bench.conformance.conditions import condition_outcomes
from bench.contract import PluginError
from bench.experiment.conditions import harness_of
from bench.records import Store
from tests.grid import only_plugins, run_command, write_bundle

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", list(conditions()))
def test_every_condition_keeps_its_promises(name: str) -> None:
    assert [(one.check.name, one.reason) for one in condition_outcomes(name) if one.status == "failed"] == []


def test_a_new_condition_is_checked_and_run_at_once(tmp_path: Path) -> None:
    run_command("new", "condition", "my-rows", "--folder", tmp_path).check(0, "check my-rows")
    file = tmp_path / "my_rows.py"
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 40
    ruff = [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    subprocess.run([*ruff, str(file)], check=True, cwd=ROOT)
    run_command("check", "my-rows", "--plugin", file).check(0, "7 passed, 0 failed")
    bundle, results = write_bundle(tmp_path / "mine.npz"), tmp_path / "r"
    run = ("run", "--datasets", bundle, "--methods", "sm", "--conditions", "my-rows@.5", "--results", results)
    run_command(*run, "--plugin", file).check(0, "1 done")
    (record,) = Store(results).records()
    assert record.result is not None
    assert (record.result.effective, record.result.rows["image"].train) == (0.5, 30)
    assert ", my-rows " in record.identity.harness
    run_command("status", "--results", results, "--plugin", file).check(0, "my-rows@0.5", silent=True)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("len(gone)", "1 * len(gone)"), encoding="utf-8")
    run_command(*run, "--plugin", file, "--dry-run").check(0, "1 record is stale", "my-rows")
    for word in ("noise", "label-noise", "sm", "My Rows"):
        run_command("new", "condition", word, "--folder", tmp_path).check(2, word)
    run_command("new", "condition", "my-rows", "--folder", tmp_path).check(2, "exists already")


BROKEN = {
    "is nested": "rows = np.random.default_rng(round(100 * level)).permutation(n)[: round(level * n)]",
    "draws the same rows again": "rows = np.random.default_rng().permutation(n)[: round(level * n)]",
    "is clean at level 0": "rows = np.arange(1)",
    "is read back from a file": "return Edited({key: edit_of(one) for key, one in split.items()}, 0.0, 2)",
}


@pytest.fixture
def plugin(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    from bench.conformance.scaffold import render

    lines = render("breaks", "condition").splitlines()
    at = next(index for index, line in enumerate(lines) if "gone = numbers" in line)
    lines[at] = f"        n = len(numbers)\n        {request.param}\n        gone = numbers[rows]"
    file = tmp_path / "breaks.py"
    file.write_text("\n".join(lines).replace("float(level)", "level"), encoding="utf-8")
    with only_plugins(file):
        yield "breaks"


@pytest.mark.parametrize(("plugin", "promise"), [(v, k) for k, v in BROKEN.items()], indirect=["plugin"])
def test_a_broken_promise_is_found(plugin: str, promise: str) -> None:
    failed = {one.check.name for one in condition_outcomes(plugin) if one.status == "failed"}
    assert promise in failed


def test_a_condition_of_an_entry_point_is_known_with_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_command("new", "condition", "installed-rows", "--folder", tmp_path).check(0)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("mine", "installed_rows:InstalledRows", "bench.conditions")
    monkeypatch.setattr(names, "entry_points", lambda group: [point])
    names._conditions.cache_clear()
    try:
        assert [one.id for one in parse_conditions(["installed-rows@.5"]) if one] == ["installed-rows@0.5"]
        assert ", installed-rows " in harness_of("installed-rows@0.5", registry.Versions())
    finally:
        monkeypatch.undo()
        names._conditions.cache_clear()


def test_an_entry_point_must_be_a_condition_of_a_new_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, word in (
        ("bench.contract:Split", "not a condition"),
        ("bench.conditions.late:Late", "defined"),
    ):
        point = EntryPoint("mine", value, "bench.conditions")
        monkeypatch.setattr(names, "entry_points", lambda group, point=point: [point])
        names._conditions.cache_clear()
        with pytest.raises(PluginError, match=word):
            conditions()
    monkeypatch.undo()
    names._conditions.cache_clear()
    assert registry.plugins() == ()
