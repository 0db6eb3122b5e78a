"""What a user sees while cells run: one plain line per event; on a terminal a live view below them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final

from bench.cli.phrases import printable
from bench.execution.progress import Ended, Held, Planned, RunEvent, RunProgress, Unstarted, Waiting
from bench.execution.tasks import Notice, Retried
from bench.experiment.grid import Cell

STOPPING: Final = "stopping: cells that run may finish; Ctrl-C again abandons them"
"""What is said after the first Ctrl-C."""

_STDERR: Final = 2


class Display:
    """Receives the events of a run, keeps its tally, and writes a plain line per event worth one.

    It writes to the standard output of the moment it is made: a cell that runs in this process sends
    what is printed meanwhile to its own log.

    Attributes:
        unread: whether the reader of the output has gone away.
    """

    def __init__(self, tally: RunProgress) -> None:
        """Show what ``tally`` counts; it is told of every event."""
        self.unread = False
        self._tally = tally
        self._out = sys.stdout

    def __enter__(self) -> Display:
        """Start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def __call__(self, event: RunEvent) -> None:
        """Take note of an event and show it.

        Raises:
            KeyboardInterrupt: if nobody reads on, as after ``| head``: that ends the run like Ctrl-C, with
                what is recorded.
        """
        self._tally(event)
        line = line_of(event, self._tally)
        if line:
            try:
                self.say(line, event)
            except BrokenPipeError:
                self.unread = True
                raise KeyboardInterrupt from None

    def say(self, line: str, event: RunEvent) -> None:
        """Write the line of an event."""
        self._out.write(f"{line}\n")
        self._out.flush()

    def stop(self) -> None:
        """Say that no cell starts any more; for a signal's handler, which may not use Python's streams."""
        self._tally.stop()
        os.write(_STDERR, f"{STOPPING}\n".encode())


def display_for(tally: RunProgress) -> Display:
    """Return the display that suits the standard output; only a terminal pays for loading the live one."""
    if not sys.stdout.isatty():
        return Display(tally)
    from bench.cli.live import LiveDisplay

    return LiveDisplay(tally)


def line_of(event: RunEvent, tally: RunProgress) -> str:
    """Return what a log says of an event; empty for one that it does not mention."""
    if isinstance(event, Ended):
        state = tally.state()
        place = f"[{state.ended:>{len(str(state.total))}}/{state.total}]"
        by = ", by another run" if event.elsewhere else ""
        title = printable(event.cell.title)
        return f"{place} {event.status:<7} {event.seconds:6.1f} s  {title}{by}{_because(event.reason)}"
    if isinstance(event, Retried):
        again = f"attempt {event.attempt} of {event.attempts}"
        return f"again, {again}: {printable(event.task.title)}{_because(event.lost.reason)}"
    if isinstance(event, Notice):
        return f"note: {printable(event.sentence)}"
    if isinstance(event, Held):
        return f"not on disk yet, to be tried again: {printable(event.cell.title)}{_because(event.reason)}"
    if isinstance(event, Unstarted):
        return f"not started, because the disk of the results is full: {_first(event.cells)}"
    if isinstance(event, Waiting) and event.cells:
        return f"waiting for another run on this folder: {_first(event.cells)}"
    if isinstance(event, Planned) and event.unclaimed:
        return (
            f"note: there are no file locks on the results folder ({event.unclaimed}): "
            "a second run on it may do cells twice"
        )
    return ""


def _first(cells: Sequence[Cell]) -> str:
    others = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
    return f"{printable(cells[0].title)}{others}"


def _because(reason: str) -> str:
    return f": {printable(reason.splitlines()[0])}" if reason else ""
