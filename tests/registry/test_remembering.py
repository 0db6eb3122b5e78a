"""Cards and settings are remembered between processes, and never longer than they are true."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.registry import cache, describing, descriptions
from bench.registry.sources import Source
from tests.registry.conftest import ASK, METHOD, Writer


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of sources that had to be imported, as it grows."""
    seen: list[str] = []
    original = descriptions.describe

    def describe(source: Source) -> Any:
        seen.append(source.where)
        return original(source)

    monkeypatch.setattr(describing, "describe", describe)
    return seen


def _catalogue(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "cross-modal-bench" / "catalogue.json"


def test_a_known_file_is_not_imported_again(write: Writer, described: list[str]) -> None:
    file = write("alpha")
    first = registry.method("alpha")
    registry.rescan()
    assert registry.method("alpha") == first
    assert described == [str(file)]


def test_a_changed_file_is_described_anew(write: Writer, described: list[str]) -> None:
    write("alpha", epochs=20)
    registry.registered()
    write("alpha", epochs=300)
    registry.registered()
    assert len(described) == 2


IMPORTS = (
    "from ._base import epochs",
    "from . import _base",
    "from . import (\n    _base,\n)",
    "import methods._base",
    "from ._middle import epochs",
    "import importlib\nbase = importlib.import_module('._ba' + 'se', __package__)",
)


@pytest.mark.parametrize("line", IMPORTS)
def test_a_change_in_a_file_that_it_imports_counts_too(
    write: Writer, described: list[str], home: Path, line: str
) -> None:
    """Settings may be inherited from a base class that lives elsewhere."""
    base = home / "methods" / "_base.py"
    base.write_text("epochs = 3\n")
    (home / "methods" / "_middle.py").write_text("from ._base import epochs\n")
    file = write("alpha")
    file.write_text(
        file.read_text() + f"\n\ndef later() -> None:\n    {line.replace(chr(10), chr(10) + '    ')}\n"
    )
    registry.registered()
    base.write_text("epochs = 300\n")
    registry.rescan()
    registry.registered()
    assert len(described) == 2


def test_a_change_in_a_file_that_has_nothing_to_do_with_it_does_not_count(
    write: Writer, described: list[str]
) -> None:
    write("alpha")
    registry.registered()
    beta = write("beta")
    registry.rescan()
    registry.registered()
    assert described[1:] == [str(beta)]


def test_files_named_by_hand_are_always_imported(write: Writer, described: list[str], tmp_path: Path) -> None:
    file = write("alpha", folder=tmp_path)
    registry.add_plugin(file)
    registry.registered()
    registry.rescan()
    registry.registered()
    assert described.count(str(file)) == 4  # as methods and as datasets, twice
    assert str(file) not in (_catalogue(tmp_path).read_text() if _catalogue(tmp_path).exists() else "")


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 1}', "null"])
def test_a_damaged_catalogue_does_no_harm(write: Writer, tmp_path: Path, content: str) -> None:
    write("alpha")
    registry.registered()
    _catalogue(tmp_path).write_text(content)
    registry.rescan()
    assert registry.method_names() == ["alpha"]


def test_an_entry_of_another_shape_is_described_anew(
    write: Writer, tmp_path: Path, described: list[str]
) -> None:
    write("alpha")
    registry.registered()
    entries = json.loads(_catalogue(tmp_path).read_text())
    for entry in entries.values():
        entry["value"] = [{"name": 3}]
    _catalogue(tmp_path).write_text(json.dumps(entries))
    registry.rescan()
    assert registry.method_names() == ["alpha"]
    assert len(described) == 2


def test_a_catalogue_that_cannot_be_written_does_no_harm(
    write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    write("alpha")
    assert registry.method_names() == ["alpha"]


def test_the_catalogue_lies_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", os.sep + "home-of-nobody")
    assert cache.cache_file("catalogue.json") == Path(
        "/home-of-nobody/.cache/cross-modal-bench/catalogue.json"
    )


def test_descriptions_survive_the_file_unchanged(home: Path, tmp_path: Path) -> None:
    from tests.registry.test_discovery import DATASET

    (home / "datasets" / "pets.py").write_text(DATASET)
    registry.rescan()
    first = registry.dataset("pets").card
    registry.rescan()
    assert registry.dataset("pets").card == first
    assert first.modalities[0].rows.value == (3, 2, 1)
    assert _catalogue(tmp_path).is_file()


class TestInAnotherProcess:
    """Plug-ins are described where their imports do no harm."""

    @pytest.fixture(autouse=True)
    def apart(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Let another process do it, also where torch is loaded in this one."""
        monkeypatch.setattr(describing, "_ask", ASK)
        monkeypatch.delitem(sys.modules, "torch", raising=False)
        monkeypatch.syspath_prepend(str(tmp_path))

    def test_what_plug_ins_import_and_print_stays_there(
        self, write: Writer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "this_is_heavy.py").write_text("")
        write("alpha", text="import this_is_heavy\nprint('noise')\n" + METHOD)
        write("broken", text="raise RuntimeError('no')\n")
        assert registry.method_names() == ["alpha"]
        assert registry.method("alpha").defaults["hidden"] == [4, 4]
        assert "RuntimeError: no (broken.py, line 1)" in registry.registered().problems[0].reason
        assert "this_is_heavy" not in sys.modules
        assert "noise" not in capfd.readouterr().out
        registry.method_class("alpha")
        assert "this_is_heavy" in sys.modules

    def test_who_uses_a_method_imports_it_once_and_here(
        self, write: Writer, monkeypatch: pytest.MonkeyPatch, described: list[str]
    ) -> None:
        file = write("alpha")
        monkeypatch.setattr(describing, "_ask", lambda sources: pytest.fail("another process was started"))
        assert registry.create_method("alpha").settings.epochs == 20
        assert described == [str(file)]

    @pytest.mark.parametrize("executable", ["", "/no/such/python", "/bin/false"])
    def test_without_another_process_it_is_done_here(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str
    ) -> None:
        file = tmp_path / "alpha.py"
        file.write_text(METHOD.format(cls="Alpha", name="alpha", epochs=20, position=1))
        monkeypatch.setattr(sys, "executable", executable)
        source = Source("methods", str(file), "k", f"bench_plugin_here_{len(executable)}")
        (answer,) = describing.describe_apart([source])
        assert answer.value[0]["card"]["name"] == "alpha"

    def test_nothing_is_started_for_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", "/no/such/python")
        assert describing.describe_apart([]) == []
