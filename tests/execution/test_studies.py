"""Searches with Optuna: equal budgets, no settings twice, recovery of the journal, pruned trials."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import InMemoryStorage

from bench.analysis.settings import tunings_of
from bench.contract.errors import DataError
from bench.execution import studies
from bench.execution.local import run_inline
from bench.execution.studies import FIRST_EPOCHS, FIRST_TRIALS, Study, open_journal
from bench.execution.tuning_runner import run_trials
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext
from bench.experiment.tuning import Search
from bench.records import Trial, TrialStore
from bench.records.trials import Pruner, Sampler
from tests.documents import ROOT, blocks
from tests.drill.running import Drill, kill_group
from tests.grid import cells_of, only_plugins, run_command, write_bundle

CURVES = Path(__file__).with_name("curves.py")
SPACE = 5 * 7
"""Settings of `curves`: five widths; six levels and the usual one."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("data") / "small.npz")


@pytest.fixture(autouse=True)
def _plugins() -> Iterator[None]:
    with only_plugins(CURVES):
        yield


def outcome(cell: Cell, search: Search, best: float) -> Trial:
    """Return a trial without a fit; its value is the higher, the nearer its level is to the best."""
    return Trial(
        identity=cell.identity,
        changes={},
        status="done",
        reason="",
        validation_map=1 - abs(cell.identity.settings["level"] - best),
        seconds=1.0,
        sampler=search.sampler,
        pruner=search.pruner,
    )


def tried(
    bundle: Path, journal: Path | None, search: Search, *, stop: int = 1000, width: int = 1, best: float = 0.8
) -> list[Any]:
    """Go on with a search, a batch of ``width`` after another, at most ``stop``; no journal is a new one."""
    storage = InMemoryStorage() if journal is None else open_journal(journal)
    study = Study(cells_of(["curves"], bundle), search, storage)
    while stop and study.ask(width):
        stop -= 1
        known = {
            search.digest(cell.identity): outcome(cell, search, best)
            for point in study.points()
            for cell in point.cells
        }
        study.tell(known)
    return [point.changes for point in study.points()]


def tune(
    bundle: Path, results: Path, search: Search, *, seeds: tuple[int, ...] = (0,)
) -> tuple[list[Trial], int]:
    """Search with `curves`; returns the trials, and how many of them were run now."""
    ended: list[Trial] = []
    trials = run_trials(
        [cells_of(["curves"], bundle, seeds=seeds)],
        search,
        results,
        RunContext(plugins=(str(CURVES),)),
        execute=run_inline,
        on_event=lambda event: ended.append(event) if isinstance(event, Trial) else None,
    )
    return trials, len(ended)


@pytest.mark.parametrize(("trials", "width"), [(1, 3), (5, 1), (5, 3), (50, 3)])
def test_a_sampler_tries_the_requested_number_of_settings_and_none_twice(
    bundle: Path, trials: int, width: int
) -> None:
    found = tried(bundle, None, Search(trials, "tpe"), width=width)
    assert found[0] == {}
    assert len(found) == len({json.dumps(one) for one in found}) == min(trials, SPACE)


def test_a_search_in_parts_tries_the_same_settings_as_at_once(bundle: Path, tmp_path: Path) -> None:
    search = Search(10, "tpe")
    whole = tried(bundle, None, search)
    for stop in (1, 4, 100):
        parts = tried(bundle, tmp_path / "parts", search, stop=stop)
    assert parts == whole
    longer = tried(bundle, tmp_path / "parts", Search(12, "tpe"))
    assert longer[:10] == whole
    assert tried(bundle, tmp_path / "parts", Search(3, "tpe")) == whole[:3]


def test_a_trial_that_another_run_asked_for_at_the_end_is_awaited(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last trial is asked for by another run, after this one has read the journal."""
    search = Search(4, "tpe")
    choosing = studies.choosing

    @contextmanager
    def after_another_run(lock: Path, journal: Path) -> Iterator[None]:
        with choosing(lock, journal):
            if journal.exists():
                other = Study(cells_of(["curves"], bundle), search, open_journal(journal))
                if len(points := other.points()) == 3 and not any(point.open for point in points):
                    other.ask(1)
            yield

    monkeypatch.setattr(studies, "choosing", after_another_run)
    trials, _ = tune(bundle, tmp_path, search)
    assert len(trials) == 4


def test_the_choice_of_a_sampler_depends_on_earlier_results(bundle: Path) -> None:
    search = Search(12, "tpe")
    one, other = (tried(bundle, None, search, best=best) for best in (0.8, 0.1))
    assert one[:FIRST_TRIALS] == other[:FIRST_TRIALS]
    assert one != other


@pytest.mark.parametrize("text", ['{"op_code":', "x"])
def test_an_unfinished_line_of_a_killed_process_is_cut_off(bundle: Path, tmp_path: Path, text: str) -> None:
    journal, search = tmp_path / "log", Search(6, "tpe")
    before = tried(bundle, journal, search, stop=3)
    with journal.open("a") as file:
        file.write(text)
    assert tried(bundle, journal, search)[:3] == before
    assert len(tried(bundle, journal, search)) == 6


@pytest.mark.filterwarnings("ignore:The value of `grace_period`")
def test_the_lock_of_a_killed_process_is_ignored_after_a_while(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "_GRACE", 0.2)
    (tmp_path / "log.lock").touch()
    assert tried(bundle, tmp_path / "log", Search(1)) == [{}]
    assert not (tmp_path / "log.lock").exists()


@pytest.mark.parametrize("text", ["broken\nbroken\n", '{"op_code": 4, "study_id": 7}\n', "[]\n"])
def test_a_damaged_journal_is_one_sentence_and_can_be_removed(
    bundle: Path, tmp_path: Path, text: str
) -> None:
    first, _ = tune(bundle, tmp_path, Search(3, "tpe"))
    journal = TrialStore(tmp_path).journal
    journal.write_text(text)
    with pytest.raises(DataError, match=r"optuna\.log.*remove"):
        open_journal(journal)
    words = ("tune", "--plugin", CURVES, "--methods", "curves", "--datasets", bundle, "--results", tmp_path)
    output = run_command(*words, "--jobs", 0, "--trials", 3, "--sampler", "tpe")
    assert (output.status, output.err.count("\n")) == (2, 1)
    journal.unlink()
    assert tune(bundle, tmp_path, Search(3, "tpe")) == (first, 0)


def test_a_pipe_in_place_of_the_journal_is_one_sentence(bundle: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal")
    with pytest.raises(DataError, match="journal"):
        tried(bundle, tmp_path / "journal", Search(1, "tpe"))


@pytest.mark.drill
def test_a_killed_run_is_continued(bundle: Path, tmp_path: Path) -> None:
    drill = Drill(tmp_path)
    words = ["--methods", "waits", "--datasets", bundle, "--trials", 2, "--sampler", "tpe"]
    words += ["--results", tmp_path / "r"]
    killed = drill.start(*words, "--jobs", 0, command="tune")
    drill.wait_for(1)
    kill_group(killed)
    drill.gate.touch()
    drill.run_here(*words, command="tune").check(0, "best of 2 trials", silent=True)
    assert drill.starts().total() == 3
    assert len([*TrialStore(tmp_path / "r").read()]) == 2


@pytest.fixture(scope="module")
def unpruned(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    """The trials of random search without pruning."""
    with only_plugins(CURVES):
        trials, _ = tune(bundle, tmp_path_factory.mktemp("unpruned"), Search(TRIALS), seeds=(0, 1))
    return trials


TRIALS = 10


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [
        ("random", "median"),
        pytest.param("random", "hyperband", marks=pytest.mark.slow),
        pytest.param("tpe", "median", marks=pytest.mark.slow),
    ],
)
def test_a_pruned_trial_is_recorded_and_counted_and_changes_no_number(
    bundle: Path, tmp_path: Path, unpruned: list[Trial], sampler: Sampler, pruner: Pruner
) -> None:
    search = Search(TRIALS, sampler, pruner)
    trials, ended = tune(bundle, tmp_path, search, seeds=(0, 1))
    stopped = [trial for trial in trials if trial.status == "pruned"]
    # The brackets of Hyperband depend on the study's name, and so on any edit of the code.
    assert bool(pruner == "median") <= len(stopped) <= TRIALS - FIRST_TRIALS
    assert ended == len(trials) == 2 * TRIALS - len(stopped)  # their second seed did not begin
    assert all(trial.identity.seed == 0 and trial.validation_map is None for trial in stopped)
    reasons = {f"stopped after {n} epochs by the pruner: {pruner}" for n in range(FIRST_EPOCHS, 9)}
    assert {trial.reason for trial in stopped} <= reasons
    assert (trials[0].changes, trials[0].status) == ({}, "done")
    store = TrialStore(tmp_path)
    assert {store.log_path(trial.digest).read_text() for trial in stopped} == {""}
    (tuning,) = tunings_of(store.read())
    assert (len(tuning.attempts), tuning.sampler, tuning.pruner) == (TRIALS, sampler, pruner)
    assert tuning.best is not None
    assert tuning.best.status == "done"
    assert tune(bundle, tmp_path, search, seeds=(0, 1)) == (trials, 0)

    assert {(trial.status, trial.sampler, trial.pruner) for trial in unpruned} == {("done", "random", "none")}
    values = {trial.identity.digest: trial.validation_map for trial in unpruned}
    same = [trial for trial in trials if trial.status == "done" and trial.identity.digest in values]
    assert same
    assert all(trial.validation_map == values[trial.identity.digest] for trial in same)


def test_trials_of_layout_1_are_those_of_random_search(bundle: Path, tmp_path: Path) -> None:
    trials, _ = tune(bundle, tmp_path, Search(4))
    for trial in trials:
        path = TrialStore(tmp_path).folder / f"{trial.identity.digest}.json"
        content = json.loads(path.read_text())
        del content["sampler"], content["pruner"]
        path.write_text(json.dumps({**content, "schema": 1}))
    TrialStore(tmp_path).journal.unlink()
    again, ended = tune(bundle, tmp_path, Search(4))
    assert ended == 0
    assert [trial.validation_map for trial in again] == [trial.validation_map for trial in trials]
    assert {trial.schema for trial in again} == {1}
    assert tunings_of(again)[0].sampler == "random"


def test_the_command_names_sampler_and_pruner_in_every_trial(bundle: Path, tmp_path: Path) -> None:
    words = ("tune", "--plugin", CURVES, "--methods", "curves", "--datasets", bundle, "--results", tmp_path)
    search = ("--trials", 6, "--sampler", "tpe", "--pruner", "median")
    table = tmp_path / "all.csv"
    output = run_command(*words, *search, "--jobs", 0, "--table", table)
    output.check(0, "best of 6 trials", silent=True)
    assert len(table.read_text().splitlines()) == 7
    assert {(one.sampler, one.pruner) for one in TrialStore(tmp_path).read()} == {("tpe", "median")}
    assert run_command(*words, "--sampler", "grid").status == 2


def test_the_examples_of_the_docs_run(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ROOT / "docs" / "settings.md"
    section = page.read_text(encoding="utf-8").partition("## Tuning")[2].partition("\n## ")[0]
    commands, program = (block.text for block in blocks(page) if block.text in section)
    monkeypatch.chdir(tmp_path)
    for words in (("gmlda,", ""), ("emoji", str(bundle)), ("--trials 8", "--trials 2 --jobs 0")):
        commands = commands.replace(*words)
    for line in commands.splitlines():
        run_command(*line.split()[3:]).check(0, "best of 2 trials", silent=True)
    capsys.readouterr()
    exec(program, {})
    printed = [line.partition(")")[0] for line in capsys.readouterr().out.splitlines()]
    assert printed == ["pls on small (random, none", "pls on small (tpe, none"]
