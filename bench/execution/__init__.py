"""Where tasks run: in worker processes of this machine, or in the caller's own process.

Every way of execution is a function that takes tasks and a module-level work function and yields one
`Outcome` per task as they end, telling an event handler what goes on meanwhile.
"""

from bench.execution.devices import local_slots, worker_environment
from bench.execution.inline import inline_executor, run_inline
from bench.execution.local import local_executor, run_local
from bench.execution.slot_worker import WorkerError
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
    "inline_executor",
    "local_executor",
    "local_slots",
    "report",
    "run_inline",
    "run_local",
    "worker_environment",
]
