"""Memory limits of a worker, and how they are enforced.

A limit counts what a worker takes beyond what it holds once its libraries are loaded. Linux refuses the
allocation that would cross it (RLIMIT_DATA: private writable memory, used or not), which reaches Python as a
MemoryError. What is not counted there (shared memory, child processes), code that ignores the refusal, and
systems without such a limit are seen to from outside: the parent kills a worker that is resident over its
limit, with its children. On a GPU the parent alone enforces it, since the driver maps far more than it uses.

Of a GPU's memory no share is enforced. What a task took there is given back after it.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

_WORN: Final = 0.25
"""Share of the limit that a worker may still hold after a task; with more left behind it is replaced."""


class Allowance:
    """The worker's side: what this process may take."""

    def __init__(self, limit: int, on_gpu: bool, libraries: Sequence[str] = ()) -> None:
        """Load ``libraries`` where they are installed, and take the measure of the process.

        The ``limit`` counts bytes beyond what it holds then; ``on_gpu`` tells whether it works on a GPU.
        """
        for name in libraries:
            if importlib.util.find_spec(name) is not None:
                importlib.import_module(name)
        if on_gpu and "torch" in sys.modules:  # what the driver holds is part of the libraries
            with suppress(RuntimeError, AssertionError):  # without a GPU: whoever needs one will say so
                sys.modules["torch"].empty(1, device="cuda")
        self.limit = limit
        self.resident = psutil.Process().memory_info().rss
        self._enforced = sys.platform == "linux" and not on_gpu
        self._base = self._held()

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Let the system refuse what would cross the limit, in the body only."""
        if not self._enforced:
            yield
            return
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = self._base + self.limit
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))
        try:
            yield
        finally:
            # Whoever explains the failure needs some memory for that.
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

    def worn(self) -> bool:
        """Tell whether a task left so much behind that the next one would miss it."""
        if self._held() - self._base <= _WORN * self.limit:
            return False
        gc.collect()
        return self._held() - self._base > _WORN * self.limit

    def _held(self) -> int:
        """Return the bytes that count here: a GPU's driver maps far more than it uses."""
        if self._enforced:  # private writable memory, by the kernel's account
            with suppress(OSError):
                status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
                for line in status.splitlines():
                    if line.startswith("VmData:"):
                        return int(line.split()[1]) * 1024
        return int(psutil.Process().memory_info().rss)


def leave_gpu() -> bool:
    """Give back what PyTorch keeps of a GPU after a task: the next task of another slot may need it.

    Returns:
        False if the GPU is of no use to this process any more, as after a fault inside a kernel.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return True
    gc.collect()  # what is in a circle is still held
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        return False
    return True


def resident(pid: int) -> int:
    """Return the resident bytes of a process and its children; 0 if it is gone."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += member.memory_info().rss
    return total
