"""Looks from outside whether a process is still there."""

from __future__ import annotations

import time

import psutil


def gone(pid: int, seconds: float = 30.0) -> bool:
    """Return whether the process ends within that time; one that nobody has collected yet has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False
