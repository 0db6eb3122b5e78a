"""An environment holds facts of this process and machine; collecting it imports none of the libraries."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from bench.records import environment
from bench.records.environment import collect, peak_memory, reset_peak_memory, utc_now

GIT = shutil.which("git")


def test_all_fields_are_collected() -> None:
    found = collect(utc_now(), {"total": 1.5}, "cpu", "source", "python -m bench run")
    assert found.seconds == {"total": 1.5}
    assert (found.host["name"], found.host["cores"]) == (platform.node(), str(os.cpu_count()))
    assert found.host["processor"]
    assert found.versions["python"] == platform.python_version()
    assert found.versions["numpy"] == np.__version__
    assert {"torch", "scipy", "scikit-learn"} <= set(found.versions)
    assert found.peak_device_memory is None
    assert datetime.fromisoformat(found.started).utcoffset() == timedelta(0)


def test_peak_memory_counts_bytes_and_can_be_reset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    block = np.ones(256 * 2**20, dtype=np.uint8)
    high = peak_memory() or 0
    del block
    assert high > 256 * 2**20
    if sys.platform == "linux":  # elsewhere the peak cannot be reset
        reset_peak_memory()
        assert (peak_memory() or 0) < high - 128 * 2**20
    precise = peak_memory() or 0
    monkeypatch.setattr(environment, "_PROCESS", tmp_path / "absent")  # then the C library is asked
    assert 0.5 * precise < (peak_memory() or 0)


@pytest.mark.skipif(GIT is None, reason="git is not installed")
def test_commit_and_uncommitted_changes_are_those_of_the_harness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module is copied into a folder that is laid out like a clone."""
    file = tmp_path / "bench" / "records" / "environment.py"
    file.parent.mkdir(parents=True)
    shutil.copy(Path(environment.__file__), file)
    spec = importlib.util.spec_from_file_location("copied_environment", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def git(*arguments: str) -> None:
        user = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *user, *arguments], check=True, capture_output=True)

    def find() -> tuple[str, bool]:
        module.find_checkout.cache_clear()
        found: tuple[str, bool] = module.find_checkout()
        return found

    assert find() == ("", False)
    git("init")
    (tmp_path / ".gitignore").write_text("results/\n__pycache__/\n")
    assert find() == ("", False)  # a repository that does not contain the harness
    git("add", ".")
    git("commit", "-m", "first")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "record").write_text("")
    commit, dirty = find()
    assert (len(commit), dirty) == (40, False)
    (tmp_path / "new_method.py").write_text("")
    assert module.find_checkout() == (commit, False)  # asked once per process
    assert find() == (commit, True)
    monkeypatch.setenv("PATH", str(tmp_path))  # without git
    assert find() == ("", False)


@pytest.mark.parametrize(("device", "started"), [("cpu", True), ("cuda:0", False), ("cuda:0", True)])
def test_memory_and_name_of_a_gpu_are_read_only_if_this_process_uses_it(
    monkeypatch: pytest.MonkeyPatch, device: str, started: bool
) -> None:
    cuda = Mock(
        **{
            "is_initialized.return_value": started,
            "max_memory_allocated.return_value": 123,
            "memory_reserved.return_value": 456,
            "mem_get_info.return_value": (7, 1000),
            "get_device_name.side_effect": "the GPU {}".format,
        }
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    used = device == "cuda:0" and started
    assert environment.device_peak_memory(device) == (123 if used else None)
    memory = environment.DeviceMemory(peak=123, reserved=456, free=7, total=1000)
    assert environment.device_memory(device) == (memory if used else None)
    cuda.mem_get_info.side_effect = RuntimeError("CUDA error: device-side assert triggered")
    assert environment.device_memory(device) is None
    environment.reset_peak_memory(device)
    assert cuda.reset_peak_memory_stats.call_count == used  # a peak is that of one cell
    host = collect(utc_now(), {}, device, "", "").host
    assert host.get("gpu") == ("the GPU cuda:0" if used else None)
    assert host.keys() - {"gpu"} == environment.describe_host().keys()
    monkeypatch.delitem(sys.modules, "torch")
    assert environment.device_peak_memory(device) is None
    assert "torch" not in sys.modules
