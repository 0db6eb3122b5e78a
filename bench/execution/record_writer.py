"""Records cells as they end. A full disk costs only the cells whose records have no room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bench.contract.errors import DataError
from bench.execution.cell_task import CellAnswer, run_cell_task
from bench.execution.claimed_tasks import ClaimedTasks
from bench.execution.data_check import forget_data
from bench.execution.progress import Ended, Held
from bench.execution.tasks import Loss, LossKind, Outcome
from bench.experiment.cell import lost as record_of_lost
from bench.experiment.grid import Cell
from bench.experiment.run_context import RunContext
from bench.records.encoding import Damaged
from bench.records.files import record_files, verified_files
from bench.records.folders import DiskFull, StoreError, has_room, seems_free
from bench.records.models import verified_model
from bench.records.schema import Failure, Status
from bench.records.store import Store

STATUS_OF: Final[dict[LossKind, Status]] = {
    "exception": "failed",
    "memory": "out-of-memory",
    "exit": "exited",
    "signal": "killed",
    "timeout": "timeout",
    "worker": "lost",
    "import": "failed",
}
"""Status of a cell or trial by the loss of its task."""

_IN_A_ROW: Final = 3  # records in a row without room, after which no cell starts
_ROOM: Final = 64 << 10  # bytes of a small record, without room for which no cell starts
_LARGEST: Final = 1 << 30  # bytes of the largest record, with its model, that another machine may send


def reason_of(loss: Loss, seconds: float | None) -> str:
    """Return why a task was lost, in one sentence; ``seconds`` is the time limit of the options."""
    if loss.kind == "timeout" and seconds is not None:
        return f"it went on after its time limit of {seconds:g} s and was stopped"
    return loss.reason


@dataclass(frozen=True)
class _Unwritten:
    """An ended cell with the files of its record and model, which are not written yet."""

    ended: Ended
    files: Mapping[str, bytes]
    refusal: str
    model: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(kw_only=True)
class RecordWriter(ClaimedTasks):
    """Runs cells and writes their records.

    A record without room stays in memory. It is tried again after every other record and at the end of the
    run; then its cell ends as `disk-full` without a file on the disk, and the next run makes it again.

    Attributes:
        ended: number of cells that have ended.
    """

    work = staticmethod(run_cell_task)
    store: Store
    context: RunContext
    ended: int = 0
    _unwritten: list[_Unwritten] = field(default_factory=list)
    _refused: int = 0

    def keep(self, outcome: Outcome[CellAnswer]) -> None:
        """Record a cell whose task has ended.

        Raises:
            StoreError: if the folder cannot be written for any reason but a full disk.
        """
        cell, answer, loss = self.cells[outcome.task.key], outcome.value, outcome.lost
        if answer is not None:
            if answer.data_changed:
                forget_data(cell.source, self.store.root, self.context.data_dir, cell.identity.profile)
            loss = self._check_answer(outcome.task.key, answer)
            if loss is None:
                ended = Ended(cell, answer.status, answer.reason, outcome.seconds)
                item = _Unwritten(ended, answer.files or {}, "", answer.model or {})
                self._write(item) if item.files else self._written(ended)
                return
        assert loss is not None
        if loss.exception == StoreError.__name__:
            # Not a fault of the cell: without a record it runs again next time.
            raise StoreError(loss.reason.removeprefix(f"{StoreError.__name__}: "))
        if answer is None and self.claims.recorded(outcome.task.key):
            self._written(self._recorded(cell))  # its worker was lost between record and answer
            return
        status, reason = STATUS_OF[loss.kind], reason_of(loss, self.context.seconds)
        failure = Failure(reason=reason, kind=loss.kind, traceback=loss.traceback)
        lost = record_of_lost(cell, self.context, status, failure, outcome.seconds, outcome.output)
        files = record_files(lost.record, lost.per_query, lost.trace, lost.log)
        self._write(_Unwritten(Ended(cell, status, reason, outcome.seconds), files, ""))

    def take_over(self, digest: str) -> None:
        """Report a cell that another run has recorded."""
        self._report(replace(self._recorded(self.cells[digest]), elsewhere=True))

    def may_start(self) -> bool:
        """Return whether the disk has room for a further cell.

        If little is free, or the last record had no room, this writes a small file to find out; after several
        records in a row without room no cell starts.
        """
        if self._refused == 0 and seems_free(self.store.runs) >= _ROOM:
            return True
        return self._refused < _IN_A_ROW and has_room(self.store.runs, _ROOM)

    def try_again(self) -> None:
        """Write records that had no room before."""
        for item in [*self._unwritten]:
            if not self._put(item):
                # Removed before it is reported: the event handler may stop the run.
                self._unwritten.remove(item)
                self._refused = 0
                self._report(item.ended)

    def settle(self) -> None:
        """Try the remaining records a last time; their cells end as ``disk-full``."""
        self.try_again()
        while self._unwritten:
            item = self._unwritten.pop(0)
            how = "it was done" if item.ended.status == "done" else f"it ended as {item.ended.status}"
            reason = f"{how}, but not recorded: {item.refusal}"
            self._report(replace(item.ended, status="disk-full", reason=reason, on_disk=False))

    def _check_answer(self, digest: str, answer: CellAnswer) -> Loss | None:
        """Return the fault of an answer; None if it is sound."""
        if answer.files is None:
            if self.claims.recorded(digest):
                return None
            return Loss("worker", "its worker reports a record that is not there")
        if sum(map(len, (*answer.files.values(), *(answer.model or {}).values()))) > _LARGEST:
            return Loss("worker", f"its worker sent a record of more than {_LARGEST >> 20} MB")
        try:
            record = verified_files(digest, answer.files)
            if answer.model:
                verified_model(digest, answer.model)
        except (DataError, Damaged) as error:
            return Loss("worker", f"its worker sent a damaged record: {error}")
        if record.status != answer.status:
            return Loss("worker", f"its worker reports {answer.status}, but its record has {record.status}")
        return None

    def _write(self, item: _Unwritten) -> None:
        refusal = self._put(item)
        if refusal:
            self._refused += 1
            self._unwritten.append(replace(item, refusal=refusal))
            self.on_event(Held(item.ended.cell, refusal))
        else:
            self._written(item.ended)

    def _put(self, item: _Unwritten) -> str:
        """Write the files; return the error if there is no room, else an empty text."""
        digest = item.ended.cell.identity.digest
        try:
            if item.model:
                self.store.models.put(digest, item.model)
            self.store.put(digest, item.files)
        except DiskFull as error:
            return str(error)
        return ""

    def _written(self, ended: Ended) -> None:
        self._refused = 0
        self._report(ended)
        self.try_again()

    def _report(self, ended: Ended) -> None:
        self.claims.release(ended.cell.identity.digest)
        self.ended += not ended.elsewhere
        self.on_event(ended)

    def _recorded(self, cell: Cell) -> Ended:
        try:
            record = self.store.read(cell.identity.digest)
        except DataError:  # removed or damaged meanwhile: the next run makes it again
            return Ended(cell, "lost", "it was recorded, but its record was removed or damaged", 0.0)
        reason = "" if record.failure is None else record.failure.reason
        return Ended(cell, record.status, reason, record.environment.seconds.get("total", 0.0))
