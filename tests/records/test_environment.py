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


def test_time_is_utc() -> None:
    assert datetime.fromisoformat(utc_now()).utcoffset() == timedelta(0)


def test_peak_memory_counts_bytes() -> None:
    before = peak_memory()
    assert before is not None
    block = np.ones(64 * 2**20, dtype=np.uint8)
    after = peak_memory()
    assert after is not None
    assert after > 64 * 2**20
    del block


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can start counting anew")
def test_peak_memory_can_start_anew() -> None:
    block = np.ones(256 * 2**20, dtype=np.uint8)
    high = peak_memory()
    del block
    reset_peak_memory()
    low = peak_memory()
    assert high is not None
    assert low is not None
    assert low < high - 128 * 2**20


def test_peak_memory_falls_back_to_the_c_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    precise = peak_memory()
    monkeypatch.setattr(environment, "_PROCESS", tmp_path / "nowhere")
    rough = peak_memory()
    assert precise is not None
    assert rough is not None
    assert 0.5 * precise < rough


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
def test_commit_and_uncommitted_changes_are_those_of_the_harness(tmp_path: Path) -> None:
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


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    environment.find_checkout.cache_clear()
    assert environment.find_checkout() == ("", False)
    environment.find_checkout.cache_clear()


class _Cuda:
    """Of a torch that has seen a GPU."""

    def __init__(self, used: bool) -> None:
        self.used = used
        self.peak = 123

    def is_initialized(self) -> bool:
        return self.used

    def max_memory_allocated(self, device: str) -> int:
        return self.peak

    def reset_peak_memory_stats(self, device: str) -> None:
        self.peak = 0

    def get_device_name(self, device: str) -> str:
        return f"the GPU {device}"


@pytest.mark.parametrize(
    ("device", "used", "peak"), [("cpu", True, None), ("cuda:0", False, None), ("cuda:0", True, 0)]
)
def test_the_peak_of_a_gpu_is_of_one_cell_and_asking_starts_no_gpu(
    monkeypatch: pytest.MonkeyPatch, device: str, used: bool, peak: int | None
) -> None:
    torch = SimpleNamespace(cuda=_Cuda(used))
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert environment.device_peak_memory(device) == (None if peak is None else 123)
    environment.reset_peak_memory(device)
    assert environment.device_peak_memory(device) == peak
    monkeypatch.delitem(sys.modules, "torch")
    assert environment.device_peak_memory(device) is None
    assert "torch" not in sys.modules


@pytest.mark.parametrize(
    ("device", "used", "name"),
    [("cpu", True, None), ("cuda:0", False, None), ("cuda:0", True, "the GPU cuda:0")],
)
def test_the_gpu_that_was_used_is_part_of_the_host(
    monkeypatch: pytest.MonkeyPatch, device: str, used: bool, name: str | None
) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=_Cuda(used)))
    collected = environment.collect(environment.utc_now(), {}, device, "", "")
    assert collected.host.get("gpu") == name
    assert collected.host.keys() - {"gpu"} == environment.describe_host().keys()
