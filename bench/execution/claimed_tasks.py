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

_PAUSE: Final = 0.3  # seconds between two looks at what other processes are doing


@dataclass(kw_only=True)
class ClaimedTasks(ABC):
    """Runs tasks, each named by a digest that this process claims before it starts.

    A method whose plug-in ends or hangs when it is imported is left out, with all its tasks.

    Attributes:
        work: what a worker does with the payload of a task.
        cells: of the tasks, by digest.
        on_event: receives starts, progress, and which tasks are waited for or left out.
        stop: asked often; once it returns True no task starts any more.
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
        """Keep the outcome of a task that was run."""

    @abstractmethod
    def take_over(self, digest: str) -> None:
        """Take what another process has recorded of a task."""

    def may_start(self) -> bool:
        """Return whether any task may start now."""
        return True

    def admit(self, digest: str) -> bool:
        """Return whether a task may start, and claim it then."""
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
            return [outcome.task for outcome in outcomes if self._is_put_aside(outcome)]

    def _is_put_aside(self, outcome: Outcome[Any]) -> bool:
        """Deal with the end of a task; return whether it is put aside for later."""
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

    def wait(self, aside: Sequence[Task]) -> list[Task]:
        """Wait while other processes have all tasks; returns what is left once some are free."""
        left, before = [*aside], 0
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
