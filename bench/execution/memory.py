"""Memory limits of a worker.

A limit counts memory beyond that of the worker with loaded libraries. Linux refuses an allocation over it
(RLIMIT_DATA: private writable memory, used or not), which is a MemoryError in Python. Shared memory, child
processes, code that ignores the refusal, and systems without such a limit are covered by the parent: it kills
a worker whose resident memory is over the limit, with its children. With a GPU only the parent enforces the
limit, because the driver maps much more memory than it uses.

The memory of a GPU has no limit; it is released after each task.
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

from bench.execution.tasks import WorkerError

_LEAST_SPACE: Final = 1 << 30
"""Bytes of address space of a worker: PyTorch and SciPy take three quarters of that."""

_WORN: Final = 0.25
"""Share of the limit that a worker may keep after a task; with more it is replaced."""


def require_address_space() -> None:
    """Refuse processes with so little address space that libraries fail, or wait without end, when loaded.

    Raises:
        WorkerError: with the limit and the least that is needed.
    """
    if sys.platform == "win32":
        return
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if 0 <= limit < _LEAST_SPACE:
        raise WorkerError(
            f"the address space of this process is limited to {limit >> 20} MB, and cells need at least "
            f"{_LEAST_SPACE >> 20} MB; raise the limit (ulimit -v unlimited), and limit cells by --max-memory"
        )


class MemoryLimit:
    """The memory limit of this process, a worker."""

    def __init__(self, limit: int, on_gpu: bool, libraries: Sequence[str] = ()) -> None:
        """Load ``libraries`` that are installed, and measure the memory of the process.

        The ``limit`` in bytes counts memory beyond that; ``on_gpu`` is whether it uses a GPU.
        """
        for name in libraries:
            if importlib.util.find_spec(name) is not None:
                importlib.import_module(name)
        if on_gpu and "torch" in sys.modules:  # the memory of the driver does not count
            with suppress(RuntimeError, AssertionError):  # the cell will raise it again
                sys.modules["torch"].empty(1, device="cuda")
        self.limit = limit
        self.resident = psutil.Process().memory_info().rss
        self._enforced = sys.platform == "linux" and not on_gpu
        self._base = self._held()

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Let the system refuse allocations over the limit in the body."""
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
            # The report of a failure needs memory, too.
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

    def holds_too_much(self) -> bool:
        """Return whether the last task left too much memory allocated for the next one."""
        if self._held() - self._base <= _WORN * self.limit:
            return False
        gc.collect()
        return self._held() - self._base > _WORN * self.limit

    def _held(self) -> int:
        """Return the bytes that count for the limit."""
        if self._enforced:  # private writable memory
            with suppress(OSError):
                status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
                for line in status.splitlines():
                    if line.startswith("VmData:"):
                        return int(line.split()[1]) * 1024
        return int(psutil.Process().memory_info().rss)


def leave_gpu() -> bool:
    """Release the cached memory of a GPU after a task: the task of another slot may need it.

    Returns:
        False if this process cannot use the GPU any more, as after a fault inside a kernel.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return True
    gc.collect()  # objects in reference cycles
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        return False
    return True


def resident(pid: int) -> int:
    """Return the resident bytes of a process and those below it; 0 if it has ended."""
    total = 0
    with suppress(psutil.Error):
        for member in (psutil.Process(pid), *processes_below(pid)):
            with suppress(psutil.Error):
                total += member.memory_info().rss
    return total


def processes_below(pid: int) -> list[psutil.Process]:
    """Return the processes that a process has started, and those that these have; none if it has ended."""
    with suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []
