"""What surrounds a run of cells: the display, the file for `status`, and Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.cli.display import Display, display_for
from bench.cli.interrupts import Interrupts
from bench.execution.progress import RunProgress
from bench.records.heartbeat import Heartbeat


@contextmanager
def attended(tally: RunProgress, results: Path) -> Iterator[tuple[Display, Interrupts]]:
    """Show a run while the body makes it, tell `status` of it, and listen to Ctrl-C.

    Yields:
        Takes the run's events; tells when it must come to an end. A second Ctrl-C ends the body at once,
        and this as if the run had come to its end.

    Raises:
        KeyboardInterrupt: if nobody reads the output any more.
    """
    display = display_for(tally)
    interrupts = Interrupts(display.stop)
    try:
        with Heartbeat(results, tally.state), display, interrupts:
            yield display, interrupts
    except KeyboardInterrupt:
        if display.unread or not interrupts.asked:
            raise
