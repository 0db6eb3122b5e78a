"""Records of cells as they end: full disks, lost workers, and answers of other machines."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
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

CONTEXT = RunContext(plugins=(str(FAULTS),))


pytestmark = pytest.mark.usefixtures("faults")


@pytest.fixture(scope="module")
def six(small: Path) -> list[Cell]:
    return cells_of(["plain"], small, seeds=range(6))


class Ran:
    """The events of a run of cells; by default they end at once and without any work."""

    def __init__(self, cells: Sequence[Cell], results: Path, execute: Executor[Any] | None = None) -> None:
        self.events: list[RunEvent] = []
        self.store = Store(results)
        execute = execute or each(finished(cells))
        self.count = run_cells(cells, self.store, CONTEXT, execute=execute, on_event=self.events.append)

    @property
    def ends(self) -> dict[int, Ended]:
        """Return the ends by seed; there is one per cell."""
        ends = [event for event in self.events if isinstance(event, Ended)]
        by_seed = {end.cell.identity.seed: end for end in ends}
        assert len(by_seed) == len(ends) == self.count
        return by_seed

    @property
    def unstarted(self) -> list[int]:
        events = [event for event in self.events if isinstance(event, Unstarted)]
        return [cell.identity.seed for event in events for cell in event.cells]

    @property
    def held(self) -> list[int]:
        return [event.cell.identity.seed for event in self.events if isinstance(event, Held)]


def digests(cells: Sequence[Cell]) -> list[str]:
    return [cell.identity.digest for cell in cells]


@pytest.mark.parametrize(
    ("without_room", "held", "unstarted"),
    [
        ([2], [2], []),
        ([1, 2, 3, 4, 5], [1, 2, 3], [4, 5]),  # though a small record would fit
        ([0, 1, 3, 4], [0, 1, 3, 4], []),  # no three in a row
    ],
)
def test_records_without_room_cost_their_cells_and_three_in_a_row_stop_the_run(
    six: list[Cell],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    without_room: list[int],
    held: list[int],
    unstarted: list[int],
) -> None:
    disk = FullDisk(monkeypatch, lambda name: name in digests([six[seed] for seed in without_room]))
    ran = Ran(six, tmp_path)
    assert (ran.held, ran.unstarted) == (held, unstarted)
    for seed, end in ran.ends.items():
        expected = ("disk-full", False, True) if seed in held else ("done", True, False)
        assert (end.status, end.on_disk, str(tmp_path / "runs") in end.reason) == expected
    assert isinstance(last := ran.events[-1], Ended)
    assert last.cell is six[held[-1]]  # given up at the end of the run
    assert len(disk.refused) > 2 * len(held)
    assert [entry.name for entry in (tmp_path / "runs").iterdir() if entry.name.startswith(".")] == []
    assert remaining(six, ran.store) == [six[seed] for seed in sorted(held + unstarted)]


def test_a_record_that_has_room_later_is_written_and_its_cell_does_not_run_again(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, written = six[0].identity.digest, list[str]()

    def refuses(name: str) -> bool:
        written.append(name)
        return name == first and written.count(first) < 3

    FullDisk(monkeypatch, refuses)
    ran = Ran(six, tmp_path)
    assert ran.held == [0]
    assert {(end.status, end.on_disk) for end in ran.ends.values()} == {("done", True)}
    assert list(ran.ends) == [1, 2, 0, 3, 4, 5]  # tried after each other record
    assert remaining(six, ran.store) == []


def test_without_room_for_a_small_record_no_cell_starts(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [False]

    def refuses(name: str) -> bool:
        full[0] = full[0] or name == six[1].identity.digest
        return full[0]

    FullDisk(monkeypatch, refuses)
    ran = Ran(six, tmp_path)
    assert {seed: end.status for seed, end in ran.ends.items()} == {0: "done", 1: "disk-full"}
    assert ran.unstarted == [2, 3, 4, 5]
    assert remaining(six, ran.store) == six[1:]


def test_cells_that_did_not_start_start_once_there_is_room_again(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full until the last cell was not admitted."""
    written: list[str] = []

    def refuses(name: str) -> bool:
        written.append(name)
        return written.count(PROBE) < 6

    FullDisk(monkeypatch, refuses)
    ran = Ran(six, tmp_path)
    assert (ran.held, ran.unstarted) == ([0], [])
    assert [end.status for end in ran.ends.values()] == ["done"] * 6


def test_another_fault_of_the_folder_stops_the_run(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_build", raising(errno.EROFS))
    with pytest.raises(StoreError, match="read-only"):
        Ran(six, tmp_path)


def test_before_a_run_is_stopped_records_that_wait_for_room_are_tried_once_more(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three wait; the event handler stops the run at the first of them that is written."""
    full, stopped = [True], list[Cell]()

    def stop(event: RunEvent) -> None:
        if isinstance(event, Held):
            full[0] = event.cell is not six[2]
        if isinstance(event, Ended) and not stopped:
            stopped.append(event.cell)
            raise KeyboardInterrupt

    FullDisk(monkeypatch, lambda name: full[0] and name in digests(six[:3]))
    with pytest.raises(KeyboardInterrupt):
        run_cells(six, Store(tmp_path), CONTEXT, execute=each(finished(six)), on_event=stop)
    assert stopped == [six[0]]
    assert remaining(six, Store(tmp_path)) == six[3:]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(full=st.lists(st.booleans(), max_size=30))
def test_whenever_the_disk_is_full_every_cell_ends_once_and_as_reported(
    six: list[Cell], tmp_path_factory: pytest.TempPathFactory, full: list[bool]
) -> None:
    """``full`` is the state of the disk at each attempt; later it has room."""
    attempts = iter(full)
    results = tmp_path_factory.mktemp("full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)  # the order of writes matters here, not the disk
        FullDisk(patch, lambda name: next(attempts, False))
        ran = Ran(six, results)
    written = {seed for seed, end in ran.ends.items() if end.on_disk}
    assert {record.identity.seed for record in ran.store.records()} == written
    assert ran.store.problems == []
    assert sorted([*ran.ends, *ran.unstarted]) == [*range(6)]
    assert all(end.status == ("done" if end.on_disk else "disk-full") for end in ran.ends.values())
    assert [entry for entry in (results / "runs").iterdir() if entry.name.startswith(".")] == []


def test_a_worker_that_is_lost_between_its_record_and_its_answer_costs_no_cell(
    six: list[Cell], tmp_path: Path
) -> None:
    def record_and_vanish(task: Task) -> Outcome[CellAnswer]:
        done = finished(six)(task).value
        assert done is not None
        Store(tmp_path).put(task.key, done.files or {})
        return Outcome(task, HERE, None, Loss("signal", "its process was killed"), 0.1)

    ran = Ran(six[:1], tmp_path, each(record_and_vanish))
    assert (ran.ends[0].status, ran.ends[0].reason) == ("done", "")


def test_a_record_that_a_worker_cannot_write_is_written_by_the_run(small: Path, tmp_path: Path) -> None:
    """In the worker of the method `fills` every write fails; in this process none does."""
    words = ("ENOSPC", "EFBIG")
    cells = [cell for seed in (0, 1) for cell in cells_of(["fills"], small, seeds=[seed], word=words[seed])]
    ran = Ran(cells, tmp_path, local_executor(local_slots(1, 1)))
    assert [end.status for end in ran.ends.values()] == ["done"] * 2
    assert [record.identity.method for record in ran.store.records()] == ["fills"] * 2


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
@pytest.mark.parametrize("full", [False, True])
def test_every_loss_of_a_worker_is_recorded_with_its_status_and_reason_if_there_is_room(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: LossKind, status: str, full: bool
) -> None:
    FullDisk(monkeypatch, lambda name: full)
    loss = Loss(kind, "the cause", traceback="frames")
    ran = Ran(six[:1], tmp_path, each(lambda task: Outcome(task, HERE, None, loss, 0.1, "words")))
    (end,) = ran.ends.values()
    if full:
        assert (end.status, end.on_disk, [*ran.store.records()]) == ("disk-full", False, [])
        assert f"it ended as {status}, but not recorded" in end.reason
        return
    (record,) = ran.store.records()
    assert (end.status, record.status) == (status, status)
    assert record.failure == Failure(reason="the cause", kind=kind, traceback="frames")
    assert ran.store.log(record.digest).startswith("words\n")


def answering(cells: Sequence[Cell], seed: int = 0, **fields: Any) -> Executor[Any]:
    """Return an executor whose worker sends the sound answer of a cell with some fields changed."""
    sound = finished(cells)(Task(cells[seed].identity.digest, "", None)).value
    assert sound is not None
    answer = replace(
        sound, **{name: field(sound) if callable(field) else field for name, field in fields.items()}
    )
    return each(lambda task: Outcome(task, HERE, answer, None, 0.1))


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


FORGED: dict[str, dict[str, Any]] = {
    "path": {"../../escaped": b"x"},
    "no trace": {"trace.csv": None},
    "edited": {"record.json": lambda content: content.replace(b"done", b"lost", 1)},
    "empty": {"record.json": b"", "per_query.npz": b""},
    "nested": {"record.json": b"[" * 100_000},
    "short": {ARRAYS: lambda content: content[:-1]},
}
"""Other content of files; None for a missing one."""


def forged(files: Mapping[str, bytes], kind: str) -> dict[str, bytes]:
    changes = {name: new(files[name]) if callable(new) else new for name, new in FORGED[kind].items()}
    return {name: content for name, content in {**files, **changes}.items() if content is not None}


@pytest.mark.parametrize(
    "answer",
    [
        *({"files": kind} for kind in ("path", "no trace", "edited", "empty", "nested")),
        *({"model": kind} for kind in ("path", "short")),
        {"seed": 1},
        {"model of": 1},
        {"status": "failed"},
        {"files": None},  # its record is not on the disk
    ],
)
def test_a_record_or_model_from_another_machine_is_refused_unless_it_is_sound(
    six: list[Cell], tmp_path: Path, answer: dict[str, Any]
) -> None:
    fields = dict(answer)
    if fields.get("files"):
        fields["files"] = lambda sound: forged(sound.files, answer["files"])
    if "model" in fields:
        fields["model"] = forged(model_of(six[0]), fields["model"])
    if "model of" in fields:
        fields["model"] = model_of(six[fields.pop("model of")])
    ran = Ran(six[:1], tmp_path / "a" / "r", answering(six, **fields))
    (record,) = ran.store.records()
    assert (ran.ends[0].status, record.status) == ("lost", "lost")
    assert "its worker" in ran.ends[0].reason
    assert not ran.store.models.digests()
    assert not [*tmp_path.rglob("escaped")]
    assert remaining(six[:1], ran.store, ["failed"]) == six[:1]


def test_a_model_comes_with_its_record_from_another_machine(six: list[Cell], tmp_path: Path) -> None:
    ran = Ran(six[:1], tmp_path, answering(six, model=model_of(six[0])))
    card, state = read_model(ran.store.models.root / six[0].identity.digest)
    assert state is not None
    assert (card.reason, state.arrays["weights"].tolist()) == ("", [[1, 0], [0, 1]])
    assert remaining(six[:2], ran.store, keep_models=True) == six[1:2]
    ran.store.models.put(six[1].identity.digest, without_arrays(model_of(six[1]), "too much"))
    assert ran.store.models.totals(digests(six))[2] == {six[1].identity.digest: "too much"}


def test_a_full_disk_leaves_neither_model_nor_record(
    six: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = folders._build

    def refuse(folder: Path, files: Any) -> None:
        if ARRAYS in files:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        build(folder, files)

    monkeypatch.setattr(folders, "_build", refuse)
    ran = Ran(six[:1], tmp_path, answering(six, model=model_of(six[0])))
    assert ran.ends[0].status == "disk-full"
    assert (ran.store.models.digests(), [*ran.store.records()]) == ([], [])


def test_a_method_whose_plugin_cannot_be_imported_is_left_out_and_the_others_run(
    six: list[Cell], tmp_path: Path, small: Path
) -> None:
    twins = cells_of(["twin"], small, seeds=range(3))
    loss, sound = Loss("import", "the method plain cannot be imported"), finished(twins)

    def outcome(task: Task) -> Outcome[CellAnswer]:
        return Outcome(task, HERE, None, loss, 60.0) if task.key in digests(six) else sound(task)

    ran = Ran([*six, *twins], tmp_path, each(outcome))
    assert [event.cell for event in ran.events if isinstance(event, LeftOut)] == six
    assert {record.identity.method for record in ran.store.records()} == {"twin"}
    assert ran.count == 3
