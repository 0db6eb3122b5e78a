"""Starts the process of a slot: in its own environment, deaf to Ctrl-C, killed at once if it must go."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import current_process
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

_STARTING = threading.Lock()
"""The environment belongs to the whole parent: one process starts at a time."""


class SlotProcess(SpawnProcess):
    """The process of one slot."""

    environment: Mapping[str, str] = {}

    def start(self) -> None:
        """Start in the slot's environment: libraries read it when they are loaded, not later."""
        with _STARTING, _environment(self.environment), _interrupts_blocked(), _children_allowed():
            super().start()

    def terminate(self) -> None:
        """Kill the process and what it has started.

        A polite signal would be in vain: its handler cannot run while C code holds the interpreter, and
        there is nothing to save, since results count only once they are complete.
        """
        if self.pid is not None and self.is_alive():
            self.sweep()
            self.kill()

    def sweep(self) -> None:
        """Kill what the process has started; for use while its number can be nobody else's."""
        if hasattr(os, "killpg") and self.pid is not None:
            with suppress(ProcessLookupError):  # no group: nothing left, or not come so far as to lead one
                os.killpg(self.pid, signal.SIGKILL)


class SlotContext(SpawnContext):
    """A multiprocessing context that makes one process in its life.

    A pool whose process has died is not to be trusted: if it died while it was sending, the pool's lock stays
    taken for ever; if it left with status 0, the pool would not notice at all. So the pool may not replace
    its process; it breaks instead, which resolves what it was waiting for, and the slot opens a new pool.

    Attributes:
        process: the process; None before it is made.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Make a process with these variables."""
        super().__init__()
        self._environment_of_process = dict(environment)
        self.process: SlotProcess | None = None

    def Process(self, *args: Any, **kwargs: Any) -> SlotProcess:  # type: ignore[override]  # noqa: N802
        """Return the process, not yet started.

        Raises:
            OSError: if there was one already.
        """
        if self.process is not None:
            raise OSError("the process of this slot has ended")
        self.process = SlotProcess(*args, **kwargs)
        self.process.environment = self._environment_of_process
        return self.process


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    # A process inherits what its starter has blocked: Ctrl-C is the parent's business from the first moment.
    if not hasattr(signal, "pthread_sigmask"):  # pragma: no cover (Windows)
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _children_allowed() -> Iterator[None]:
    """Let a daemonic process have a child, as the worker of a Dask nanny must.

    multiprocessing forbids it since such children could outlive the process. Ours cannot: they end with it.
    """
    current = current_process()
    daemonic = current.daemon
    if not daemonic:
        yield
        return
    current.daemon = False
    try:
        yield
    finally:
        current.daemon = True
