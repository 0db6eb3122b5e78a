"""A full disk costs the cells whose records find no room, and nothing else; what finds room later is kept."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.contract import State
from bench.execution.cell_task import CellAnswer
from bench.execution.devices import local_slots
from bench.execution.grid_runner import remaining, run_cells
from bench.execution.local import local_executor
from bench.execution.progress import Ended, Held, LeftOut, RunEvent, Unstarted
from bench.execution.tasks import Executor, Loss, LossKind, Outcome, Task
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext
from bench.records import Failure, Store, StoreError, folders
from bench.records.models import (
    ARRAYS,
    ModelCard,
    ModelModality,
    model_files,
    read_model,
    without_arrays,
)
from tests.execution.full_disk import HERE, PROBE, FullDisk, each, finished
from tests.grid import FAULTS, cells_of
from tests.records.making import raising

PLACE = RunContext(plugins=(str(FAULTS),))


pytestmark = pytest.mark.usefixtures("faults")


@pytest.fixture(scope="module")
def six(small: Path) -> list[Cell]:
    return cells_of(["plain"], small, seeds=range(6))


class Heard:
    """What a run of cells told; by default they end at once and without any work."""

    def __init__(self, cells: Sequence[Cell], results: Path, execute: Executor[Any] | None = None) -> None:
        self.events: list[RunEvent] = []
        self.store = Store(results)
        self.count = run_cells(
            cells, self.store, PLACE, execute=execute or each(finished(cells)), on_event=self.events.append
        )

    @property
    def ends(self) -> dict[int, Ended]:
        """Return the ends by seed; there is one per cell."""
        ends = [event for event in self.events if isinstance(event, Ended)]
        found = {end.cell.identity.seed: end for end in ends}
        assert len(found) == len(ends) == self.count
        return found

    @property
    def unstarted(self) -> list[int]:
        events = [event for event in self.events if isinstance(event, Unstarted)]
        return [cell.identity.seed for event in events for cell in event.cells]

    @property
    def held(self) -> list[int]:
        return [event.cell.identity.seed for event in self.events if isinstance(event, Held)]


def digests(cells: Sequence[Cell]) -> list[str]:
    return [cell.identity.digest for cell in cells]


def test_a_record_without_room_costs_its_own_cell_and_all_others_are_recorded(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlucky = six[2].identity.digest
    disk = FullDisk(monkeypatch, lambda name: name == unlucky)
    heard = Heard(six, tmp_path)
    assert (heard.held, heard.unstarted) == ([2], [])
    end = heard.ends.pop(2)
    assert {end.status for seed, end in heard.ends.items() if seed != 2} == {"done"}
    assert (end.status, end.on_disk, str(tmp_path / "runs") in end.reason) == ("disk-full", False, True)
    assert heard.events[-1] is end  # it was given up when all else was over
    assert len(disk.refused) > 2
    assert [entry.name for entry in (tmp_path / "runs").iterdir() if entry.name.startswith(".")] == []
    assert remaining(six, heard.store) == [six[2]]


def test_a_record_that_finds_room_later_is_written_then_and_its_cell_is_not_run_again(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, begun = six[0].identity.digest, []

    def refuses(name: str) -> bool:
        begun.append(name)
        return name == first and begun.count(first) < 3

    FullDisk(monkeypatch, refuses)
    heard = Heard(six, tmp_path)
    assert heard.held == [0]
    assert {end.status for end in heard.ends.values()} == {"done"}
    assert all(end.on_disk for end in heard.ends.values())
    assert list(heard.ends) == [1, 2, 0, 3, 4, 5]  # tried after each other record
    assert remaining(six, heard.store) == []


def test_without_room_for_a_small_record_no_cell_starts(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [False]

    def refuses(name: str) -> bool:
        full[0] = full[0] or name == six[1].identity.digest
        return full[0]

    FullDisk(monkeypatch, refuses)
    heard = Heard(six, tmp_path)
    assert {seed: end.status for seed, end in heard.ends.items()} == {0: "done", 1: "disk-full"}
    assert heard.unstarted == [2, 3, 4, 5]
    assert remaining(six, heard.store) == six[1:]


@pytest.mark.parametrize(
    ("without_room", "held", "unstarted"),
    [([1, 2, 3, 4, 5], 3, [4, 5]), ([0, 1, 3, 4], 4, [])],  # though a small record would fit
)
def test_three_records_in_a_row_without_room_stop_the_run_and_two_do_not(
    six: list[Cell],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    without_room: list[int],
    held: int,
    unstarted: list[int],
) -> None:
    FullDisk(monkeypatch, lambda name: name in digests([six[seed] for seed in without_room]))
    heard = Heard(six, tmp_path)
    assert (heard.held, heard.unstarted) == (without_room[:held], unstarted)
    assert {seed for seed, end in heard.ends.items() if not end.on_disk} == {*heard.held}


def test_what_was_not_started_is_started_once_there_is_room_again(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes nothing until the last cell was turned away."""
    asked: list[str] = []

    def refuses(name: str) -> bool:
        asked.append(name)
        return asked.count(PROBE) < 6

    FullDisk(monkeypatch, refuses)
    heard = Heard(six, tmp_path)
    assert (heard.held, heard.unstarted) == ([0], [])
    assert [end.status for end in heard.ends.values()] == ["done"] * 6


def test_another_fault_of_the_folder_stops_the_run(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_build", raising(errno.EROFS))
    with pytest.raises(StoreError, match="mounted read-only"):
        Heard(six, tmp_path)


def test_what_stops_the_run_lets_records_that_wait_for_room_be_tried_once_more(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three wait; the listener stops the run at the first of them that is written after all."""
    full = [True]

    def stop(event: RunEvent) -> None:
        if isinstance(event, Held):
            full[0] = event.cell is not six[2]
        if isinstance(event, Ended) and not stopped:
            stopped.append(event.cell)
            raise KeyboardInterrupt

    stopped: list[Cell] = []
    FullDisk(monkeypatch, lambda name: full[0] and name in digests(six[:3]))
    with pytest.raises(KeyboardInterrupt):
        run_cells(six, Store(tmp_path), PLACE, execute=each(finished(six)), on_event=stop)
    assert stopped == [six[0]]
    assert remaining(six, Store(tmp_path)) == six[3:]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moods=st.lists(st.booleans(), max_size=30))
def test_whenever_the_disk_is_full_every_cell_ends_once_and_what_is_told_is_true(
    six: list[Cell], tmp_path_factory: pytest.TempPathFactory, moods: list[bool]
) -> None:
    """The disk is full or not at every single attempt, as ``moods`` says; after that it is not."""
    attempts = iter(moods)
    results = tmp_path_factory.mktemp("moods")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)  # the order of writes matters here, not the disk
        FullDisk(patch, lambda name: next(attempts, False))
        heard = Heard(six, results)
    written = {seed for seed, end in heard.ends.items() if end.on_disk}
    assert {record.identity.seed for record in heard.store.records()} == written
    assert heard.store.problems == []
    assert sorted([*heard.ends, *heard.unstarted]) == [*range(6)]
    assert all(end.status == ("done" if end.on_disk else "disk-full") for end in heard.ends.values())
    assert [entry for entry in (results / "runs").iterdir() if entry.name.startswith(".")] == []


def test_a_worker_that_is_lost_between_its_record_and_its_answer_costs_nothing(
    six: list[Cell], tmp_path: Path
) -> None:
    def record_and_vanish(task: Task) -> Outcome[CellAnswer]:
        done = finished(six)(task).value
        assert done is not None
        Store(tmp_path).put(task.key, done.files or {})
        return Outcome(task, HERE, None, Loss("signal", "its process was killed"), 0.1)

    heard = Heard(six[:1], tmp_path, each(record_and_vanish))
    assert (heard.ends[0].status, heard.ends[0].reason) == ("done", "")


def test_a_record_that_a_worker_finds_no_room_for_is_written_by_the_run(small: Path, tmp_path: Path) -> None:
    """The method `fills` leaves a worker for which every disk is full; the run itself still has room."""
    cells = cells_of(["fills"], small)
    heard = Heard(cells, tmp_path, local_executor(local_slots(1, 1)))
    assert [end.status for end in heard.ends.values()] == ["done"]
    assert [record.identity.method for record in heard.store.records()] == ["fills"]


@pytest.mark.slow
def test_the_record_of_a_cell_that_lost_its_worker_may_find_no_room_either(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = cells_of(["leaves"], small)
    FullDisk(monkeypatch, lambda name: True)
    heard = Heard(cells, tmp_path, local_executor(local_slots(1, 1)))
    (end,) = heard.ends.values()
    assert (end.status, end.on_disk) == ("disk-full", False)
    assert end.reason.startswith("it ended as exited, but not recorded: cannot write results")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("exception", "failed"),
        ("exit", "exited"),
        ("signal", "killed"),
        ("worker", "lost"),
        ("timeout", "timeout"),
        ("memory", "out-of-memory"),
    ],
)
def test_every_way_to_lose_a_worker_is_recorded_with_its_status_and_reason(
    six: list[Cell], tmp_path: Path, kind: LossKind, status: str
) -> None:
    loss = Loss(kind, "what happened to it", traceback="where")
    heard = Heard(six[:1], tmp_path, each(lambda task: Outcome(task, HERE, None, loss, 0.1, "words")))
    (record,) = heard.store.records()
    assert (heard.ends[0].status, record.status) == (status, status)
    assert record.failure == Failure(reason="what happened to it", kind=kind, traceback="where")
    assert heard.store.log(record.digest).startswith("words\n")


def answers(cells: Sequence[Cell], kind: str, model: Mapping[str, bytes] | None = None) -> Executor[Any]:
    """Return an executor whose worker answers for the first cell in the way that ``kind`` names."""
    sound, other = (finished(cells)(Task(digest, "", None)).value for digest in digests(cells[:2]))
    assert sound is not None
    assert other is not None
    files = dict((other if kind == "other cell" else sound).files or {})
    if kind == "path":
        files["../../escaped"] = b"x"
    elif kind == "lacking":
        del files["trace.csv"]
    elif kind == "edited":
        files["record.json"] = files["record.json"].replace(b"done", b"lost", 1)
    elif kind == "empty":
        files = dict.fromkeys(files, b"")
    elif kind == "nested":
        files["record.json"] = b"[" * 100_000
    sent = None if kind == "claimed" else files
    answer = CellAnswer("failed" if kind == "status" else "done", "", sent, model=model)
    return each(lambda task: Outcome(task, HERE, answer, None, 0.1))


@pytest.mark.parametrize(
    "kind", ["other cell", "path", "lacking", "edited", "empty", "nested", "status", "claimed"]
)
def test_a_record_from_another_machine_is_not_believed(six: list[Cell], tmp_path: Path, kind: str) -> None:
    heard = Heard(six[:1], tmp_path / "a" / "r", answers(six, kind))
    (record,) = heard.store.records()
    assert (heard.ends[0].status, record.status) == ("lost", "lost")
    assert "its worker" in heard.ends[0].reason
    assert [entry.name for entry in tmp_path.rglob("*") if entry.name == "escaped"] == []
    assert remaining(six[:1], heard.store, ["failed"]) == six[:1]


def model_of(cell: Cell) -> dict[str, bytes]:
    card = ModelCard(
        identity=cell.identity,
        modalities={"image": ModelModality(width=2)},
        n_classes=3,
        classes=[],
        selected=None,
        facts={},
        versions={},
        reason="not stored yet",
    )
    return model_files(card, State({"weights": np.eye(2)}))


def test_a_model_comes_with_its_record_from_another_machine(six: list[Cell], tmp_path: Path) -> None:
    heard = Heard(six[:1], tmp_path, answers(six, "sound", model_of(six[0])))
    card, state = read_model(heard.store.models.root / six[0].identity.digest)
    assert state is not None
    assert (card.reason, state.arrays["weights"].tolist()) == ("", [[1, 0], [0, 1]])
    assert remaining(six[:2], heard.store, keep_models=True) == six[1:2]
    unsent = without_arrays(model_of(six[1]), "too much")
    heard.store.models.put(six[1].identity.digest, unsent)
    assert heard.store.models.tally(digests(six))[2] == {six[1].identity.digest: "too much"}


@pytest.mark.parametrize("kind", ["other cell", "path", "edited"])
def test_a_model_from_another_machine_is_not_believed(six: list[Cell], tmp_path: Path, kind: str) -> None:
    model = model_of(six[1 if kind == "other cell" else 0])
    model |= {"../../escaped": b"x"} if kind == "path" else {}
    model |= {ARRAYS: model[ARRAYS][:-1]} if kind == "edited" else {}
    heard = Heard(six[:1], tmp_path / "a" / "r", answers(six, "sound", model))
    assert heard.ends[0].status == "lost"
    assert not heard.store.models.digests()
    assert not [*tmp_path.rglob("escaped")]


def test_a_full_disk_leaves_neither_model_nor_record(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = folders._build

    def refuse(folder: Path, files: Any) -> None:
        if ARRAYS in files:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        build(folder, files)

    monkeypatch.setattr(folders, "_build", refuse)
    heard = Heard(six[:1], tmp_path, answers(six, "sound", model_of(six[0])))
    assert heard.ends[0].status == "disk-full"
    assert (heard.store.models.digests(), [*heard.store.records()]) == ([], [])


def test_a_method_whose_plugin_cannot_be_imported_is_left_out_and_the_others_run(
    six: list[Cell], tmp_path: Path, small: Path
) -> None:
    twins = cells_of(["twin"], small, seeds=range(3))
    loss, sound = Loss("import", "the method plain cannot be imported"), finished(twins)

    def outcome(task: Task) -> Outcome[CellAnswer]:
        return Outcome(task, HERE, None, loss, 60.0) if task.key in digests(six) else sound(task)

    heard = Heard([*six, *twins], tmp_path, each(outcome))
    left_out = [event.cell for event in heard.events if isinstance(event, LeftOut)]
    assert left_out == six
    assert {record.identity.method for record in heard.store.records()} == {"twin"}
    assert heard.count == 3
