"""Tuning tries the usual settings first, the same number for every method, and never opens the test split."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from msgspec import structs

from bench import registry
from bench.analysis.settings import tunings_of
from bench.execution.devices import local_slots
from bench.execution.local import INLINE, local_executor, run_inline
from bench.execution.tasks import Loss, OnEvent, Outcome, Task
from bench.execution.tuning_runner import run_trials
from bench.experiment.run_context import RunContext
from bench.experiment.tuning import Search, Tried, draw_changes, run_trial, trial_cells
from bench.records import StoreError, Trial, TrialStore
from bench.records.trials import Sampler
from tests.drill.running import BREAKING, Drill
from tests.grid import cells_of, only_plugins, say, write_bundle


def test_the_first_trial_is_the_usual_one_and_none_comes_twice() -> None:
    usual = registry.resolve_settings(registry.method("gmlda"))
    drawn = draw_changes(registry.method("gmlda"), usual, 8, seed=0)
    assert drawn[0] == {}
    assert len(drawn) == 8
    assert len({str(change) for change in drawn}) == 8
    assert drawn == draw_changes(registry.method("gmlda"), usual, 8, seed=0)
    assert all(usual[key] != value for change in drawn for key, value in change.items())


def test_the_order_of_a_small_space_is_random() -> None:
    """A space of at most twice as many points as trials once came in its order: its end was never tried."""
    sm = registry.method("sm")
    usual = registry.resolve_settings(sm)
    points = {str(change) for change in draw_changes(sm, usual, 1_000, seed=0)}
    firsts = {str(draw_changes(sm, usual, 2, seed=seed)[1]) for seed in range(200)}
    assert firsts | {"{}"} == points


def test_every_search_space_names_settings_of_its_method_with_values_that_fit() -> None:
    for name in registry.method_names():
        usual = registry.resolve_settings(registry.method(name))
        drawn = draw_changes(registry.method(name), usual, 40, seed=1)
        assert name != "chance" or drawn == [{}]  # it has no search space
        for change in drawn:
            registry.instantiate(name, {**usual, **change})


def test_a_trial_is_judged_on_validation_with_the_test_split_sealed(small: Path) -> None:
    (cell,) = trial_cells(cells_of(["gmlda"], small), {"alpha": 1.0})
    trial = run_trial(cell, {"alpha": 1.0}, RunContext()).trial
    assert trial.status == "done"
    assert trial.validation_map is not None
    assert 0.5 < trial.validation_map <= 1
    assert trial.identity.settings["alpha"] == 1.0


def test_a_failed_trial_says_why_and_cannot_win(small: Path) -> None:
    (cell,) = cells_of(["gmlda"], small)
    good = run_trial(cell, {}, RunContext()).trial
    (wrong,) = trial_cells([cell], {"alpha": -1.0})
    failed = run_trial(wrong, {"alpha": -1.0}, RunContext()).trial
    assert failed.status == "failed"
    assert "alpha" in failed.reason
    (tuning,) = tunings_of([failed, good])
    assert tuning.best is not None
    assert (tuning.best.changes, tuning.best.value) == ({}, good.validation_map)
    assert [attempt.status for attempt in tuning.attempts] == ["done", "failed"]
    assert tunings_of([failed])[0].best is None


@pytest.mark.parametrize("fields", [{"code": "sm 0"}, {"harness": "data 0"}, {"device": "cuda"}])
def test_trials_of_other_code_or_another_device_are_not_averaged_with_these(
    small: Path, fields: dict[str, str]
) -> None:
    (cell,) = cells_of(["sm"], small)
    facts: dict[str, Any] = {"changes": {}, "status": "done", "reason": "", "seconds": 1.0}
    mine = Trial(identity=cell.identity, validation_map=0.5, **facts)
    other = Trial(identity=structs.replace(cell.identity, **fields), validation_map=0.9, **facts)
    found = tunings_of([mine, other])
    assert sorted(one.best.value or 0.0 for one in found if one.best is not None) == [0.5, 0.9]


def tune(
    methods: Sequence[str],
    small: Path,
    results: Path,
    search: Search,
    *,
    execute: Any = run_inline,
    context: RunContext | None = None,
    seeds: Sequence[int] = (0,),
    **overrides: Any,
) -> tuple[list[Trial], list[Trial]]:
    """Search; returns all trials of the search, and those that were run now, in the order of their ends."""
    ended: list[Trial] = []
    trials = run_trials(
        [cells_of([method], small, seeds=seeds, **overrides) for method in methods],
        search,
        results,
        context or RunContext(),
        execute=execute,
        on_event=lambda event: ended.append(event) if isinstance(event, Trial) else None,
    )
    return trials, ended


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_trials_are_kept_and_not_run_again(small: Path, tmp_path: Path, sampler: Sampler) -> None:
    search = Search(4, sampler)
    # In a worker where all trials are of one run; at `tpe` each is a run, which would start a worker anew.
    execute = local_executor(local_slots(1, 1)) if sampler == "random" else run_inline
    first, ended = tune(["sm"], small, tmp_path, search, execute=execute)
    assert first[0].changes == {}
    assert len({trial.digest for trial in first}) == len(ended) == 4
    assert {trial.sampler for trial in first} == {sampler}
    assert sorted([*TrialStore(tmp_path).read()], key=str) == sorted(first, key=str)
    (tmp_path / "trials" / f"{first[0].digest}.json").write_text("{broken")
    again, ended = tune(["sm"], small, tmp_path, search)
    assert [trial.digest for trial in ended] == [first[0].digest]
    assert [trial.validation_map for trial in again] == [trial.validation_map for trial in first]


@pytest.mark.parametrize(
    ("loss", "status", "reason"),
    [
        (Loss("memory", "it took more memory"), "out-of-memory", "it took more memory"),
        (Loss("timeout", "stopped"), "timeout", "it went on after its time limit of 5 s and was stopped"),
        (Loss("exit", "its process ended"), "exited", "its process ended"),
        (Loss("signal", "its process was killed"), "killed", "its process was killed"),
    ],
)
def test_a_trial_that_lost_its_worker_says_how(
    small: Path, tmp_path: Path, loss: Loss, status: str, reason: str
) -> None:
    def lose(
        tasks: Sequence[Task], work: Callable[[Any], Any], on_event: OnEvent
    ) -> Generator[Outcome[Tried], None, None]:
        yield from (Outcome(task, INLINE, None, loss, 1.0, "its last words") for task in tasks)

    context = RunContext(seconds=5.0)
    (trial,), _ = tune(["sm"], small, tmp_path, Search(1), execute=lose, context=context)
    assert (trial.status, trial.reason, trial.validation_map) == (status, reason, None)
    assert [*TrialStore(tmp_path).read()] == [trial]
    log = TrialStore(tmp_path).log_path(trial.identity.digest).read_text()
    assert log.startswith(f"its last words\n{status}: {reason}\n")


def test_a_full_disk_under_the_trials_is_one_sentence(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"trials: the disk is full; free some space and run again$"):
        tune(["sm"], small, tmp_path, Search(1))
    assert list((tmp_path / "trials").glob("*.json")) == []


def test_what_a_trial_prints_and_why_it_failed_goes_to_its_log(
    small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with only_plugins(BREAKING):
        context = RunContext(plugins=(str(BREAKING),))
        (done, failed), _ = tune(["steady", "raises"], small, tmp_path, Search(1), context=context)
    assert capfd.readouterr().out == ""
    store = TrialStore(tmp_path)
    assert store.log_path(done.identity.digest).read_text() == "steady begins with seed 0\n"
    assert (failed.status, failed.reason) == ("failed", "ValueError: the matrix is singular")
    log = store.log_path(failed.identity.digest).read_text()
    assert log.startswith("raises begins with seed 0\nfailed: ValueError: the matrix is singular\nTraceback")


@pytest.mark.parametrize("change", [{"validation_map": 1.5}, {"validation_map": None}, {"seconds": -1.0}])
def test_a_trial_that_cannot_be_is_none(small: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    (cell,) = cells_of(["sm"], small)
    trial = run_trial(cell, {}, RunContext()).trial
    store = TrialStore(tmp_path)
    store.write(trial)
    path = store.folder / f"{trial.identity.digest}.json"
    assert [*store.read()] == [trial]
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert [*store.read()] == []
    store.write(trial)
    path.rename(store.folder / f"{'0' * 20}.json")
    assert [*store.read()] == []


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_two_runs_at_once_share_the_trials_and_make_each_once(tmp_path: Path, sampler: Sampler) -> None:
    drill = Drill(tmp_path)
    write_bundle(tmp_path / "small.npz")
    words = [
        *("--methods", "steady,waits", "--datasets", tmp_path / "small.npz", "--trials", 4),
        *("--results", tmp_path / "r", "--jobs", 0, "--sampler", sampler),
    ]
    both = [drill.start(*words, command="tune") for _ in range(2)]
    # At random all of `steady` and one of `waits` in each; else each has asked for settings of its own.
    drill.wait_for(6 if sampler == "random" else 4)
    drill.gate.touch()
    ended = [process.communicate(timeout=180) for process in both]
    assert [err for _, err in ended] == ["", ""]
    assert [process.returncode for process in both] == [0, 0]
    assert drill.starts().total() == 8
    assert len([*TrialStore(tmp_path / "r").read()]) == 8
    assert sampler != "random" or sum(out.count("by another run") for out, _ in ended) >= 1
    verdicts = [[line for line in out.splitlines() if "best of 4 trials" in line] for out, _ in ended]
    assert len(verdicts[0]) == 2
    assert verdicts[0] == verdicts[1]


def test_settings_that_were_not_tried_on_every_seed_do_not_compete(small: Path) -> None:
    cells = cells_of(["gmlda"], small, seeds=(0, 1))
    everywhere = [run_trial(cell, {}, RunContext()).trial for cell in cells]
    (lucky,) = trial_cells(cells[:1], {"alpha": 1.0})
    once = structs.replace(run_trial(lucky, {"alpha": 1.0}, RunContext()).trial, validation_map=1.0)
    (tuning,) = tunings_of([once, *everywhere])
    assert tuning.seeds == (0, 1)
    assert [attempt.changes for attempt in tuning.attempts] == [{}]


def test_the_command_prints_the_best_of_equal_budgets_and_report_shows_them(
    small: Path, tmp_path: Path
) -> None:
    words: Sequence[str] = ["tune", "--methods", "mcca,sm", "--datasets", str(small), "--trials", "3"]
    places = ["--results", str(tmp_path)]
    table = tmp_path / "all.csv"
    printed = say(*words, *places, "--table", table).check(0).out
    assert f"mcca on {small}: best of 3 trials" in printed
    assert printed.count("best of 3 trials") == 2
    text = printed.partition("as YAML for methods/settings/:")[2].partition("all trials")[0]
    offered = yaml.safe_load(text)
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["mcca"] * 3 + ["sm"] * 3
    assert [row["chosen"] for row in rows] == ["best", "", ""] * 2
    chosen = {row["method"]: json.loads(row["changes"]) for row in rows if row["chosen"]}
    assert offered == {method: changes for method, changes in chosen.items() if changes}
    values = [float(row["validation_map"]) for row in rows[:3]]
    assert values == sorted(values, reverse=True)

    say("run", "--methods", "mcca", "--datasets", small, *places).check(0)
    say("report", *places, "--reports", tmp_path / "reports", "--only", "tables").check(0)
    page = (tmp_path / "reports" / "tuning" / "trials.md").read_text(encoding="utf-8")
    assert "| MCCA " in page
    assert f"{values[0]:.4f}" in page
    assert (tmp_path / "reports" / "tuning" / "trials.csv").read_text() == table.read_text()
    assert "tuning/trials.md" in (tmp_path / "reports" / "tables.md").read_text(encoding="utf-8")


def test_without_a_trial_that_succeeds_the_command_says_why(small: Path, tmp_path: Path) -> None:
    words = ["tune", "--methods", "dccae", "--datasets", small, "--trials", "1", "--timeout", "0.001"]
    said = say(*words, "--results", tmp_path, "--jobs", 0)
    said.check(1, "no trial of 1 succeeded: timeout")
