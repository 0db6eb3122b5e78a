"""Datasets are opened in a worker: a bad one costs itself only, with a sentence, and never the run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contract import UsageError
from bench.execution import data_check
from bench.execution.data_check import describe_sources, forget_data
from tests.grid import only_plugins, say, write_bundle

LOADER = """
import os, sys, time
from pathlib import Path
from bench.contract import DatasetCard, DatasetLoader, Fact, ModalityCard

class Broken(DatasetLoader):
    card = DatasetCard(
        name="broken",
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


def looked_at(results: Path) -> int:
    """Return when the file that remembers datasets was last written."""
    return (results / "datasets.json").stat().st_mtime_ns


def test_a_bundle_is_described_once_and_again_when_its_file_changes(tmp_path: Path) -> None:
    bundle, results = write_bundle(tmp_path / "a.npz"), tmp_path / "r"
    first = describe_sources([str(bundle)], tmp_path, "quick", results).usable[str(bundle)]
    assert (first.name, first.kind, first.modalities) == ("a", "real", ("image", "text"))
    stamp = looked_at(results)
    data_check._KNOWN.clear()
    assert describe_sources([str(bundle)], tmp_path, "quick", results).usable[str(bundle)] == first
    assert looked_at(results) == stamp
    write_bundle(bundle, seed=1)
    changed = describe_sources([str(bundle)], tmp_path, "quick", results).usable[str(bundle)]
    assert changed.fingerprint != first.fingerprint
    forget_data(str(bundle), results, tmp_path, "quick")
    assert (results / "datasets.json").read_text() == "{}"
    (results / "datasets.json").write_text("nonsense")
    assert describe_sources([str(bundle)], tmp_path, "quick", results).usable[str(bundle)] == changed


def test_a_bundle_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file .*absent\.npz"):
        describe_sources([str(tmp_path / "absent.npz")], tmp_path, "quick")


def hostile(tmp_path: Path, kind: str) -> Path:
    """Return a bundle that is no bundle, in the way that ``kind`` names."""
    path = tmp_path / f"{kind}.npz"
    if kind == "pipe":
        os.mkfifo(tmp_path / "fifo")
        path.symlink_to(tmp_path / "fifo")
    elif kind == "folder":
        path.mkdir()
    elif kind == "nonsense":
        path.write_bytes(b"PK\x03\x04 nonsense")
    elif kind == "large":  # a little that unpacks to 400 MB
        np.savez_compressed(path, train_image=np.zeros((20_000, 2_500)), train_text=np.zeros((3, 3)))
    elif kind == "unreadable":
        write_bundle(tmp_path / "whole.npz")
        content = bytearray((tmp_path / "whole.npz").read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_no_bundle(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UsageError, match=r"no file|no dataset"):
        describe_sources([str(hostile(tmp_path, kind))], tmp_path, "quick")


def test_a_file_that_is_no_bundle_costs_itself_only(tmp_path: Path) -> None:
    bad = [hostile(tmp_path, kind) for kind in ("nonsense", "unreadable")]
    datasets = ",".join(map(str, [*bad, write_bundle(tmp_path / "good.npz")]))
    words = ("--methods", "mcca", "--jobs", 0, "--datasets", datasets)
    said = say("run", "--results", tmp_path / "r", *words)
    said.check(2, "1 cell: 1 done", *(f"error: {path} is left out: " for path in bad))
    assert "Traceback" not in said.out + said.err


@pytest.mark.slow
def test_a_bundle_that_unpacks_to_more_memory_than_there_is_costs_itself_only(tmp_path: Path) -> None:
    bad, good = str(hostile(tmp_path, "large")), str(write_bundle(tmp_path / "good.npz"))
    sources = describe_sources([bad, good], tmp_path, "quick", max_memory=300 << 20)
    assert [*sources.usable] == [good]
    assert [*sources.damaged] == [bad]


@pytest.mark.parametrize(
    ("read", "words"),
    [
        ("raise KeyError('a bug')", "KeyError: 'a bug'"),
        pytest.param("sys.exit(0)", "exit with status 0", marks=pytest.mark.drill),
        ("time.sleep(60)", "time limit of 2 s"),
        pytest.param("os._exit(0)", "ended by itself with status 0", marks=pytest.mark.drill),
        pytest.param("import ctypes; ctypes.string_at(0)", "SIGSEGV", marks=pytest.mark.drill),
        pytest.param("return None", "", marks=pytest.mark.drill),
    ],
)
def test_a_dataset_plugin_with_a_bug_costs_itself_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: str, words: str
) -> None:
    seconds = 2.0 if "limit" in words else 60.0
    monkeypatch.setattr(data_check, "_LEAST_SECONDS", seconds)
    (tmp_path / "data.bin").write_bytes(b"x")
    plugin = tmp_path / "plugin.py"
    plugin.write_text(LOADER.format(read=read, file=str(tmp_path / "data.bin")))
    good = str(write_bundle(tmp_path / "good.npz"))
    with only_plugins(plugin):
        sources = describe_sources(["broken", good], tmp_path, "quick", timeout=seconds)
    assert [*sources.usable] == [good]
    assert words in sources.damaged["broken"]
    assert "\n" not in sources.damaged["broken"]


def test_this_process_opens_no_data_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("opened here")

    bundle = write_bundle(tmp_path / "a.npz")
    shutil.copy(bundle, tmp_path / "b.npz")
    monkeypatch.setattr(np, "load", refuse)
    monkeypatch.setattr("bench.data.load_dataset", refuse)
    assert len(describe_sources([str(bundle), str(tmp_path / "b.npz")], tmp_path, "quick").usable) == 2
