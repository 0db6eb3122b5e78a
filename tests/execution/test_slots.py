"""What a slot's environment says."""

from __future__ import annotations

import pytest

from bench.contract import UsageError
from bench.execution import local_slots


def test_cpu_slots_have_their_threads_and_see_no_gpu() -> None:
    first, second = local_slots(2, 3)
    assert (first.name, second.name, first.device) == ("cpu/0", "cpu/1", "cpu")
    assert first.environment["OMP_NUM_THREADS"] == "3"
    assert first.environment["MKL_NUM_THREADS"] == "3"
    assert first.environment["CUDA_VISIBLE_DEVICES"] == ""


def test_a_gpu_slot_sees_its_own_gpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (slot,) = local_slots(1, 2, "cuda:3")
    assert (slot.name, slot.device) == ("cuda:3/0", "cuda:0")
    assert slot.environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert "CUBLAS_WORKSPACE_CONFIG" in slot.environment


def test_gpus_are_counted_within_what_this_process_may_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-abc")
    assert local_slots(1, 1, "cuda")[0].environment["CUDA_VISIBLE_DEVICES"] == "5"
    assert local_slots(1, 1, "cuda:1")[0].environment["CUDA_VISIBLE_DEVICES"] == "GPU-abc"
    with pytest.raises(UsageError, match="cuda:2 is not among the 2 devices"):
        local_slots(1, 1, "cuda:2")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:-1", "mps", ""])
def test_an_unknown_device_is_refused(device: str) -> None:
    with pytest.raises(UsageError, match="unknown device"):
        local_slots(1, 1, device)


@pytest.mark.parametrize(("slots", "threads"), [(0, 1), (1, 0), (-1, 1)])
def test_slots_and_threads_start_at_one(slots: int, threads: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        local_slots(slots, threads)
