"""Versions of code: confirmed, edited, or unknown; an edited method makes its records stale by itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import registry
from bench.contract import PluginError
from bench.registry import Versions, versions
from bench.registry.code import CodeDigests, Confirmed, Lock, read_lock
from bench.registry.versions import HARNESS, plugin_files, room_files, toolkits_of
from tests.registry.conftest import METHOD, Writer


def lock(**methods: Confirmed) -> Lock:
    return {"rooms": {}, "methods": methods, "datasets": {}}


def digest(path: Path) -> str:
    return CodeDigests().of_files({path.name: path})


def test_a_confirmed_method_has_its_version_an_edited_one_its_digest_too(write: Writer) -> None:
    path = write("alpha")
    confirmed = lock(alpha=Confirmed(3, digest(path)))
    assert Versions(confirmed).code("alpha") == "alpha 3"
    path.write_text(path.read_text() + "# a comment\n")
    assert Versions(confirmed).code("alpha") == "alpha 3"
    write("alpha", epochs=21)
    assert Versions(confirmed).code("alpha") == f"alpha 3+{digest(path)[:8]}"


def test_a_method_that_nobody_confirmed_is_named_by_its_digest(write: Writer) -> None:
    path = write("alpha")
    before = Versions(lock()).code("alpha")
    assert before == f"alpha {digest(path)[:8]}"
    write("alpha", text=METHOD.replace("np.asarray(features)", "np.asarray(features) * 2"))
    assert Versions(lock()).code("alpha") not in (before, "")
    assert Versions(lock()).code("gone") == ""


@pytest.mark.parametrize("helper", ["helper.py", "helper/inner.py"])
@pytest.mark.parametrize("by_hand", [False, True])
def test_a_file_beside_a_method_that_it_imports_is_part_of_it(
    write: Writer, home: Path, tmp_path: Path, helper: str, by_hand: bool
) -> None:
    folder = tmp_path if by_hand else home / "methods"
    (folder / helper).parent.mkdir(exist_ok=True)
    (folder / "helper").mkdir(exist_ok=True)
    (folder / "helper" / "__init__.py").touch()
    (folder / helper).write_text("SIZE = 1\n")
    (folder / "stranger.py").write_text("SIZE = 1\n")
    text = "try:\n    from .helper import SIZE\nexcept ImportError:\n    SIZE = 0\n" + METHOD
    write("alpha", folder=folder, text=text)
    if by_hand:
        registry.add_plugin(folder / "alpha.py")
    before = Versions(lock()).code("alpha")
    (folder / "stranger.py").write_text("SIZE = 2\n")
    assert Versions(lock()).code("alpha") == before
    (folder / helper).write_text("SIZE = 2\n")
    assert Versions(lock()).code("alpha") != before


def test_an_entry_point_comes_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "their_package"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__.py", "method.py", "inner/nets.py"):
        (package / name).write_text(f"# {name}\n")
    (tmp_path / "their_module.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    files = plugin_files("entry point one = their_package.method:One")
    assert set(files) == {f"their_package/{name}" for name in ("__init__.py", "method.py", "inner/nets.py")}
    alone = {"their_module.py": tmp_path / "their_module.py"}
    assert plugin_files("entry point two = their_module:Two") == alone
    assert plugin_files("entry point three = nowhere_at_all:Three") == {}
    assert "their_package" not in sys.modules


def test_the_toolkits_are_those_that_the_files_import(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    for text, names in (
        ("from bench.training import Loop\n", ["training"]),
        ("import bench.linear.eigen\nfrom bench.contract import Method\n", ["linear"]),
        ("from bench import linear, training as t\n", ["training", "linear"]),
        ('"""of bench.training"""\nfrom bench.contract import Method\n', []),
    ):
        file.write_text(text)
        assert toolkits_of([file]) == names


def test_the_harness_has_a_version_per_room_and_ignores_what_changes_no_number() -> None:
    named = [word.split()[0] for word in Versions(lock()).harness.split(", ")]
    assert named == [*HARNESS]
    assert "cell.py" in room_files("experiment")
    assert "cost.py" not in room_files("experiment")
    assert {"context.py", "method.py", "data.py"} <= room_files("contract").keys()


def test_what_is_left_out_of_a_room_is_there_to_be_left_out() -> None:
    for room, stems in versions._WITHOUT.items():
        there = {path.stem for path in (Path(versions.__file__).parents[1] / room).rglob("*.py")}
        assert stems <= there, room


def test_a_damaged_lock_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "versions.yaml"
    assert read_lock(path) == lock()
    for text in ("rooms: {}\n", "rooms: {a: 1}\nmethods: {}\ndatasets: {}\n", "[]\n"):
        path.write_text(text)
        with pytest.raises(PluginError, match="make versions"):
            read_lock(path)


LOADER = """
import numpy as np

from bench.contract import DatasetCard, DatasetLoader, Fact, FileCard, ModalityCard


class Mine(DatasetLoader):
    card = DatasetCard(
        name="mine", title="Mine", licence="MIT", source="here", n_classes=Fact(2, "confirmed"),
        modalities=tuple(
            ModalityCard(name, Fact("", "confirmed"), Fact(2, "confirmed"), Fact(None, "confirmed"), "dense")
            for name in ("image", "text")
        ),
        files=(FileCard("mine.bin", "here"),),
    )

    def read(self, files):
        return {SCALE}
"""


def test_an_edited_loader_is_other_data(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.data import fingerprint_of

    (tmp_path / "mine.bin").write_bytes(b"data")
    file = home / "datasets" / "mine.py"
    found = []
    for scale in ("1", "1  # one", "2"):
        file.write_text(LOADER.replace("{SCALE}", scale))
        registry.rescan()
        found.append(fingerprint_of("mine", tmp_path)[1])
    assert found[0] == found[1] != found[2]
