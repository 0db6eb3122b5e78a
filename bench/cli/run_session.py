"""User interface of a run: the display of its events, the heartbeat for `status`, and Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.cli.display import Display
from bench.execution.progress import RunProgress
from bench.records.heartbeat import heartbeat


@contextmanager
def run_session(progress: RunProgress, results: Path) -> Iterator[Display]:
    """Display the run of the body, keep its heartbeat file, and handle Ctrl-C.

    The display takes the run's events. The first Ctrl-C makes it ``interrupted``; the second ends the body,
    without an exception.

    Raises:
        KeyboardInterrupt: for SIGTERM, or if the output is closed.
    """
    display = display_for(progress)

    def interrupt(*_: object) -> None:
        if display.interrupted:
            raise KeyboardInterrupt
        display.interrupted = True
        display.stop()

    usual = signal.default_int_handler
    main = threading.current_thread() is threading.main_thread()
    listens = main and signal.getsignal(signal.SIGINT) is usual
    try:
        with heartbeat(results, progress.state), display.view():
            try:
                if listens:
                    signal.signal(signal.SIGINT, interrupt)
                yield display
            finally:
                if listens:
                    signal.signal(signal.SIGINT, usual)
    except KeyboardInterrupt:
        if display.unread or not display.interrupted:
            raise


def display_for(progress: RunProgress) -> Display:
    """Return the display for the standard output; the live one is imported for a terminal only."""
    if not sys.stdout.isatty():
        return Display(progress)
    from bench.cli.live_display import LiveDisplay

    return LiveDisplay(progress)
