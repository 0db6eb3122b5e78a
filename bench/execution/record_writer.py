"""Records cells as they end. A full disk costs the cells whose records find no room, and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.contract.errors import BenchError, DataError
from bench.data.fingerprint import CACHE_NAME, forget_digests
from bench.data.source import source_of
from bench.execution.cell_task import CellAnswer
from bench.execution.progress import Ended, Held, RunEvent
from bench.execution.status_mapping import reason_of, status_of
from bench.execution.tasks import Outcome
from bench.experiment.cell import lost as record_of_lost
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext
from bench.records.claims import Claims
from bench.records.folders import DiskFull, StoreError, has_room, seems_free
from bench.records.schema import Failure
from bench.records.store import Store, record_files

_IN_A_ROW: Final = 3
"""So many records in a row that found no room: then no cell starts any more."""

_ROOM: Final = 64 << 10
"""Bytes of a small record: with less room no cell starts."""


@dataclass(frozen=True)
class _Unwritten:
    """What would be told of a cell, and its record's files, for which there was no room."""

    ended: Ended
    files: Mapping[str, bytes]
    refusal: str


def forget_data(cell: Cell, results: Path, place: RunContext) -> None:
    """Forget the digests that a cell was planned with, since its data is another: the next run reads it."""
    with suppress(BenchError):  # the data may be gone by now; then there is nothing to mistake it for
        forget_digests(source_of(cell.source, place.data_dir).files.values(), results / CACHE_NAME)


class RecordWriter:
    """Writes the records of one run, in the thread that runs it.

    A record that finds no room stays in memory. It is tried again after every other record and at the end of
    the run; then its cell is given up, as `disk-full`, and nothing of it is on the disk: the next run makes
    it again.

    Attributes:
        ended: how many cells have come to their end.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        store: Store,
        place: RunContext,
        claims: Claims,
        on_event: Callable[[RunEvent], None],
    ) -> None:
        """Record into ``store`` what becomes of ``cells``, given by their digests."""
        self.ended = 0
        self._cells = cells
        self._store = store
        self._place = place
        self._claims = claims
        self._on_event = on_event
        self._unwritten: list[_Unwritten] = []
        self._refused = 0

    def take(self, outcome: Outcome[CellAnswer]) -> None:
        """Record a cell whose task has ended.

        Raises:
            StoreError: if the folder cannot be written for any reason but a full disk.
        """
        ended, files = self._judge(outcome)
        if files is None:
            self._written(ended)
        else:
            self._write(_Unwritten(ended, files, ""))

    def tell_of_another_run(self, cell: Cell) -> None:
        """Tell of a cell that another run has recorded."""
        self._tell(replace(self._recorded(cell), elsewhere=True))

    def may_start(self) -> bool:
        """Tell whether a cell may start, as far as the disk is concerned; from any thread.

        Hours of work are not worth starting if nothing of them can be kept: where little is free, or a record
        was refused, a small one must find room first, and after some refusals in a row no cell starts.
        """
        if self._refused == 0 and seems_free(self._store.runs) >= _ROOM:
            return True
        return self._refused < _IN_A_ROW and has_room(self._store.runs, _ROOM)

    def try_again(self) -> None:
        """Write what found no room before and does now."""
        for item in [*self._unwritten]:
            if not self._put(item):
                # Taken out before it is told: whoever listens may stop the run.
                self._unwritten.remove(item)
                self._refused = 0
                self._tell(item.ended)

    def settle(self) -> None:
        """Try a last time, and give up what finds no room."""
        self.try_again()
        while self._unwritten:
            item = self._unwritten.pop(0)
            how = "it was done" if item.ended.status == "done" else f"it ended as {item.ended.status}"
            reason = f"{how}, but not recorded: {item.refusal}"
            self._tell(replace(item.ended, status="disk-full", reason=reason, on_disk=False))

    def _write(self, item: _Unwritten) -> None:
        refusal = self._put(item)
        if refusal:
            self._refused += 1
            self._unwritten.append(replace(item, refusal=refusal))
            self._on_event(Held(item.ended.cell, refusal))
        else:
            self._written(item.ended)

    def _put(self, item: _Unwritten) -> str:
        """Return why there was no room; empty if it is written."""
        try:
            self._store.put(item.ended.cell.identity.digest, item.files)
        except DiskFull as error:
            return str(error)
        return ""

    def _written(self, ended: Ended) -> None:
        self._refused = 0
        self._tell(ended)
        self.try_again()

    def _tell(self, ended: Ended) -> None:
        self._claims.release(ended.cell.identity.digest)
        self.ended += not ended.elsewhere
        self._on_event(ended)

    def _judge(self, outcome: Outcome[CellAnswer]) -> tuple[Ended, Mapping[str, bytes] | None]:
        """Return how a cell ended, and the files of its record where that is not written yet."""
        cell, worked, loss = self._cells[outcome.task.key], outcome.value, outcome.lost
        if worked is not None:
            if worked.data_changed:
                forget_data(cell, self._store.root, self._place)
            return Ended(cell, worked.status, worked.reason, outcome.seconds), worked.files
        assert loss is not None
        if loss.exception == StoreError.__name__:
            # The worker could not write: not the cell's fault, so it gets no record and runs again next time.
            raise StoreError(loss.reason.removeprefix(f"{StoreError.__name__}: "))
        if self._claims.recorded(outcome.task.key):  # the worker was lost between its record and its answer
            return self._recorded(cell), None
        status, reason = status_of(loss), reason_of(loss, self._place.seconds)
        failure = Failure(reason=reason, kind=loss.kind, traceback=loss.traceback)
        made = record_of_lost(cell, self._place, status, failure, outcome.seconds, outcome.output)
        files = record_files(made.record, made.per_query, made.trace, made.log)
        return Ended(cell, status, reason, outcome.seconds), files

    def _recorded(self, cell: Cell) -> Ended:
        try:
            record = self._store.read(cell.identity.digest)
        except DataError:  # removed or damaged just now: the next run sees to that
            return Ended(cell, "lost", "it was recorded, but its record is gone or damaged", 0.0)
        reason = "" if record.failure is None else record.failure.reason
        return Ended(cell, record.status, reason, record.environment.seconds.get("total", 0.0))
