"""Datasets are opened in a worker: a bad one is left out with a sentence and never ends the run."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from bench.contract import UsageError
from bench.execution import data_check
from bench.execution.data_check import describe_sources, forget_data
from bench.experiment.grid import DataSource
from tests.grid import data_opened_here, only_plugins, run_command, write_bundle

LOADER = """
import os, sys, time
from pathlib import Path
from bench.contract import DatasetCard, DatasetLoader, Fact, ModalityCard

class Broken{number}(DatasetLoader):
    card = DatasetCard(
        name="broken{number}",
        title="Broken",
        modalities=tuple(
            ModalityCard(name, Fact("f", "doubtful"), Fact(4, "doubtful"), Fact(None, "doubtful"), "dense")
            for name in ("image", "text")
        ),
        n_classes=Fact(2, "confirmed"),
        licence="none",
        source="none",
    )
    embedded = {{"file": Path({file!r})}}

    def read(self, files):
        {read}
"""


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_check, "_KNOWN", {})


def describe(bundle: Path, results: Path) -> DataSource:
    with data_opened_here():
        return describe_sources([str(bundle)], bundle.parent, "quick", results).usable[str(bundle)]


def test_a_bundle_is_described_once_and_again_when_its_file_changes(tmp_path: Path) -> None:
    bundle, results = write_bundle(tmp_path / "a.npz"), tmp_path / "r"
    first = describe(bundle, results)
    assert (first.name, first.kind, first.modalities) == ("a", "real", ("image", "text"))
    written = (results / "datasets.json").stat().st_mtime_ns
    data_check._KNOWN.clear()
    assert describe(bundle, results) == first
    assert (results / "datasets.json").stat().st_mtime_ns == written
    write_bundle(bundle, seed=1)
    changed = describe(bundle, results)
    assert changed.fingerprint != first.fingerprint
    forget_data(str(bundle), results, tmp_path, "quick")
    assert (results / "datasets.json").read_text() == "{}"
    (results / "datasets.json").write_text("nonsense")
    assert describe(bundle, results) == changed


def test_another_draw_of_look_alikes_is_not_taken_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fingerprint() -> str:
        with data_opened_here():
            found = describe_sources(["wikipedia"], tmp_path, "quick", tmp_path / "r")
        return found.usable["wikipedia"].fingerprint

    usual = fingerprint()
    monkeypatch.setenv("BENCH_LOOK_ALIKE_DRAW", "21")
    assert fingerprint() != usual
    monkeypatch.delenv("BENCH_LOOK_ALIKE_DRAW")
    assert fingerprint() == usual


def test_a_path_at_which_nothing_is_is_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "link.npz"
    path.symlink_to(tmp_path / "absent")
    with data_opened_here(), pytest.raises(UsageError, match="no file or folder"):
        describe_sources([str(path), str(write_bundle(tmp_path / "good.npz"))], tmp_path, "quick")


@pytest.fixture
def others(tmp_path: Path) -> dict[str, str]:
    """Return paths of what is no file of arrays, with the words that state it."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link.npz").symlink_to("fifo")
    os.mkfifo(tmp_path / "recipe.yaml")
    (tmp_path / "mine.yaml").write_text("files: fifo\ntrain: {image: i, labels: l}\n")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "null.mat").symlink_to("/dev/null")
    words = {"fifo": "a pipe", "link.npz": "a pipe", "recipe.yaml": "a pipe", "mine.yaml": "a pipe"}
    words |= {"folder.npz": "no file of arrays", "null.mat": "a device"}
    return {str(tmp_path / name): word for name, word in words.items()}


def test_pipes_devices_and_empty_folders_are_left_out_and_the_others_run(
    tmp_path: Path, others: dict[str, str]
) -> None:
    reading, writing = os.pipe()  # as the substitution of a process by a shell
    given = {**others, f"/dev/fd/{reading}": "a pipe"}
    paths = ",".join([*given, str(write_bundle(tmp_path / "good.npz"))])
    words = ("--methods", "mcca", "--jobs", 0, "--datasets", paths)
    output = run_command("run", "--results", tmp_path / "r", *words)
    output.check(2, "1 cell: 1 done")
    os.close(reading)
    os.close(writing)
    lines = {line.partition(" is left out: ")[0]: line for line in output.err.splitlines()}
    for path, word in given.items():
        assert word in lines[f"error: {path}"], output.err


def test_doctor_and_tune_name_each_that_cannot_be_read_and_go_on(
    tmp_path: Path, others: dict[str, str]
) -> None:
    good = str(write_bundle(tmp_path / "good.npz"))
    output = run_command("data", "doctor", *others, good)
    output.check(2, *others.values(), "good: complete")
    words = ("--methods", "sm", "--trials", 1, "--datasets", ",".join([*others, good]))
    tuned = run_command("tune", "--results", tmp_path / "r", *words)
    tuned.check(2, "sm on", *(f"{path} is left out: " for path in others))


def test_a_file_that_is_no_bundle_is_left_out(tmp_path: Path) -> None:
    nonsense, unreadable = tmp_path / "nonsense.npz", write_bundle(tmp_path / "unreadable.npz")
    nonsense.write_bytes(b"PK\x03\x04 nonsense")
    content = bytearray(unreadable.read_bytes())
    content[len(content) // 2] ^= 0xFF
    unreadable.write_bytes(content)
    datasets = ",".join(map(str, [nonsense, unreadable, write_bundle(tmp_path / "good.npz")]))
    words = ("--methods", "mcca", "--jobs", 0, "--datasets", datasets)
    output = run_command("run", "--results", tmp_path / "r", *words)
    output.check(2, "1 cell: 1 done", *(f"error: {path} is left out: " for path in (nonsense, unreadable)))
    assert "Traceback" not in output.out + output.err


def test_a_modality_whose_name_no_record_could_hold_is_left_out(tmp_path: Path) -> None:
    bad = tmp_path / "bad.npz"
    with np.load(write_bundle(tmp_path / "good.npz")) as arrays:
        np.savez(bad, **{key.replace("text", "t" * 240): values for key, values in arrays.items()})
    with data_opened_here():
        sources = describe_sources([str(bad), str(tmp_path / "good.npz")], tmp_path, "quick")
    assert [*sources.usable] == [str(tmp_path / "good.npz")]
    assert "modality" in sources.damaged[str(bad)]


def test_a_damaged_card_of_a_bundle_costs_its_note_only(tmp_path: Path) -> None:
    cards = [b"\xff", "[" * 100_000, '{"modalities": []}', '{"modalities": {"image": 5}}', "1" * 5000]
    paths = [str(tmp_path / f"card{number}.npz") for number in range(len(cards))]
    with np.load(write_bundle(tmp_path / "good.npz")) as arrays:
        for path, card in zip(paths, cards, strict=True):
            np.savez(path, card=np.array(card), **arrays)
    with data_opened_here():
        sources = describe_sources(paths, tmp_path, "quick")
    assert ([*sources.usable], sources.damaged) == (paths, {})
    unreadable = [
        any("cannot be read" in note for note in source.notes) for source in sources.usable.values()
    ]
    assert unreadable == [True, True, False, False, True]  # the others are JSON objects


@pytest.mark.slow
def test_a_bundle_that_unpacks_to_more_memory_than_allowed_is_left_out(tmp_path: Path) -> None:
    bad, good = tmp_path / "large.npz", write_bundle(tmp_path / "good.npz")
    np.savez_compressed(bad, train_image=np.zeros((20_000, 2_500)), train_text=np.zeros((3, 3)))
    sources = describe_sources([str(bad), str(good)], tmp_path, "quick", max_memory=300 << 20)
    assert ([*sources.usable], [*sources.damaged]) == ([str(good)], [str(bad)])


FAULTS = {
    "raise KeyError('a bug')": "KeyError: 'a bug'",
    "from bench.contract import UsageError; raise UsageError('wrong')": "UsageError: wrong",
}
ENDLESS = {"time.sleep(60)": "time limit of 5 s"}
MORE_FAULTS = {
    "os.fork(); raise ValueError('\\ud800')": r"\ud800",
    "sys.exit(0)": "exit with status 0",
    "os._exit(0)": "ended by itself with status 0",
    "import ctypes; ctypes.string_at(0)": "SIGSEGV",
    "return None": "",
}
"""The body of a loader's `read`, and words of the reason why its dataset is left out."""


@pytest.mark.parametrize(
    ("faults", "seconds"),
    [
        (FAULTS, 60.0),
        pytest.param(ENDLESS, 5.0, marks=pytest.mark.drill),
        pytest.param(MORE_FAULTS, 60.0, marks=pytest.mark.drill),
    ],
)
def test_a_dataset_plugin_with_a_fault_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: dict[str, str], seconds: float
) -> None:
    monkeypatch.setattr(data_check, "_LEAST_SECONDS", seconds)
    (tmp_path / "data.bin").write_bytes(b"x")
    plugin, file = tmp_path / "plugin.py", str(tmp_path / "data.bin")
    loaders = [LOADER.format(read=read, file=file, number=number) for number, read in enumerate(faults)]
    plugin.write_text("".join(loaders))
    good = str(write_bundle(tmp_path / "good.npz"))
    names = [f"broken{number}" for number in range(len(faults))]
    with only_plugins(plugin):
        sources = describe_sources([*names, good], tmp_path, "quick", timeout=seconds)
    assert [*sources.usable] == [good]
    for name, words in zip(names, faults.values(), strict=True):
        assert words in sources.damaged[name]
    assert not any("\n" in reason for reason in sources.damaged.values())


def test_what_a_loader_changes_in_its_process_does_not_reach_the_next_dataset(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"x")
    plugin, file = tmp_path / "plugin.py", str(tmp_path / "data.bin")
    seen = "os.environ.get('PROBE'), sys.path[:1] == [], os.getcwd() == '/', sys.getrecursionlimit() < 100"
    reads = (
        "os.environ['PROBE'] = '1'; os.chdir('/'); sys.path.clear(); sys.setrecursionlimit(99); 1 / 0",
        f"raise ValueError([{seen}])",
    )
    loaders = [LOADER.format(read=read, file=file, number=number) for number, read in enumerate(reads)]
    plugin.write_text("".join(loaders))
    with only_plugins(plugin):
        sources = describe_sources(["broken0", "broken1"], tmp_path, "quick")
    assert "ZeroDivisionError" in sources.damaged["broken0"]
    assert "[None, False, False, False]" in sources.damaged["broken1"]


def test_this_process_opens_no_data_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = str(write_bundle(tmp_path / "a.npz"))
    for name in ("numpy.load", "bench.data.load_dataset"):
        monkeypatch.setattr(name, Mock(side_effect=AssertionError("opened here")))
    assert [*describe_sources([bundle, "emoji"], tmp_path, "quick").usable] == [bundle, "emoji"]
