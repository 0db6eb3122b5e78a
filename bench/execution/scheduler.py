"""Which task runs where and when: the rules of packing, as a value without clock, threads or processes.

Slots ask the board for work. It gives the longest task first, and a task shares a device with others only if
the memory of all of them fits. A task that must wait for memory gets a device set aside for it: nothing else
starts there until what runs there has ended, so that small tasks cannot overtake a big one for ever.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.contract.errors import UsageError
from bench.execution.tasks import Slot, Task


class _Place:
    """A device that slots share."""

    def __init__(self, memory: int | None) -> None:
        self.memory = memory
        self.running: dict[str, int] = {}
        """Bytes set aside for the task in each busy slot, by the slot's name."""
        self.promised: str | None = None
        """Key of the task for which the device is being emptied."""

    def bytes_for(self, task: Task) -> int:
        """Return what to set aside for a task: everything if that is unknown or more than there is."""
        if self.memory is None:
            return 0
        return self.memory if task.memory is None else min(task.memory, self.memory)

    def fits(self, task: Task) -> bool:
        """Tell whether the task can start now."""
        if self.memory is None or not self.running:
            return True
        wanted = self.bytes_for(task)
        alone = wanted == self.memory or self.memory in self.running.values()
        return not alone and sum(self.running.values()) + wanted <= self.memory


class Scheduler:
    """Tasks that wait, and what the devices are occupied with.

    - The longest task comes first; of equal costs, the first given.
    - Two tasks share a device only if both fit its memory. One whose need is unknown, on a device whose
      memory is limited, has the device to itself.
    - A task that is too big for a device waits for a bigger one; if it is too big for all, it runs alone.
    - A task that comes up and does not fit has the device of the asking slot emptied for it. It starts there,
      or before that on any other device where it fits.
    - A slot for which there is nothing waits while the others go on.

    `len` tells how many tasks wait.
    """

    def __init__(self, tasks: Iterable[Task], slots: Sequence[Slot]) -> None:
        """Lay out the tasks for these slots.

        Raises:
            UsageError: if there is no slot, or slots of one place differ in its memory.
        """
        if not slots:
            raise UsageError("there is no slot to run in; ask for at least one")
        self._waiting = sorted(tasks, key=lambda task: -task.cost)
        self._places: dict[str, _Place] = {}
        for slot in slots:
            place = self._places.setdefault(slot.place, _Place(slot.memory))
            if place.memory != slot.memory:
                raise UsageError(f"slots of {slot.place} disagree about its memory; give them the same")
        limits = [place.memory for place in self._places.values()]
        self._largest = math.inf if None in limits else max(limit for limit in limits if limit is not None)

    def __len__(self) -> int:
        """Return how many tasks wait."""
        return len(self._waiting)

    def take(self, slot: Slot) -> Task | None:
        """Return the task that the slot starts now; None if there is none for it until another ends."""
        place = self._places[slot.place]
        for number, task in enumerate(self._waiting):
            if place.promised not in (None, task.key) or not self._suits(task, place):
                continue
            if place.fits(task):
                del self._waiting[number]
                self._keep_promises_to(task)
                place.running[slot.name] = place.bytes_for(task)
                return task
            if place.promised or not self._promised(task):
                place.promised = task.key
                return None
        return None

    def release(self, slot: Slot) -> None:
        """Note that the task in the slot has ended."""
        del self._places[slot.place].running[slot.name]

    def clear(self) -> None:
        """Give out no more tasks."""
        self._waiting.clear()

    def _suits(self, task: Task, place: _Place) -> bool:
        """Tell whether the device is big enough, or none is."""
        if task.memory is None or place.memory is None:
            return True
        return task.memory <= place.memory or task.memory > self._largest

    def _promised(self, task: Task) -> bool:
        return any(place.promised == task.key for place in self._places.values())

    def _keep_promises_to(self, task: Task) -> None:
        for place in self._places.values():
            if place.promised == task.key:
                place.promised = None


class ScheduledTask(NamedTuple):
    """When a task was in a slot, in seconds from the start."""

    task: Task
    slot: Slot
    start: float
    end: float


def simulate(tasks: Iterable[Task], slots: Sequence[Slot]) -> list[ScheduledTask]:
    """Return when and where each task would run if its cost were its seconds, in the order of their ends.

    Raises:
        UsageError: if there is no slot.
    """
    board = Scheduler(tasks, slots)
    idle = list(slots)
    stays: list[ScheduledTask] = []
    ending: list[tuple[float, int, ScheduledTask]] = []
    now = 0.0
    while True:
        begun = True
        while begun:  # a task that starts may free a device that was being emptied for it
            begun = False
            for slot in list(idle):
                task = board.take(slot)
                if task is not None:
                    idle.remove(slot)
                    stay = ScheduledTask(task, slot, now, now + task.cost)
                    heapq.heappush(ending, (stay.end, slots.index(slot), stay))
                    begun = True
        if not ending:
            return stays
        now, _, stay = heapq.heappop(ending)
        stays.append(stay)
        board.release(stay.slot)
        idle = [slot for slot in slots if slot in idle or slot is stay.slot]
