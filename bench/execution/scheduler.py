"""Scheduling: which task starts in which slot, and when. No clock, threads or processes."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.contract.errors import UsageError
from bench.execution.tasks import Slot, Task


class _Device:
    """A device that slots share: its memory in bytes, infinite for no limit, and reservations."""

    def __init__(self, memory: float) -> None:
        self.memory = memory
        self.reserved: dict[str, float] = {}  # bytes by the name of a busy slot
        self.kept_for: str | None = None  # key of the task that starts next here

    def need(self, task: Task) -> float:
        """Return the bytes to reserve for a task: all if its need is unknown or larger than the device."""
        if self.memory == math.inf:
            return 0
        return self.memory if task.memory is None else min(task.memory, self.memory)

    def fits(self, task: Task) -> bool:
        """Return whether the task can start now."""
        needs = [self.need(task), *self.reserved.values()]
        return not self.reserved or (self.memory not in needs and sum(needs) <= self.memory)


class Scheduler:
    """Waiting tasks and busy devices.

    - The longest task comes first; of equal costs, the first given.
    - Two tasks share a device only if both fit its memory. On a device with limited memory, a task of unknown
      need runs alone.
    - A task that is too large for a device waits for a larger one; if it is too large for all, it runs alone.
    - If the next task does not fit, the device is kept for it, so that small tasks cannot overtake it for
      ever. It starts there, or before that on any other device where it fits.
    - A slot without a task that fits waits.
    """

    def __init__(self, tasks: Iterable[Task], slots: Sequence[Slot]) -> None:
        """Sort the tasks for these slots.

        Raises:
            UsageError: if there is no slot, or slots of one device differ in its memory.
        """
        if not slots:
            raise UsageError("there is no slot to run in; ask for at least one")
        self._waiting = sorted(tasks, key=lambda task: -task.cost)
        self._devices: dict[str, _Device] = {}
        for slot in slots:
            memory = math.inf if slot.memory is None else slot.memory
            if self._devices.setdefault(slot.host_device, _Device(memory)).memory != memory:
                raise UsageError(f"slots of {slot.host_device} disagree about its memory; give them the same")
        self._largest = max(device.memory for device in self._devices.values())

    def take(self, slot: Slot) -> Task | None:
        """Return the task that the slot starts now; None if it has to wait for the end of another."""
        device = self._devices[slot.host_device]
        for number, task in enumerate(self._waiting):
            too_big = task.memory is not None and device.memory < task.memory <= self._largest
            if device.kept_for not in (None, task.key) or too_big:
                continue
            keeping = [each for each in self._devices.values() if each.kept_for == task.key]
            if device.fits(task):
                del self._waiting[number]
                for each in keeping:
                    each.kept_for = None
                device.reserved[slot.name] = device.need(task)
                return task
            if device.kept_for or not keeping:
                device.kept_for = task.key
                return None
        return None

    def release(self, slot: Slot) -> None:
        """Release the reservation for the task in the slot, which has ended."""
        del self._devices[slot.host_device].reserved[slot.name]


class ScheduledTask(NamedTuple):
    """Time of a task in a slot, in seconds from the start."""

    task: Task
    slot: Slot
    start: float
    end: float


def simulate(tasks: Iterable[Task], slots: Sequence[Slot]) -> list[ScheduledTask]:
    """Return the schedule of tasks whose costs are their seconds, in the order of their ends.

    Raises:
        UsageError: if there is no slot.
    """
    scheduler = Scheduler(tasks, slots)
    idle = list(slots)
    done: list[ScheduledTask] = []
    running: list[tuple[float, int, ScheduledTask]] = []
    now = 0.0
    while True:
        started = True
        while started:  # the start of a task may free a device that was kept for it
            started = False
            for slot in list(idle):
                if (task := scheduler.take(slot)) is not None:
                    idle.remove(slot)
                    scheduled = ScheduledTask(task, slot, now, now + task.cost)
                    heapq.heappush(running, (scheduled.end, slots.index(slot), scheduled))
                    started = True
        if not running:
            return done
        now, _, ended = heapq.heappop(running)
        done.append(ended)
        scheduler.release(ended.slot)
        idle = [slot for slot in slots if slot in idle or slot is ended.slot]
