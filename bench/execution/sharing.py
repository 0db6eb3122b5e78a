"""Waiting for what other processes on the same folder are doing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from bench.execution.tasks import Task
from bench.records.claims import ClaimsOn

_PAUSE: Final = 0.3
"""Seconds between two looks."""


def wait_for_others(
    aside: Sequence[Task],
    claims: ClaimsOn,
    *,
    stop: Callable[[], bool],
    recorded: Callable[[str], None],
    waiting: Callable[[Sequence[str]], None],
) -> list[Task]:
    """Wait while other processes have all tasks that are left; returns what is left once some are free.

    Args:
        aside: tasks that were not admitted.
        claims: of this process.
        stop: once it says yes, nothing is left.
        recorded: told the key of each task that another process has recorded.
        waiting: told the keys that are waited for, whenever they have become fewer.
    """
    left, told = [*aside], 0
    while left and not stop():
        standings = {task.key: claims.take(task.key) for task in left}
        for task in left:
            if standings[task.key] == "recorded":
                recorded(task.key)
        left = [task for task in left if standings[task.key] != "recorded"]
        if "mine" in standings.values():
            return left
        if len(left) != told:
            told = len(left)
            waiting([task.key for task in left])
        if left:
            time.sleep(_PAUSE)
    return []
