"""With a pretended inventory: which device a task gets, what its process sees, and who works beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

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
from tests.grid import FAULTS, say

GB = 1 << 30
FOUR = Inventory(8, tuple(Gpu(index, "Pretended", 10 * GB) for index in range(4)))
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
def test_words_mean_devices_each_once(words: str, inventory: Inventory, devices: list[str]) -> None:
    assert choose_devices(words, inventory) == devices


@pytest.mark.parametrize("word", ["gpu", "cuda:4", "cuda:x", "cuda:-1", "cuda:00", "CPU", ""])
def test_an_unknown_device_is_refused_with_those_that_are_known(word: str) -> None:
    known = "there are: cpu, cuda:0, cuda:1, cuda:2, cuda:3$"
    with pytest.raises(UsageError, match=f"there is no device '{word}' here; {known}"):
        choose_devices(f"cuda:0,{word}", FOUR)
    with pytest.raises(UsageError, match=r"there is no device 'cuda' here; there are: cpu$"):
        choose_devices("cuda", NONE)


def test_slots_of_different_devices_alternate_and_know_their_memory() -> None:
    slots = device_slots(["cuda:2", "cuda:0"], FOUR, jobs=9, jobs_per_device=2, threads=3)
    assert [slot.name for slot in slots] == ["cuda:2/0", "cuda:0/0", "cuda:2/1", "cuda:0/1"]
    known = {(slot.host_device, slot.memory, slot.threads) for slot in slots}
    assert known == {(device, 10 * GB, 3) for device in ("cuda:0", "cuda:2")}
    cpu = device_slots(["cpu"], FOUR, jobs=2, jobs_per_device=5, threads=1)
    assert [(slot.name, slot.memory) for slot in cpu] == [("cpu/0", None), ("cpu/1", None)]


@pytest.mark.slow
def test_four_gpus_work_at_once_and_every_process_sees_its_own_only(tmp_path: Path) -> None:
    slots = device_slots(choose_devices("auto", FOUR), FOUR, jobs=1, jobs_per_device=1, threads=1)
    tasks = [Task(str(number), "", (str(tmp_path), str(number), 4)) for number in range(4)]
    outcomes = run_local(tasks, work.rendezvous, slots)
    assert sorted((outcome.slot.host_device, outcome.value) for outcome in outcomes) == [
        (f"cuda:{index}", (str(index), True)) for index in range(4)
    ]


def test_two_that_fit_share_a_gpu_at_once(tmp_path: Path) -> None:
    slots = device_slots(["cuda:2"], FOUR, jobs=1, jobs_per_device=2, threads=1)
    tasks = [Task(name, "", (str(tmp_path), name, 2), 1.0, 5 * GB) for name in ("a", "b")]
    outcomes = list(run_local(tasks, work.rendezvous, slots))
    assert [outcome.value for outcome in outcomes] == [("2", True)] * 2


def test_a_run_on_pretended_gpus_pins_each_cell_and_records_it(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def pretend(*, gpus: bool) -> Inventory:
        asked.append(gpus)
        return FOUR

    monkeypatch.setattr(module, "take_inventory", pretend)
    monkeypatch.setattr(module, "possible_inventory", lambda words: FOUR)
    usual = ["--results", tmp_path / "r", "--plugin", FAULTS, "--datasets", small, "--methods", "pinned"]
    words = ["run", *usual, "--set", "pinned.seconds=0.05", "--seeds", 4, "--devices", "cuda:3,cuda:1"]
    forecast = say(*words, "--dry-run")
    assert "cuda:1: 2 cells in 1 slot" in forecast.out
    assert "cuda:3: 2 cells in 1 slot" in forecast.out
    said = say(*words)
    assert (said.status, said.err) == (0, "")
    store = Store(tmp_path / "r")
    seen: dict[str, list[tuple[float, float]]] = {}
    for record in store.records():
        assert record.environment.device == "cuda:0"
        assert record.identity.device == "cuda"
        assert "--devices cuda" in record.environment.command
        _, visible, device, begin, end = store.log(record.digest).splitlines()[0].split()
        assert device == "cuda:0"
        seen.setdefault(visible, []).append((float(begin), float(end)))
    assert seen.keys() == {"'1'", "'3'"}
    for stays in seen.values():
        assert all(a[1] <= b[0] or b[1] <= a[0] for a, b in combinations(stays, 2))
    assert say(*words).status == 0
    assert asked == [True, True]  # a finished grid has no need of a long look at the machine
    on_cpu = say(*words, "--devices", "cpu", "--dry-run")
    assert "4 cells, 4 to run" in on_cpu.out  # what a GPU has done is no number of the CPU
    say(*words, "--devices", "cuda:7").check(2, "no device 'cuda:7'")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--devices", "cuda:7"], "there is no device 'cuda:7' here; there are: cpu, cuda:0, cuda:1"),
        (["--devices", "cuda", "--jobs", "2"], "--jobs is for the CPU; --jobs-per-device says"),
        (["--devices", "cuda", "--jobs", "0"], "name one of cuda:0, cuda:1, cuda:2, cuda:3 with --devices"),
        (["--devices", "auto", "--jobs", "0", "--max-memory", "1G"], "on one device"),
        (["--devices", "auto,cpu"], "a run is either on the CPU or on GPUs"),
    ],
)
def test_what_contradicts_itself_on_gpus_is_one_sentence_and_status_2(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    monkeypatch.setattr(module, "take_inventory", lambda *, gpus: FOUR)
    monkeypatch.setattr(module, "possible_inventory", lambda words: FOUR)
    usual = ("--results", tmp_path / "r", "--plugin", FAULTS, "--datasets", small, "--methods", "plain")
    said = say("run", *usual, *words)
    assert (said.status, said.out) == (2, "")
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1
    assert not (tmp_path / "r" / "runs").exists()


def test_one_gpu_can_be_used_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "take_inventory", lambda *, gpus: FOUR)
    site = LocalMachine(DeviceOptions("cuda:2", 0)).site()
    assert (site.slots, site.device) == ([], "cuda:2")


@pytest.mark.parametrize(
    ("words", "possible", "found", "kind", "devices", "asked"),
    [
        ("cpu", FOUR, FOUR, "cpu", "cpu", 0),
        ("cuda:1,cuda:0", FOUR, FOUR, "cuda", "cuda:1,cuda:0", 0),
        ("cuda", NONE, NONE, "cuda", "cuda", 0),  # that there is none is found when it is needed
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
    asked: int,
) -> None:
    looks = []
    monkeypatch.setattr(module, "possible_inventory", lambda _: possible)

    def look(*, gpus: bool) -> Inventory:
        looks.append(gpus)
        return found

    monkeypatch.setattr(module, "take_inventory", look)
    resolved = LocalMachine(DeviceOptions(words))
    assert (resolved.kind, resolved.devices, len(looks)) == (kind, devices, asked)


def test_the_inventory_of_the_cpu_is_within_the_containers_limits_and_needs_no_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 3)
    monkeypatch.setattr(subprocess, "run", None)
    assert take_inventory(gpus=False) == Inventory(3)
    assert not wants_gpus("cpu")
    assert all(wants_gpus(words) for words in ("auto", "cuda", "cuda:1", "cpu,cuda:0", "gpu"))


def test_gpus_are_what_pytorch_lists_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch that pretends stands in for one with CUDA; the process is a real one."""
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.9.0")
    pretended = """
import json
print("a greeting of some library")
print(json.dumps([["A100", 42949672960], ["A100", 42949672960]]))
"""
    monkeypatch.setattr(module, "_LIST", pretended)
    found = take_inventory(gpus=True)
    assert found.gpus == (Gpu(0, "A100", 40 * GB), Gpu(1, "A100", 40 * GB))
    assert found.devices == ["cpu", "cuda:0", "cuda:1"]
    monkeypatch.setattr(module, "_LIST", "raise SystemExit('no driver that suits')")
    with pytest.raises(DeviceError, match="no driver that suits; repair its installation, or use"):
        take_inventory(gpus=True)


def test_a_pytorch_that_is_built_for_the_cpu_or_absent_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(subprocess, "run", None)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.9.0+cpu")
    assert take_inventory(gpus=True).gpus == ()
    monkeypatch.setattr("importlib.metadata.version", absent)
    assert take_inventory(gpus=True).gpus == ()


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
def test_how_many_gpus_there_can_be_is_known_without_pytorch(
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
    places = ("nvidia", "kfd", "dxg")
    drivers = tuple(str(tmp_path / (name if name == listed else "absent")) for name in places)
    monkeypatch.setattr(module, "_DRIVERS", drivers)
    monkeypatch.setattr("importlib.metadata.version", lambda name: built)
    monkeypatch.setattr(sys, "platform", "linux")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert module._most_gpus() == most
    few = possible_inventory("cuda:1")
    assert len(few.gpus) == (2 if most is None else most)
    assert choose_devices("auto", possible_inventory("auto"))
    if most is None:  # any GPU may be there, but nothing that is no name of one
        assert choose_devices("cuda:12,cuda:0", possible_inventory("cuda:12,cuda:0")) == ["cuda:12", "cuda:0"]
    with pytest.raises(UsageError, match="there is no device 'gpu' here"):
        choose_devices("gpu", possible_inventory("gpu"))
    with pytest.raises(UsageError, match="there is no device 'cuda:99999' here"):
        choose_devices("cuda:99999", possible_inventory("cuda:99999"))


class FakeCuda:
    """Of a torch with two GPUs, on one of which somebody else works; the other he has to himself."""

    def device_count(self) -> int:
        return 2

    def get_device_properties(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(name="H100", total_memory=80 * GB)

    def mem_get_info(self, index: int) -> tuple[int, int]:
        if index:
            raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable")
        return 30 * GB, 80 * GB


def test_a_gpu_has_the_memory_that_others_leave(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=FakeCuda()))
    exec(module._LIST, {})
    assert json.loads(capsys.readouterr().out) == [["H100", 30 * GB], ["H100", 80 * GB]]


@pytest.mark.slow
def test_the_question_to_pytorch_is_understood() -> None:
    """The program that asks, with the real PyTorch: it answers with a list, empty without a GPU."""
    done = subprocess.run([sys.executable, "-c", module._LIST], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("[")


def test_slots_have_their_threads_and_see_their_own_gpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_slots_that_cannot_be_are_refused(
    monkeypatch: pytest.MonkeyPatch, slots: int, threads: int, device: str, words: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-abc")
    with pytest.raises(UsageError, match=words):
        local_slots(slots, threads, device)
