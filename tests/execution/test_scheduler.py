"""Scheduling by a simulated clock: the longest task first, within the memory of devices."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import UsageError
from bench.execution.scheduler import ScheduledTask, Scheduler, simulate
from bench.execution.tasks import Slot, Task

GB = 1 << 30


def cpu(n: int) -> list[Slot]:
    return [Slot(f"cpu/{number}", "cpu", 1) for number in range(n)]


def gpus(memories: Sequence[int], each: int) -> list[Slot]:
    return [
        Slot(f"cuda:{device}/{number}", "cuda:0", 1, {}, f"cuda:{device}", memory)
        for number in range(each)
        for device, memory in enumerate(memories)
    ]


def task(key: str, cost: float = 1.0, memory: int | None = None) -> Task:
    return Task(key, key, None, cost, memory)


def overlap(one: ScheduledTask, other: ScheduledTask) -> bool:
    return one.start < other.end and other.start < one.end


def lower_bound(tasks: Sequence[Task], slots: int) -> float:
    return max(sum(task.cost for task in tasks) / slots, max(task.cost for task in tasks))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.3, 1.2, 2.0])
def test_four_hundred_cells_in_eight_slots_end_within_a_tenth_of_the_least_time(
    seed: int, spread: float
) -> None:
    draw = random.Random(seed)
    tasks = [task(str(number), draw.lognormvariate(0.0, spread)) for number in range(400)]
    runs = simulate(tasks, cpu(8))
    assert len(runs) == 400
    assert max(run.end for run in runs) <= 1.10 * lower_bound(tasks, 8)


def test_gpus_with_a_task_each_are_packed_as_well_and_never_shared() -> None:
    draw = random.Random(0)
    tasks = [
        task(str(number), draw.expovariate(1.0), draw.choice([None, 2 * GB, 90 * GB]))
        for number in range(400)
    ]
    runs = simulate(tasks, gpus([80 * GB] * 8, each=1))
    assert max(run.end for run in runs) <= 1.10 * lower_bound(tasks, 8)
    for one, other in combinations(runs, 2):
        assert one.slot.host_device != other.slot.host_device or not overlap(one, other)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 20), st.none() | st.integers(0, 15).map(lambda size: size * GB)), max_size=40
    ),
    st.lists(st.integers(1, 12).map(lambda size: size * GB), min_size=1, max_size=4),
    st.integers(1, 4),
)
def test_every_task_runs_once_and_memory_suffices_at_every_instant(
    wanted: list[tuple[int, int | None]], memories: list[int], each: int
) -> None:
    tasks = [task(str(number), float(cost), memory) for number, (cost, memory) in enumerate(wanted)]
    runs = simulate(tasks, gpus(memories, each))
    assert sorted(int(run.task.key) for run in runs) == list(range(len(tasks)))
    for run in runs:
        limit = run.slot.memory
        assert limit is not None
        at_once = [
            other.task
            for other in runs
            if other.slot.host_device == run.slot.host_device and other.start <= run.start < other.end
        ]
        if len(at_once) > 1:
            needs = [other.memory for other in at_once]
            assert None not in needs
            assert sum(need for need in needs if need is not None) <= limit
            assert limit not in needs
        slots = [other.slot.name for other in runs if other.start <= run.start < other.end]
        assert len(slots) == len(set(slots))


@given(st.integers(2, 8), st.integers(1, 30))
def test_a_big_task_waits_for_no_more_than_what_ran_when_its_turn_came(each: int, small: int) -> None:
    """Small tasks without end cannot overtake it: it starts as soon as those before it have ended."""
    first = [task(f"first {number}", 10.0 + number, 6 * GB // each) for number in range(each)]
    big = task("big", 5.0, 10 * GB)
    others = [task(f"small {number}", 1.0, GB // 8) for number in range(small)]
    runs = simulate([*others, big, *first], gpus([10 * GB], each))
    (start,) = [run.start for run in runs if run.task is big]
    assert start == 10.0 + each - 1
    assert all(run.start >= start + 5.0 for run in runs if run.task in others)


def test_two_tasks_share_a_device_that_holds_both() -> None:
    tasks = [task("a", 4.0, 6 * GB), task("b", 3.0, 3 * GB), task("c", 2.0, 4 * GB)]
    starts = {run.task.key: run.start for run in simulate(tasks, gpus([10 * GB], 3))}
    assert starts == {"a": 0.0, "b": 0.0, "c": 3.0}


def test_unknown_memory_reserves_a_limited_device_and_none_other() -> None:
    tasks = [task("a", 2.0), task("b", 1.0)]
    assert [run.start for run in simulate(tasks, gpus([10 * GB], 2))] == [0.0, 2.0]
    assert [run.start for run in simulate(tasks, cpu(2))] == [0.0, 0.0]


def test_a_slot_for_which_no_task_fits_waits_while_others_run() -> None:
    left, right, left_too, right_too = slots = gpus([10 * GB] * 2, 2)
    scheduler = Scheduler([task("a", 3.0, 9 * GB), task("b", 2.0, 9 * GB), task("c", 1.0, GB)], slots)
    expected = (
        (left, "a"),
        (left_too, None),  # b does not fit beside a: the device is kept for it
        (right, "b"),  # it fits elsewhere first
        (left_too, "c"),  # and then the device is free for others again
        (right_too, None),
    )
    for slot, key in expected:
        taken = scheduler.take(slot)
        assert (None if taken is None else taken.key) == key


def test_a_task_waits_for_a_device_that_is_large_enough_or_runs_alone_if_there_is_none() -> None:
    tasks = [task("big", 3.0, 30 * GB), task("huge", 2.0, 99 * GB), task("small", 1.0, 4 * GB)]
    runs = {run.task.key: run for run in simulate(tasks, gpus([10 * GB, 40 * GB], 2))}
    assert runs["big"].slot.host_device == "cuda:1"
    assert runs["huge"].slot.host_device == "cuda:0"
    others = [run for key, run in runs.items() if key != "huge"]
    assert not any(run.slot.host_device == "cuda:0" and overlap(run, runs["huge"]) for run in others)


def test_the_longest_starts_first_and_equal_ones_as_given() -> None:
    tasks = [task(key, cost) for key, cost in zip("abcde", (1, 3, 2, 3, 1), strict=True)]
    assert "".join(run.task.key for run in simulate(tasks, cpu(1))) == "bdcae"


def test_slots_that_contradict_each_other_or_are_missing_are_refused() -> None:
    with pytest.raises(UsageError, match="no slot"):
        Scheduler([task("a")], [])
    with pytest.raises(UsageError, match=r"slots of .*memory"):
        Scheduler([], [*gpus([GB], 1), *gpus([2 * GB], 1)])
