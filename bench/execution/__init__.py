"""Executors: run tasks in worker processes of this machine, on a Dask cluster, or in the caller's process.

Every `Executor` takes tasks and a module-level work function and yields one `Outcome` per task as they end;
an event handler hears of what goes on meanwhile.
"""

from bench.execution.devices import local_slots, worker_environment
from bench.execution.local import local_executor, run_inline, run_local
from bench.execution.tasks import (
    Event,
    Executor,
    Loss,
    LossKind,
    OnEvent,
    Outcome,
    Progress,
    Retried,
    Slot,
    Started,
    Task,
    WorkerError,
)
from bench.execution.worker import report

__all__ = [
    "Event",
    "Executor",
    "Loss",
    "LossKind",
    "OnEvent",
    "Outcome",
    "Progress",
    "Retried",
    "Slot",
    "Started",
    "Task",
    "WorkerError",
    "local_executor",
    "local_slots",
    "report",
    "run_inline",
    "run_local",
    "worker_environment",
]
