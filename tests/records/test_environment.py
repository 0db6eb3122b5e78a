"""Environment are facts of this process and machine, found without importing what they describe."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from bench.records import environment
from bench.records.environment import collect, peak_memory, reset_peak_memory, utc_now

GIT = shutil.which("git")


def test_all_fields_are_collected() -> None:
    found = collect(utc_now(), {"total": 1.5}, "cpu", "source", "python -m bench run")
    assert found.seconds == {"total": 1.5}
    assert found.host["name"] == platform.node()
    assert found.host["cores"] == str(os.cpu_count())
    assert found.host["processor"]
    assert found.versions["python"] == platform.python_version()
    assert found.versions["numpy"] == np.__version__
    assert {"torch", "scipy", "scikit-learn"} <= set(found.versions)
    assert found.peak_device_memory is None
    assert datetime.fromisoformat(found.started).utcoffset() == timedelta(0)


def test_peak_memory_counts_bytes_and_can_start_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    block = np.ones(256 * 2**20, dtype=np.uint8)
    high = peak_memory() or 0
    del block
    assert high > 256 * 2**20
    if sys.platform == "linux":  # only there counting starts anew
        reset_peak_memory()
        assert (peak_memory() or 0) < high - 128 * 2**20
    precise = peak_memory() or 0
    monkeypatch.setattr(environment, "_PROCESS", tmp_path / "nowhere")  # what the C library knows
    assert 0.5 * precise < (peak_memory() or 0)


def _git(folder: Path, *arguments: str) -> None:
    assert GIT is not None
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run([GIT, "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def _copy_of_harness(root: Path) -> ModuleType:
    """Load a copy of the module from a folder laid out like a clone."""
    place = root / "bench" / "records" / "environment.py"
    place.parent.mkdir(parents=True)
    shutil.copy(Path(environment.__file__), place)
    spec = importlib.util.spec_from_file_location("copied_environment", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(GIT is None, reason="git is not installed")
def test_commit_and_uncommitted_changes_are_those_of_the_harness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = _copy_of_harness(tmp_path)
    assert module.find_checkout() == ("", False)

    _git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text("results/\n__pycache__/\n")
    module.find_checkout.cache_clear()
    # The harness lies in somebody's repository but is not part of it.
    assert module.find_checkout() == ("", False)

    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "first")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "record").write_text("")
    module.find_checkout.cache_clear()
    commit, dirty = module.find_checkout()
    assert len(commit) == 40
    assert not dirty

    (tmp_path / "new_method.py").write_text("")
    assert module.find_checkout() == (commit, False)  # asked once per process
    module.find_checkout.cache_clear()
    assert module.find_checkout() == (commit, True)
    monkeypatch.setenv("PATH", str(tmp_path))  # without git
    module.find_checkout.cache_clear()
    assert module.find_checkout() == ("", False)


class _Cuda:
    """Of a torch that has seen a GPU."""

    def __init__(self, used: bool) -> None:
        self.used = used
        self.peak = 123
        self.broken = False

    def is_initialized(self) -> bool:
        return self.used

    def max_memory_allocated(self, device: str) -> int:
        return self.peak

    def reset_peak_memory_stats(self, device: str) -> None:
        self.peak = 0

    def mem_get_info(self, device: str) -> tuple[int, int]:
        if self.broken:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return 7, 1000

    def memory_reserved(self, device: str) -> int:
        return 456

    def get_device_name(self, device: str) -> str:
        return f"the GPU {device}"


@pytest.mark.parametrize(
    ("device", "used", "peak"), [("cpu", True, None), ("cuda:0", False, None), ("cuda:0", True, 0)]
)
def test_the_peak_of_a_gpu_is_of_one_cell_its_name_part_of_the_host_and_asking_starts_none(
    monkeypatch: pytest.MonkeyPatch, device: str, used: bool, peak: int | None
) -> None:
    torch = SimpleNamespace(cuda=_Cuda(used))
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert environment.device_peak_memory(device) == (None if peak is None else 123)
    memory = environment.DeviceMemory(peak=123, reserved=456, free=7, total=1000)
    assert environment.device_memory(device) == (None if peak is None else memory)
    torch.cuda.broken = True
    assert environment.device_memory(device) is None
    environment.reset_peak_memory(device)
    assert environment.device_peak_memory(device) == peak
    host = environment.collect(environment.utc_now(), {}, device, "", "").host
    assert host.get("gpu") == (None if peak is None else "the GPU cuda:0")
    assert host.keys() - {"gpu"} == environment.describe_host().keys()
    monkeypatch.delitem(sys.modules, "torch")
    assert environment.device_peak_memory(device) is None
    assert "torch" not in sys.modules
