"""A results folder on a disk that is full on request, and an executor without any work."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.execution.cell_task import CellAnswer
from bench.execution.tasks import Executor, OnEvent, Outcome, Slot, Task
from bench.experiment.grid import Cell
from bench.records import Record, folders
from bench.records.files import record_files
from tests.records import making

HERE = Slot("here", "cpu", 1)
PROBE = "a small record"


class FullDisk:
    """Refuses some of what is written into the folder of the records.

    Attributes:
        refused: digests of the cells whose records it refused, or `PROBE` for a test whether there is room.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refuses: Callable[[str], bool]) -> None:
        """Call ``refuses`` before each write."""
        self.refused: list[str] = []
        self._refuses = refuses
        self._build = folders._build
        monkeypatch.setattr(folders, "_build", self._write)

    def _write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        name = msgspec.json.decode(files["record.json"], type=Record).digest if len(files) > 1 else PROBE
        if self._refuses(name):
            self.refused.append(name)
            folder.mkdir()  # there is room for a directory, but not for a file
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._build(folder, files)


def each(outcome: Callable[[Task], Outcome[CellAnswer]]) -> Executor[CellAnswer]:
    """Return an executor in which every task that is admitted ends as given."""

    def execute(
        tasks: Sequence[Task], work: Callable[[Any], Any], on_event: OnEvent
    ) -> Generator[Outcome[CellAnswer], None, None]:
        for task in tasks:
            admitted = task.admit()
            yield outcome(task) if admitted else Outcome(task, HERE, None, None, 0.0, skipped=True)

    return execute


def finished(cells: Sequence[Cell]) -> Callable[[Task], Outcome[CellAnswer]]:
    """Return a function that gives a task of these cells a finished record, as sent by another machine."""
    by_digest = {cell.identity.digest: cell for cell in cells}

    def outcome(task: Task) -> Outcome[CellAnswer]:
        record = msgspec.structs.replace(making.record(), identity=by_digest[task.key].identity)
        files = record_files(record, making.per_query(), making.TRACE, "")
        return Outcome(task, HERE, CellAnswer("done", "", files), None, 0.1)

    return outcome
