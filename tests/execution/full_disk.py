"""A disk of the results that is full when a test says so, and an execution that needs no time."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.execution.cell_task import CellAnswer
from bench.execution.tasks import OnEvent, Outcome, Slot, Task
from bench.experiment.grid import Cell
from bench.records import Record, folders
from bench.records.files import record_files
from tests.records import making

HERE = Slot("here", "cpu", 1)
PROBE = "a small record"


class FullDisk:
    """Refuses some of what is written into the folder of the records.

    Attributes:
        refused: what it refused: digests of cells, or `PROBE` for a look whether there is room.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refuses: Callable[[str], bool]) -> None:
        """Ask ``refuses`` of everything that is about to be written."""
        self.refused: list[str] = []
        self._refuses = refuses
        self._build = folders._build
        monkeypatch.setattr(folders, "_build", self._write)

    def _write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        name = msgspec.json.decode(files["record.json"], type=Record).digest if len(files) > 1 else PROBE
        if self._refuses(name):
            self.refused.append(name)
            folder.mkdir()  # as a disk does that has room for a directory, but for no file
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._build(folder, files)


def at_once(cells: Sequence[Cell]) -> Any:
    """Return an executor that hands back a finished record for every cell, as if from another machine."""
    records = {
        cell.identity.digest: msgspec.structs.replace(making.record(), identity=cell.identity)
        for cell in cells
    }

    def execute(
        tasks: Sequence[Task], work: Callable[[Any], Any], on_event: OnEvent
    ) -> Generator[Outcome[CellAnswer], None, None]:
        for task in tasks:
            if not task.admit():
                yield Outcome(task, HERE, None, None, 0.0, skipped=True)
                continue
            files = record_files(records[task.key], making.per_query(), making.TRACE, "")
            yield Outcome(task, HERE, CellAnswer("done", "", files), None, 0.1)

    return execute
