"""How much memory a worker may take, and how that is enforced.

A limit counts what a worker takes beyond what it holds once its libraries are loaded. Linux refuses the
allocation that would cross it (RLIMIT_DATA: private writable memory, used or not), which reaches Python as a
MemoryError. What is not counted there (shared memory, memory of child processes), code that ignores the
refusal, and systems without such a limit are seen to from outside: the parent looks at the resident size of
the worker with its children, and kills a worker that is over its limit. On a GPU the parent alone enforces
it, since the driver maps far more addresses than it uses.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

_LIBRARIES: Final = ("torch",)
"""What methods import that is large: a worker with a limit loads it first, so that no cell pays for it."""

_WORN: Final = 0.25
"""Share of the limit that a worker may still hold after a task; with more left behind it is replaced."""


class Allowance:
    """The worker's side: what this process may take."""

    def __init__(self, limit: int, on_gpu: bool) -> None:
        """Load large libraries and take the measure of the process.

        Args:
            limit: bytes beyond what the process holds now.
            on_gpu: whether the process works on a GPU.
        """
        for name in _LIBRARIES:
            if importlib.util.find_spec(name) is not None:
                importlib.import_module(name)
        self.limit = limit
        self.resident = psutil.Process().memory_info().rss
        self._base = _private()
        self._enforced = sys.platform == "linux" and not on_gpu

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Let the system refuse what would cross the limit, in the body only."""
        if not self._enforced:
            yield
            return
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (_lower(self._base + self.limit, hard), hard))
        try:
            yield
        finally:
            # Whoever explains the failure needs some memory for that.
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

    def worn(self) -> bool:
        """Tell whether a task left so much behind that the next one would miss it."""
        if _private() - self._base <= _WORN * self.limit:
            return False
        gc.collect()
        return _private() - self._base > _WORN * self.limit


def resident(pid: int) -> int:
    """Return the resident bytes of a process and its children; 0 if it is gone."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += one.memory_info().rss
    return total


def _private() -> int:
    """Return the bytes of private writable memory of this process, by the kernel's account."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return int(psutil.Process().memory_info().rss)


def _lower(wanted: int, hard: int) -> int:
    return wanted if hard < 0 else min(wanted, hard)
