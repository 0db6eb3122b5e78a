"""Tuning tries the usual settings first, the same number for every method, and never opens the test split."""

from __future__ import annotations

import csv
import errno
import json
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
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext
from bench.experiment.tuning import Search, Tried, draw_changes, run_trial, trial_cells
from bench.records import StoreError, Trial, TrialStore
from bench.records.trials import Sampler
from tests.drill.running import BREAKING, Drill
from tests.grid import cells_of, only_plugins, run_command, write_bundle
from tests.records.making import raising
from tests.wording import mentions


def test_the_first_trial_is_the_usual_one_none_comes_twice_and_their_order_is_random() -> None:
    method = registry.method("gmlda")
    usual = registry.resolve_settings(method)
    drawn = draw_changes(method, usual, 8, seed=0)
    assert drawn[0] == {}
    assert len({str(change) for change in drawn}) == len(drawn) == 8
    assert drawn == draw_changes(method, usual, 8, seed=0)
    assert all(usual[key] != value for change in drawn for key, value in change.items())
    # A space of at most twice as many points as trials once came in its order: its end was never tried.
    sm = registry.method("sm")
    usual = registry.resolve_settings(sm)
    points = {str(change) for change in draw_changes(sm, usual, 1_000, seed=0)}
    assert {str(draw_changes(sm, usual, 2, seed=seed)[1]) for seed in range(200)} | {"{}"} == points


def test_every_search_space_names_settings_of_its_method_with_values_that_fit() -> None:
    for name in registry.method_names():
        usual = registry.resolve_settings(registry.method(name))
        drawn = draw_changes(registry.method(name), usual, 40, seed=1)
        assert name != "chance" or drawn == [{}]  # it has no search space
        for change in drawn:
            registry.instantiate(name, {**usual, **change})


def trial_of(cell: Cell, **changes: Any) -> Trial:
    (changed,) = trial_cells([cell], changes)
    return run_trial(changed, changes, RunContext()).trial


def test_a_trial_is_judged_on_validation_and_a_failed_one_says_why_and_cannot_win(small: Path) -> None:
    (cell,) = cells_of(["gmlda"], small)
    good, failed = trial_of(cell, alpha=1.0), trial_of(cell, alpha=-1.0)
    assert (good.status, good.identity.settings["alpha"]) == ("done", 1.0)
    assert good.validation_map is not None
    assert 0.5 < good.validation_map <= 1
    assert failed.status == "failed"
    assert "alpha" in failed.reason
    (tuning,) = tunings_of([failed, good])
    assert tuning.best is not None
    assert (tuning.best.changes, tuning.best.value) == ({"alpha": 1.0}, good.validation_map)
    assert [attempt.status for attempt in tuning.attempts] == ["done", "failed"]
    assert tunings_of([failed])[0].best is None


@pytest.mark.parametrize("fields", [{"code": "sm 0"}, {"harness": "data 0"}, {"device": "cuda"}])
def test_trials_of_other_code_or_another_device_are_not_averaged_with_these(
    small: Path, fields: dict[str, str]
) -> None:
    (cell,) = cells_of(["sm"], small)
    mine = structs.replace(trial_of(cell), validation_map=0.5)
    other = structs.replace(mine, identity=structs.replace(cell.identity, **fields), validation_map=0.9)
    best = [tuning.best for tuning in tunings_of([mine, other])]
    assert sorted(attempt.value or 0.0 for attempt in best if attempt is not None) == [0.5, 0.9]


def test_settings_that_were_not_tried_on_every_seed_do_not_compete(small: Path) -> None:
    cells = cells_of(["gmlda"], small, seeds=(0, 1))
    once = structs.replace(trial_of(cells[0], alpha=1.0), validation_map=1.0)
    (tuning,) = tunings_of([once, *map(trial_of, cells)])
    assert tuning.seeds == (0, 1)
    assert [attempt.changes for attempt in tuning.attempts] == [{}]


def tune(
    methods: str, small: Path, results: Path, search: Search, execute: Any = run_inline, **context: Any
) -> tuple[list[Trial], list[Trial]]:
    """Search; returns all trials of the search, and those that were run now, in the order of their ends."""
    ended: list[Trial] = []
    trials = run_trials(
        [cells_of([method], small) for method in methods.split(",")],
        search,
        results,
        RunContext(**context),
        execute=execute,
        on_event=lambda event: ended.append(event) if isinstance(event, Trial) else None,
    )
    return trials, ended


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_trials_are_kept_and_not_run_again(small: Path, tmp_path: Path, sampler: Sampler) -> None:
    search = Search(4, sampler)
    # In a worker where all trials are of one run; at `tpe` each is a run, which would start a worker anew.
    execute = local_executor(local_slots(1, 1)) if sampler == "random" else run_inline
    first, ended = tune("sm", small, tmp_path, search, execute)
    assert first[0].changes == {}
    assert len({trial.digest for trial in first}) == len(ended) == 4
    assert {trial.sampler for trial in first} == {sampler}
    assert sorted([*TrialStore(tmp_path).read()], key=str) == sorted(first, key=str)
    (tmp_path / "trials" / f"{first[0].digest}.json").write_text("{broken")
    again, ended = tune("sm", small, tmp_path, search)
    assert [trial.digest for trial in ended] == [first[0].digest]
    assert [trial.validation_map for trial in again] == [trial.validation_map for trial in first]


@pytest.mark.parametrize(
    ("loss", "status", "reason"),
    [
        (Loss("memory", "it took more memory"), "out-of-memory", "it took more memory"),
        (Loss("timeout", "stopped"), "timeout", "time limit ... 5 s"),
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

    (trial,), _ = tune("sm", small, tmp_path, Search(1), lose, seconds=5.0)
    assert (trial.status, trial.validation_map) == (status, None)
    assert mentions(trial.reason, reason)
    assert [*TrialStore(tmp_path).read()] == [trial]
    log = TrialStore(tmp_path).log_path(trial.identity.digest).read_text()
    assert log.startswith(f"its last words\n{status}: {trial.reason}\n")


def test_a_full_disk_under_the_trials_is_one_sentence(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", raising(errno.ENOSPC))
    with pytest.raises(StoreError, match="disk is full"):
        tune("sm", small, tmp_path, Search(1))
    assert list((tmp_path / "trials").glob("*.json")) == []


def test_a_folder_that_cannot_be_made_is_wrong_usage(small: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    tuning = run_command(
        "tune", "--methods", "sm", "--datasets", small, "--results", tmp_path / "file" / "results"
    )
    tuning.check(2)
    assert "file" in tuning.err


def test_what_a_trial_prints_and_why_it_failed_goes_to_its_log(
    small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with only_plugins(BREAKING):
        plugins = (str(BREAKING),)
        (done, failed), _ = tune("steady,raises", small, tmp_path, Search(1), plugins=plugins)
    assert capfd.readouterr().out == ""
    store = TrialStore(tmp_path)
    assert store.log_path(done.identity.digest).read_text() == "steady begins with seed 0\n"
    assert (failed.status, failed.reason) == ("failed", "ValueError: the matrix is singular")
    log = store.log_path(failed.identity.digest).read_text()
    assert log.startswith("raises begins with seed 0\nfailed: ValueError: the matrix is singular\nTraceback")


@pytest.mark.parametrize("change", [{"validation_map": 1.5}, {"validation_map": None}, {"seconds": -1.0}])
def test_a_trial_that_cannot_be_is_none(small: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    store, trial = TrialStore(tmp_path), trial_of(*cells_of(["sm"], small))
    store.write(trial)
    path = store.folder / f"{trial.identity.digest}.json"
    assert [*store.read()] == [trial]
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert [*store.read()] == []
    store.write(trial)
    path.rename(store.folder / f"{'0' * 20}.json")
    assert [*store.read()] == []


@pytest.mark.drill
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_two_runs_at_once_share_the_trials_and_make_each_once(tmp_path: Path, sampler: Sampler) -> None:
    drill = Drill(tmp_path)
    write_bundle(tmp_path / "small.npz")
    words = [
        *("--methods", "steady,waits", "--datasets", tmp_path / "small.npz", "--trials", 4),
        *("--results", tmp_path / "r", "--jobs", 0, "--sampler", sampler),
    ]
    # At random all of `steady` and one of `waits` in each; else they ask for settings in turn.
    drill.open_after(6 if sampler == "random" else 4)
    process = drill.start(*words, command="tune")
    if sampler != "random":
        drill.wait_for(1)
    here = drill.run_here(*words, command="tune").check(0, silent=True)
    there, errors = process.communicate(timeout=180)
    assert (process.returncode, errors) == (0, "")
    assert drill.starts().total() == 8
    assert len([*TrialStore(tmp_path / "r").read()]) == 8
    assert sampler != "random" or (here.out + there).count("by another run") >= 1
    verdicts = [
        [line for line in out.splitlines() if "best of 4 trials" in line] for out in (here.out, there)
    ]
    assert len(verdicts[0]) == 2
    assert verdicts[0] == verdicts[1]


def test_the_command_prints_the_best_of_equal_budgets_and_report_shows_them(
    small: Path, tmp_path: Path
) -> None:
    words, table = ("--datasets", small, "--results", tmp_path), tmp_path / "all.csv"
    tuned = run_command("tune", "--methods", "mcca,sm", *words, "--trials", 3, "--table", table)
    printed = tuned.check(0, f"mcca on {small}: best of 3 trials").out
    assert printed.count("best of 3 trials") == 2
    offered = yaml.safe_load(
        printed.partition("as YAML for methods/settings/:")[2].partition("all trials")[0]
    )
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["mcca"] * 3 + ["sm"] * 3
    assert [row["chosen"] for row in rows] == ["best", "", ""] * 2
    chosen = {row["method"]: json.loads(row["changes"]) for row in rows if row["chosen"]}
    assert offered == {method: changes for method, changes in chosen.items() if changes}
    values = [float(row["validation_map"]) for row in rows[:3]]
    assert values == sorted(values, reverse=True)

    run_command("run", "--methods", "mcca", *words).check(0)
    reports = tmp_path / "reports"
    run_command("report", "--results", tmp_path, "--reports", reports, "--only", "tables").check(0)
    page = (reports / "tuning" / "trials.md").read_text(encoding="utf-8")
    assert "| MCCA " in page
    assert f"{values[0]:.4f}" in page
    assert (reports / "tuning" / "trials.csv").read_text() == table.read_text()
    assert "tuning/trials.md" in (reports / "tables.md").read_text(encoding="utf-8")


def test_without_a_trial_that_succeeds_the_command_says_why(small: Path, tmp_path: Path) -> None:
    words = ("tune", "--methods", "dccae", "--datasets", small, "--trials", "1", "--timeout", "0.001")
    run_command(*words, "--results", tmp_path, "--jobs", 0).check(1, "trial ... 1 ... timeout")
