"""Blocks of queries in threads; the numbers never depend on how many there are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

from bench.contract import UsageError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    """Return control of the BLAS that is loaded with NumPy."""
    from threadpoolctl import ThreadpoolController  # `list` ranks nothing, and should start at once

    return ThreadpoolController().select(user_api="blas")


class _SerialBlas:
    """Keeps every matrix product in its thread: how BLAS divides it would change its rounding.

    The limit belongs to the process, so evaluations that overlap share it and the last one lifts it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._before: list[int] = []

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = self._limits()
                self._set([1] * len(self._before))
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._set(self._before)

    def _limits(self) -> list[int]:
        return [library.get_num_threads() or 1 for library in _blas().lib_controllers]

    def _set(self, counts: list[int]) -> None:
        for library, count in zip(_blas().lib_controllers, counts, strict=True):
            if library.get_num_threads() != count:
                library.set_num_threads(count)

    def limits_before(self) -> list[int]:
        """Return the limits of BLAS outside of any evaluation."""
        with self._lock:
            return self._before if self._inside else self._limits()


_SERIAL_BLAS = _SerialBlas()


def allowed_threads() -> int:
    """Return the threads this process may use: its CPU set, within the limits of BLAS and torch."""
    affinity = getattr(os, "sched_getaffinity", None)
    limits = [len(affinity(0)) if affinity else os.cpu_count() or 1, *_SERIAL_BLAS.limits_before()]
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        limits.append(torch.get_num_threads())
    return max(1, min(limits))


def run_blocks(work: Callable[[slice], None], blocks: Sequence[slice], threads: int | None) -> None:
    """Call ``work`` for every block, in ``threads`` threads (None: as many as the process may use).

    Raises:
        UsageError: for fewer than one thread.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be at least 1, not {threads}")
    count = 1 if len(blocks) == 1 else min(len(blocks), threads or allowed_threads())
    with _SERIAL_BLAS:
        if count == 1:
            for block in blocks:
                work(block)
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(max_workers=count) as pool:
            for _ in pool.map(work, blocks):
                pass
