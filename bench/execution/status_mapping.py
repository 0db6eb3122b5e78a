"""How a task that was lost ended, in the words of records."""

from __future__ import annotations

from typing import Final

from bench.execution.tasks import Loss, LossKind
from bench.records.schema import Status

_STATUSES: Final[dict[LossKind, Status]] = {
    "exception": "failed",
    "memory": "out-of-memory",
    "exit": "exited",
    "signal": "killed",
    "timeout": "timeout",
    "worker": "lost",
}


def status_of(loss: Loss) -> Status:
    """Return the status of a cell or a trial whose task was lost."""
    return _STATUSES[loss.kind]


def reason_of(loss: Loss, seconds: float | None) -> str:
    """Return why a task was lost, in one sentence; ``seconds`` is the time limit as its user gave it."""
    if loss.kind == "timeout" and seconds is not None:
        return f"it went on after its time limit of {seconds:g} s and was stopped"
    return loss.reason
