"""Devices and slots, with a simulated inventory: the device of each task, and what its process sees."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from bench.cli.executor_options import DeviceOptions, LocalMachine
from bench.contract import UsageError
from bench.execution import devices as module
from bench.execution.devices import (
    DeviceError,
    Gpu,
    Inventory,
    choose_devices,
    device_slots,
    local_slots,
    possible_inventory,
    take_inventory,
    wants_gpus,
)
from bench.execution.local import run_local
from bench.execution.tasks import Task
from bench.records import Store
from tests.execution import work
from tests.grid import FAULTS, run_command
from tests.wording import mentions

GB = 1 << 30
FOUR = Inventory(8, tuple(Gpu(index, "Simulated", 10 * GB) for index in range(4)))
NONE = Inventory(8)


@pytest.fixture(autouse=True)
def all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("words", "inventory", "devices"),
    [
        ("cpu", FOUR, ["cpu"]),
        ("auto", FOUR, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]),
        ("cuda", FOUR, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]),
        ("auto", NONE, ["cpu"]),
        ("cuda:3, cuda:1", FOUR, ["cuda:3", "cuda:1"]),
        ("cuda:1,cuda:1,cuda", FOUR, ["cuda:1", "cuda:0", "cuda:2", "cuda:3"]),
    ],
)
def test_words_name_devices_each_once(words: str, inventory: Inventory, devices: list[str]) -> None:
    assert choose_devices(words, inventory) == devices


@pytest.mark.parametrize("word", ["gpu", "cuda:4", "cuda:x", "cuda:-1", "cuda:00", "CPU", ""])
def test_an_unknown_device_is_refused_and_the_known_ones_are_named(word: str) -> None:
    known = "there are: cpu, cuda:0, cuda:1, cuda:2, cuda:3$"
    with pytest.raises(UsageError, match=f"device '{word}'.*{known}"):
        choose_devices(f"cuda:0,{word}", FOUR)
    with pytest.raises(UsageError, match=r"device 'cuda'.* cpu$"):
        choose_devices("cuda", NONE)


def test_slots_of_different_devices_alternate_and_have_their_memory() -> None:
    slots = device_slots(["cuda:2", "cuda:0"], FOUR, jobs=9, jobs_per_device=2, threads=3)
    assert [slot.name for slot in slots] == ["cuda:2/0", "cuda:0/0", "cuda:2/1", "cuda:0/1"]
    known = {(slot.host_device, slot.memory, slot.threads) for slot in slots}
    assert known == {(device, 10 * GB, 3) for device in ("cuda:0", "cuda:2")}
    cpu = device_slots(["cpu"], FOUR, jobs=2, jobs_per_device=5, threads=1)
    assert [(slot.name, slot.memory) for slot in cpu] == [("cpu/0", None), ("cpu/1", None)]


@pytest.mark.parametrize(
    ("devices", "per_device", "memory"),
    [
        (["cuda:2"], 2, 5 * GB),  # two that fit share a GPU
        pytest.param(FOUR.devices[1:], 1, None, marks=pytest.mark.slow),
    ],
)
def test_tasks_run_at_once_on_gpus_and_each_sees_only_its_gpu(
    tmp_path: Path, devices: list[str], per_device: int, memory: int | None
) -> None:
    slots = device_slots(devices, FOUR, jobs=1, jobs_per_device=per_device, threads=1)
    number = len(slots)
    tasks = [Task(str(n), "", (str(tmp_path), str(n), number), 1.0, memory) for n in range(number)]
    outcomes = [*run_local(tasks, work.rendezvous, slots)]
    assert sorted(outcome.slot.name for outcome in outcomes) == sorted(slot.name for slot in slots)
    for outcome in outcomes:
        assert outcome.value == (outcome.slot.host_device.removeprefix("cuda:"), True)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """This machine has four GPUs; returns whether they were listed, for each look at the inventory."""
    looks: list[bool] = []

    def take(*, gpus: bool) -> Inventory:
        looks.append(gpus)
        return FOUR

    monkeypatch.setattr(module, "take_inventory", take)
    monkeypatch.setattr(module, "possible_inventory", lambda words: FOUR)
    return looks


def test_a_run_on_gpus_pins_each_cell_and_records_its_device(
    small: Path, tmp_path: Path, simulated: list[bool]
) -> None:
    usual = ["--results", tmp_path / "r", "--plugin", FAULTS, "--datasets", small, "--methods", "pinned"]
    words = ["run", *usual, "--set", "pinned.seconds=0.05", "--seeds", 4, "--devices", "cuda:3,cuda:1"]
    forecast = run_command(*words, "--dry-run").out
    assert mentions(forecast, "cuda:1 ... 2 cells ... 1 slot")
    assert mentions(forecast, "cuda:3 ... 2 cells ... 1 slot")
    run_command(*words).check(0, silent=True)
    store = Store(tmp_path / "r")
    times: dict[str, list[tuple[float, float]]] = {}
    for record in store.records():
        assert (record.environment.device, record.identity.device) == ("cuda:0", "cuda")
        assert "--devices cuda" in record.environment.command
        _, visible, device, begin, end = store.log(record.digest).splitlines()[0].split()
        assert device == "cuda:0"
        times.setdefault(visible, []).append((float(begin), float(end)))
    assert times.keys() == {"'1'", "'3'"}
    for periods in times.values():
        assert all(a[1] <= b[0] or b[1] <= a[0] for a, b in combinations(periods, 2))
    run_command(*words).check(0)
    assert simulated == [True, True]  # a finished grid needs no list of GPUs
    # Numbers of a GPU are not those of the CPU.
    run_command(*words, "--devices", "cpu", "--dry-run").check(0, "4 cells, 4 to run")
    run_command(*words, "--devices", "cuda:7").check(2, "device 'cuda:7'")


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["--devices", "cuda:7"], "cuda:7"),
        (["--devices", "cuda", "--jobs", "2"], "--jobs-per-device"),
        (["--devices", "cuda", "--jobs", "0"], "name one of cuda:0"),
        (["--devices", "auto", "--jobs", "0", "--max-memory", "1G"], "one device"),
        (["--devices", "auto,cpu"], "CPU or on GPUs"),
    ],
)
def test_contradicting_options_for_gpus_are_one_sentence_and_status_2(
    small: Path, tmp_path: Path, words: list[str], key: str
) -> None:
    usual = ("--results", tmp_path / "r", "--plugin", FAULTS, "--datasets", small, "--methods", "plain")
    output = run_command("run", *usual, *words).check(2, key)
    assert (output.out, len(output.err.splitlines())) == ("", 1)
    assert not (tmp_path / "r" / "runs").exists()


@pytest.mark.usefixtures("simulated")
def test_one_gpu_can_be_used_in_this_process() -> None:
    site = LocalMachine(DeviceOptions("cuda:2", 0)).site()
    assert (site.slots, site.device) == ([], "cuda:2")


@pytest.mark.parametrize(
    ("words", "possible", "found", "kind", "devices", "looks"),
    [
        ("cpu", FOUR, FOUR, "cpu", "cpu", 0),
        ("cuda:1,cuda:0", FOUR, FOUR, "cuda", "cuda:1,cuda:0", 0),
        ("cuda", NONE, NONE, "cuda", "cuda", 0),  # an error once a device is needed
        ("auto", NONE, FOUR, "cpu", "cpu", 0),
        ("auto", FOUR, NONE, "cpu", "cpu", 1),
        ("auto", FOUR, FOUR, "cuda", "cuda:0,cuda:1,cuda:2,cuda:3", 1),
    ],
)
def test_the_kind_of_device_is_known_before_cells_are_planned(
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    possible: Inventory,
    found: Inventory,
    kind: str,
    devices: str,
    looks: int,
) -> None:
    take = Mock(return_value=found)
    monkeypatch.setattr(module, "possible_inventory", lambda _: possible)
    monkeypatch.setattr(module, "take_inventory", take)
    resolved = LocalMachine(DeviceOptions(words))
    assert (resolved.kind, resolved.devices, take.call_count) == (kind, devices, looks)


def test_the_inventory_is_within_the_containers_limits_and_lists_gpus_only_if_pytorch_has_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 3)
    monkeypatch.setattr(subprocess, "run", None)
    assert take_inventory(gpus=False) == Inventory(3)
    for version in (Mock(return_value="2.9.0+cpu"), Mock(side_effect=PackageNotFoundError("torch"))):
        monkeypatch.setattr("importlib.metadata.version", version)
        assert take_inventory(gpus=True) == Inventory(3)
    assert not wants_gpus("cpu")
    assert all(wants_gpus(words) for words in ("auto", "cuda", "cuda:1", "cpu,cuda:0", "gpu"))


def test_gpus_are_listed_by_pytorch_in_a_separate_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is a real one; its program prints what PyTorch would with two GPUs."""
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.9.0")
    program = "print('a greeting'); print('[[\"A100\", 42949672960], [\"A100\", 42949672960]]')"
    monkeypatch.setattr(module, "_LIST", program)
    found = take_inventory(gpus=True)
    assert found.gpus == (Gpu(0, "A100", 40 * GB), Gpu(1, "A100", 40 * GB))
    assert found.devices == ["cpu", "cuda:0", "cuda:1"]
    monkeypatch.setattr(module, "_LIST", "raise SystemExit('no usable driver')")
    with pytest.raises(DeviceError, match=r"driver.*--devices cpu"):
        take_inventory(gpus=True)


@pytest.mark.parametrize(
    ("listed", "visible", "built", "most"),
    [
        ("nvidia", None, "2.9.0", 3),
        ("nvidia", "0,2", "2.9.0+cu129", 2),
        ("nvidia", "", "2.9.0", 0),
        ("nvidia", None, "2.9.0+cpu", 0),
        ("nothing", None, "2.9.0", 0),
        ("kfd", None, "2.9.0+rocm6.4", None),
    ],
)
def test_the_possible_number_of_gpus_is_known_without_pytorch(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listed: str,
    visible: str | None,
    built: str,
    most: int | None,
) -> None:
    for number in range(3):
        (tmp_path / "nvidia" / str(number)).mkdir(parents=True)
    (tmp_path / "kfd").touch()
    names = (name if name == listed else "absent" for name in ("nvidia", "kfd", "dxg"))
    monkeypatch.setattr(module, "_DRIVERS", tuple(str(tmp_path / name) for name in names))
    monkeypatch.setattr("importlib.metadata.version", lambda name: built)
    monkeypatch.setattr(sys, "platform", "linux")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert module._most_gpus() == most
    assert len(possible_inventory("cuda:1").gpus) == (2 if most is None else most)
    assert choose_devices("auto", possible_inventory("auto"))
    if most is None:  # then a GPU of any number is possible
        assert choose_devices("cuda:12,cuda:0", possible_inventory("cuda:12,cuda:0")) == ["cuda:12", "cuda:0"]
    for word in ("gpu", "cuda:99999"):
        with pytest.raises(UsageError, match=f"device '{word}'"):
            choose_devices(word, possible_inventory(word))


def test_the_memory_of_a_gpu_is_what_other_processes_leave_or_all_if_that_is_unknown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    busy = RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable")
    cuda = Mock(**{"device_count.return_value": 2, "mem_get_info.side_effect": [(30 * GB, 80 * GB), busy]})
    cuda.get_device_properties.return_value = SimpleNamespace(name="H100", total_memory=80 * GB)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    exec(module._LIST, {})
    assert json.loads(capsys.readouterr().out) == [["H100", 30 * GB], ["H100", 80 * GB]]


@pytest.mark.slow
def test_pytorch_prints_a_list_of_gpus() -> None:
    done = subprocess.run([sys.executable, "-c", module._LIST], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("[")


def test_slots_have_their_threads_and_see_only_their_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = local_slots(2, 3)
    assert (first.name, second.name, first.device) == ("cpu/0", "cpu/1", "cpu")
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    assert [first.environment[name] for name in names] == ["3", "3", ""]
    (slot,) = local_slots(1, 2, "cuda:3")
    assert (slot.name, slot.device, slot.environment["CUDA_VISIBLE_DEVICES"]) == ("cuda:3/0", "cuda:0", "3")
    assert "CUBLAS_WORKSPACE_CONFIG" in slot.environment
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-abc")
    for device, seen in (("cuda", "5"), ("cuda:1", "GPU-abc")):
        assert local_slots(1, 1, device)[0].environment["CUDA_VISIBLE_DEVICES"] == seen


@pytest.mark.parametrize(
    ("slots", "threads", "device", "words"),
    [
        *((1, 1, device, "unknown device") for device in ("gpu", "cuda:x", "cuda:-1", "mps", "")),
        *((*numbers, "cpu", "at least 1") for numbers in ((0, 1), (1, 0), (-1, 1))),
        (1, 1, "cuda:2", "not among the 2 devices"),
    ],
)
def test_impossible_slots_are_refused(
    monkeypatch: pytest.MonkeyPatch, slots: int, threads: int, device: str, words: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-abc")
    with pytest.raises(UsageError, match=words):
        local_slots(slots, threads, device)
