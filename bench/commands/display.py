"""What a user sees while cells run: a live line on a terminal, one plain line per finished cell."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType

from bench.execution.campaign import Ended
from bench.execution.tasks import Event, Progress


class Display:
    """Receives the events of a run.

    It writes to the standard output of the moment it is made: a cell that runs in this process sends
    what is printed meanwhile to its own log.

    Attributes:
        seconds: since it was opened.
    """

    def __init__(self, total: int, recorded: int) -> None:
        """Show ``total`` cells of which ``recorded`` need not run."""
        self._total = total
        self._ended = recorded
        self._start = time.monotonic()
        self._running: dict[str, str] = {}
        self._out = sys.stdout
        self._live = self._out.isatty()

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._start

    def __enter__(self) -> Display:
        """Start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the live line."""
        self._clear()

    def __call__(self, event: Event | Ended) -> None:
        """Take note of an event and show it."""
        if isinstance(event, Ended):
            self._end(event)
        elif isinstance(event, Progress):
            values = event.values
            epoch = f"{values.get('stage')} epoch {values.get('epoch')}/{values.get('epochs')}"
            self._running[event.task.key] = f"{event.task.title}, {epoch}"
        else:
            self._running[event.task.key] = event.task.title
        self._draw()

    def _end(self, event: Ended) -> None:
        self._running.pop(event.cell.identity.digest, None)
        self._ended += 1
        self._clear()
        reason = f": {event.reason.splitlines()[0]}" if event.reason else ""
        place = f"[{self._ended:>{len(str(self._total))}}/{self._total}]"
        line = f"{place} {event.status:<7} {event.seconds:6.1f} s  {event.cell.identity.title}{reason}"
        self._write(f"{line}\n")

    def _draw(self) -> None:
        if self._live and self._running:
            columns = shutil.get_terminal_size().columns
            text = f"{self.seconds:.0f} s, running: " + "; ".join(self._running.values())
            self._write(f"\r\x1b[2K{text[: columns - 1]}")

    def _clear(self) -> None:
        if self._live:
            self._write("\r\x1b[2K")

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except BrokenPipeError:
            # Nobody reads on, as after `| head`: that ends the run like Ctrl-C, with what is recorded.
            raise KeyboardInterrupt from None
