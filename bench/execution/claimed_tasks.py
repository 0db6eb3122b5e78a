"""Claims of tasks: several processes that share a folder run each task once."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from bench.execution.progress import LeftOut, Waiting
from bench.execution.tasks import Executor, Outcome, Task
from bench.experiment.grid import Cell
from bench.records.locks import Claims

_PAUSE: Final = 0.3  # seconds between two attempts to claim the tasks of other processes


@dataclass(kw_only=True)
class ClaimedTasks(ABC):
    """Runs tasks, whose keys are digests that this process claims before they start.

    A method whose plug-in ends or hangs when it is imported is left out, with all its tasks.

    Attributes:
        work: the work function.
        cells: of the tasks, by digest.
        on_event: receives events of tasks, `Waiting` and `LeftOut`.
        stop: once it returns True no further task starts.
        left_out: why methods were left out, by their names.
    """

    work: ClassVar[staticmethod[[Any], Any]]
    cells: dict[str, Cell]
    claims: Claims
    on_event: Callable[[Any], None]
    stop: Callable[[], bool] = lambda: False
    left_out: dict[str, str] = field(default_factory=dict)

    @abstractmethod
    def keep(self, outcome: Outcome[Any]) -> None:
        """Record the outcome of a task."""

    @abstractmethod
    def take_over(self, digest: str) -> None:
        """Use the record of another process for a task."""

    def may_start(self) -> bool:
        """Return whether any task may start now."""
        return True

    def admit(self, digest: str) -> bool:
        """Return whether a task may start, and claim it if so."""
        return (
            not self.stop()
            and self.cells[digest].identity.method not in self.left_out
            and self.may_start()
            and self.claims.take(digest) == "mine"
        )

    def run(self, tasks: Sequence[Task], execute: Executor[Any]) -> list[Task]:
        """Run the tasks that may start; returns those that another process has."""
        # Ctrl-C stops the workers here, not when the iterator is collected.
        with closing(execute(tasks, self.work, self.on_event)) as outcomes:
            return [outcome.task for outcome in outcomes if self._is_left(outcome)]

    def _is_left(self, outcome: Outcome[Any]) -> bool:
        """Record the end of a task; return whether another process has claimed it."""
        digest = outcome.task.key
        cell = self.cells[digest]
        method = cell.identity.method
        if outcome.lost is not None and outcome.lost.kind == "import":
            self.left_out.setdefault(method, outcome.lost.reason)
        elif not outcome.skipped:
            self.keep(outcome)
            return False
        elif self.claims.recorded(digest):
            self.take_over(digest)
            return False
        if method not in self.left_out:
            return True
        self.claims.release(digest)
        self.on_event(LeftOut(cell, self.left_out[method]))
        return False

    def wait(self, tasks: Sequence[Task]) -> list[Task]:
        """Wait while other processes have claimed all tasks; returns unrecorded tasks once some are free."""
        left, before = [*tasks], 0
        while left and not self.stop():
            states = {task.key: self.claims.take(task.key) for task in left}
            for digest, state in states.items():
                if state == "recorded":
                    self.take_over(digest)
            left = [task for task in left if states[task.key] != "recorded"]
            if "mine" in states.values():
                return left
            if len(left) != before:
                before = len(left)
                self.on_event(Waiting([self.cells[task.key] for task in left]))
            if left:
                time.sleep(_PAUSE)
        return []
