"""Ctrl-C: once to come to an end, twice to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class Interrupts:
    """While this is open, the first Ctrl-C is only noted; the second is raised as `KeyboardInterrupt`.

    Attributes:
        asked: whether Ctrl-C was pressed.
    """

    def __init__(self, on_first: Callable[[], None]) -> None:
        """Call ``on_first`` at the first Ctrl-C, inside the signal's handler: it must not wait for a lock."""
        self.asked = False
        self._on_first = on_first
        self._installed = False

    def __enter__(self) -> Interrupts:
        """Listen, unless this is not the main thread or somebody else listens or ignores it already."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let Ctrl-C do what it did before."""
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def stop(self) -> bool:
        """Return whether Ctrl-C was pressed."""
        return self.asked

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._on_first()
