"""The plain display of a run: a line for each event that a log mentions."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from bench.cli.formatting import and_more, first_line, printable
from bench.execution.progress import Ended, Held, Planned, RunEvent, RunProgress, Unstarted, Waiting
from bench.execution.tasks import Notice, Retried
from bench.experiment.grid import Cell

STOPPING: Final = "stopping: cells that run may finish; Ctrl-C again abandons them"
"""Printed after the first Ctrl-C."""

_STDERR: Final = 2


class Display:
    """Counts the events of a run, and writes a plain line for each that `line_of` mentions.

    It keeps the standard output of its creation: a cell in this process redirects output to its log.

    Attributes:
        interrupted: whether Ctrl-C was pressed.
        unread: whether the output is closed.
    """

    def __init__(self, progress: RunProgress) -> None:
        """Pass every event to ``progress``, and show its counts."""
        self.interrupted = self.unread = False
        self._progress = progress
        self._out = sys.stdout

    def view(self) -> AbstractContextManager[object]:
        """Return the context in which the state of the run is shown; a log has lines only."""
        return nullcontext()

    def __call__(self, event: RunEvent) -> None:
        """Count an event and show it.

        Raises:
            KeyboardInterrupt: if the output is closed, as by ``| head``: that ends the run like Ctrl-C.
        """
        self._progress(event)
        line = printable(line_of(event, self._progress))
        if line:
            try:
                self.write(line, event)
            except BrokenPipeError:
                self.unread = True
                raise KeyboardInterrupt from None

    def write(self, line: str, event: RunEvent) -> None:
        """Write the line of an event."""
        self._out.write(f"{line}\n")
        self._out.flush()

    def stop(self) -> None:
        """Print that no further cell starts; for a signal handler, which may not use Python's streams."""
        self._progress.stop()
        os.write(_STDERR, f"{STOPPING}\n".encode())


def line_of(event: RunEvent, progress: RunProgress) -> str:
    """Return the line of an event in a log; empty for an event without one."""
    if isinstance(event, Ended):
        state = progress.state()
        count = f"[{state.ended:>{len(str(state.total))}}/{state.total}]"
        by = ", by another run" if event.elsewhere else ""
        reason = _because(event.reason)
        return f"{count} {event.status:<7} {event.seconds:6.1f} s  {event.cell.title}{by}{reason}"
    if isinstance(event, Retried):
        attempt = f"attempt {event.attempt} of {event.attempts}"
        return f"again, {attempt}: {event.task.title}{_because(event.lost.reason)}"
    if isinstance(event, Notice):
        return f"note: {event.sentence}"
    if isinstance(event, Held):
        return f"not on disk yet, to be tried again: {event.cell.title}{_because(event.reason)}"
    if isinstance(event, Unstarted):
        return f"not started, because the disk of the results is full: {_titles(event.cells)}"
    if isinstance(event, Waiting) and event.cells:
        return f"waiting for another run on this folder: {_titles(event.cells)}"
    if isinstance(event, Planned) and event.unclaimed:
        return (
            f"note: there are no file locks on the results folder ({event.unclaimed}): "
            "a second run on it may do cells twice"
        )
    return ""


def _titles(cells: Sequence[Cell]) -> str:
    return and_more([cell.title for cell in cells])


def _because(reason: str) -> str:
    return f": {first_line(reason)}" if reason else ""
