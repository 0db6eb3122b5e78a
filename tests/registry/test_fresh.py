"""A method's modules are executed anew in the body of `fresh_modules`, and those of before come back."""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.contract import Method
from bench.registry import sources
from tests.registry.conftest import METHOD, Install, Writer

COUNTING = METHOD + "\n\nSEEN = []\n"
BESIDE = "import sys\nsys.path.insert(0, {folder!r})\nimport helper_of_fresh\n" + COUNTING


@pytest.fixture(autouse=True)
def _same_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what the test imports."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def seen(cls: type[Method]) -> list[int]:
    """Return the list at module level beside a class."""
    found: list[int] = sys.modules[cls.__module__].SEEN
    return found


def state_is_fresh_and_comes_back(name: str) -> None:
    first = registry.method_class(name)
    seen(first).append(1)
    module = sys.modules[first.__module__]
    for _ in range(2):
        with registry.fresh_modules(name):
            cls = registry.method_class(name)
            assert cls is not first
            assert cls is registry.method_class(name)
            assert issubclass(cls, Method)
            assert pickle.loads(pickle.dumps(cls)) is cls
            assert seen(cls) == []
            seen(cls).append(2)
    assert sys.modules[first.__module__] is module
    assert registry.method_class(name) is first
    assert seen(first) == [1]


def test_a_file_named_by_hand_also_after_an_error(write: Writer, tmp_path: Path) -> None:
    registry.add_plugin(write("alpha", folder=tmp_path, text=COUNTING))
    state_is_fresh_and_comes_back("alpha")
    first = registry.method_class("alpha")
    with pytest.raises(ZeroDivisionError), registry.fresh_modules("alpha"):
        raise ZeroDivisionError
    assert registry.method_class("alpha") is first


def test_modules_beside_a_file_named_by_hand(write: Writer, tmp_path: Path) -> None:
    (tmp_path / "helper_of_fresh.py").write_text("STATE = []\n")
    (tmp_path / "package_of_fresh").mkdir()
    for name in ("__init__.py", "deep.py"):
        (tmp_path / "package_of_fresh" / name).write_text("STATE = []\n")
    text = BESIDE.replace("{folder!r}", repr(str(tmp_path))) + "\nfrom package_of_fresh import deep\n"
    registry.add_plugin(write("alpha", folder=tmp_path, text=text))
    registry.method_class("alpha")
    names = ("helper_of_fresh", "package_of_fresh.deep")
    for name in names:
        sys.modules[name].STATE.append(1)
    kept = sys.modules["json"], sys.modules["bench.contract"], sys.modules["numpy"]
    with registry.fresh_modules("alpha"):
        registry.method_class("alpha")
        assert [sys.modules[name].STATE for name in names] == [[], []]
        assert (sys.modules["json"], sys.modules["bench.contract"], sys.modules["numpy"]) == kept
    assert [sys.modules[name].STATE for name in names] == [[1], [1]]


def test_modules_of_folders_below_and_of_folders_with_a_longer_name_stay(
    write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = (tmp_path / "mine" / "below", tmp_path / "mine2")
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        (folder / f"apart_of_fresh{number}.py").touch()
        monkeypatch.syspath_prepend(folder)
    apart = [importlib.import_module(f"apart_of_fresh{number}") for number in range(2)]
    registry.add_plugin(write("alpha", folder=tmp_path / "mine"))
    with registry.fresh_modules("alpha"):
        assert [sys.modules.get(module.__name__) for module in apart] == apart


def test_methods_that_import_each_other_relatively(
    home: Path, write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = (home / "methods").rename(home / "package_of_fresh")
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.setattr(sources, "_package", lambda kind: (package, "package_of_fresh"))
    write("alpha", folder=package, text=COUNTING)
    relative = "\n\nfrom .alpha import Alpha\nfrom . import alpha\n\nassert alpha.Alpha is Alpha\n"
    write("beta", folder=package, text=COUNTING + relative)
    state_is_fresh_and_comes_back("beta")
    first = registry.method_class("alpha")
    with registry.fresh_modules("beta"):
        cls: Any = registry.method_class("beta")
        inner = sys.modules[cls.__module__].Alpha
        assert inner is registry.method_class("alpha")
        assert inner is not first
    assert importlib.import_module("package_of_fresh").alpha.Alpha is first


def test_an_entry_point(
    tmp_path: Path, write: Writer, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside_of_fresh").mkdir()
    (tmp_path / "outside_of_fresh" / "__init__.py").touch()
    write("alpha", folder=tmp_path / "outside_of_fresh", text=COUNTING)
    monkeypatch.syspath_prepend(str(tmp_path))
    install(alpha="outside_of_fresh.alpha:Alpha")
    state_is_fresh_and_comes_back("alpha")
