"""Digests and versions of code change with what code does, and with nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench import registry
from bench.contract import PluginError
from bench.data import fingerprint_of
from bench.registry import Versions, versions
from bench.registry.code import CodeDigests, Confirmed, Lock, cache_file, code_digest, read_lock
from bench.registry.versions import HARNESS, package_files, plugin_files, toolkits_of
from tests.registry.conftest import METHOD, Writer

CODE = '''
"""A module."""
from __future__ import annotations
from typing import TYPE_CHECKING
import numpy as np
if TYPE_CHECKING:
    from pathlib import Path
__all__ = ["f"]
SIZE: int = 3
"""Explained."""

class A:
    """A class."""
    width: int = 4
    card = MethodCard(name="a", title="A", deep=True, from_paper=("x",))

    def f(self, x: int, *more: float, key: str | None = None) -> float:
        """Return it."""
        found: dict[str, int] = {}
        if x is None:
            raise ValueError(f"no {x!r:>10}")
        assert x, "a message"
        return -0.5 * x ** 2 + {"a": 1, **found}["a"]  # why

    async def g(self):
        match self:
            case A(width=4) | None:
                pass
            case [1, *rest] if rest:
                return lambda a, /, b=1: (yield_ := a)
        return [i async for i in self if i], b"x\\n", 1j, ..., "\u00e9\u2028"
'''
DIGEST = "a90a1ad5f641f8fb"
"""Of the code above, on every version of Python."""

SAME = [
    ('"""A module."""', '"""Another text,\n\nlonger."""'),
    ('        """Return it."""\n', ""),
    ('"""Explained."""', ""),
    ("# why", "# because"),
    ("x: int, *more: float", "x: float, *more"),
    (" -> float", ""),
    ("found: dict[str, int] = {}", "found = {}"),
    ("no {x!r:>10}", "none of {x}"),
    ('assert x, "a message"', "assert x"),
    ('__all__ = ["f"]', '__all__ = ["A", "f"]'),
    ("    from pathlib import Path", "    from os import PathLike"),
    ('title="A"', 'title="Method A"'),
    ('from_paper=("x",)', 'from_paper=("x", "y"), code="https://example.org"'),
    ("-0.5 * x ** 2", "(-0.5\n            * x**2)"),
    ("SIZE: int = 3", "SIZE = 3"),
    ("\n    async", "\n\n\n    async"),
    ('b"x\\n"', "b'x\\x0a'"),
    ("\n", "\r\n"),
]
OTHER = [
    ("-0.5", "-0.25"),
    ("x ** 2", "x * 2"),
    ("width: int", "width: float"),  # decides how a setting is read
    ("import numpy as np", "import torch as np"),
    ("SIZE: int = 3", "SIZE: int = 4"),
    ("deep=True", "deep=False"),
    ("key: str | None = None", "key: str | None = 0"),
    ("raise ValueError", "raise TypeError"),
    ("is None", "is not None"),
    ("[1, *rest]", "[2, *rest]"),
    ("async for", "for"),
    ("1j", "1"),
    ('"\u00e9', '"e'),
    ("**found", "**more"),
]


@pytest.mark.parametrize("change", [("x", "x"), *SAME, *OTHER])
def test_the_digest_changes_with_what_is_computed_and_with_nothing_else(change: tuple[str, str]) -> None:
    assert change[0] in CODE
    assert (code_digest(CODE.replace(*change)) == DIGEST) == (change not in OTHER)


def test_odd_texts_have_digests_too() -> None:
    assert code_digest("def (") != code_digest("def ((")  # not Python
    # versions of Python cut formatted strings into other pieces
    assert code_digest('f"a{x}b" "c" f"d{y}"') == code_digest('f"a{x}bcd{y}"')


def digest(path: Path) -> str:
    return CodeDigests().of_files({path.name: path})


def test_digests_are_cached_by_content_in_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\n")
    first = CodeDigests()
    before = first.of_files({"a.py": file})
    first.remember()
    (cache,) = cache_file("").glob("code-*.json")
    cache.write_text(json.dumps(dict.fromkeys(json.loads(cache.read_text()), "cached")))
    assert digest(file) != before  # the cache is used
    file.write_text("x = 2\n")
    assert digest(file) not in (before, "cached")
    cache.write_text("{damaged")
    file.write_text("x = 1  # the same\n")
    assert digest(file) == before != CodeDigests().of_files({"b.py": file})  # another module
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/user")
    assert cache_file("a.json") == Path("/home/user/.cache/cross-modal-bench/a.json")


def lock(**methods: Confirmed) -> Lock:
    return {"packages": {}, "methods": methods, "datasets": {}}


def test_a_method_has_its_confirmed_version_an_edited_one_its_digest_too(write: Writer) -> None:
    path = write("alpha")
    confirmed = lock(alpha=Confirmed(3, digest(path)))
    before = Versions(lock()).code("alpha")
    assert (Versions(confirmed).code("alpha"), before) == ("alpha 3", f"alpha {digest(path)[:8]}")
    path.write_text(path.read_text() + "# a comment\n")
    assert Versions(confirmed).code("alpha") == "alpha 3"
    write("alpha", text=METHOD.replace("np.asarray(features)", "np.asarray(features) * 2"))
    assert Versions(confirmed).code("alpha") == f"alpha 3+{digest(path)[:8]}"
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


@pytest.mark.parametrize(
    "first",
    [
        "from methods.base import SIZE\n",
        "from methods import (\n    base,\n)\n",
        "import methods.base as base\n",
        "from methods import (  # (a remark)\n    base,\n)\n",
        "from methods import *\n",
        "import methods\n",
        "import importlib\n\nbase = importlib.import_module('methods.base')\n",
        "import importlib\n\nbase = importlib.import_module('.base', 'methods')\n",
        "import importlib\n\nbase = importlib.import_module(f'methods.{{name}}')\n",
        "from methods.released.old import SIZE\n",
        "from methods.released import old\n",
    ],
)
def test_a_file_that_builds_on_a_method_of_the_project_changes_with_it(
    write: Writer, home: Path, tmp_path: Path, first: str
) -> None:
    (home / "methods" / "released").mkdir()
    for name in ("deeper", "stranger", "released/deeper"):
        (home / "methods" / f"{name}.py").write_text("SIZE = 1\n")
    for name in ("base", "released/old"):
        (home / "methods" / f"{name}.py").write_text("import bench.linear\nfrom .deeper import SIZE\n")
    write("alpha", folder=tmp_path, text=first + METHOD)
    registry.add_plugin(tmp_path / "alpha.py")
    before = Versions(lock()).code("alpha")
    assert before.startswith("linear ")
    for name in ("deeper", "released/deeper"):
        (home / "methods" / f"{name}.py").write_text("SIZE = 2\n")
    assert Versions(lock()).code("alpha") != before


@pytest.mark.parametrize(
    "first",
    [
        "from theirs.methods.base import SIZE\n",
        "value = self.methods.base\n",
        '"""Like methods.base."""\n',
        "from methods.other import base\n",
        f"texts = 'import_module', 'methods..base', 'methods./base', 'methods.{'x' * 300}', 'methods.\\0'\n",
    ],
)
def test_what_only_reads_like_a_method_of_the_project_is_none(
    write: Writer, home: Path, tmp_path: Path, first: str
) -> None:
    write("alpha", folder=tmp_path, text=first + METHOD)
    registry.add_plugin(tmp_path / "alpha.py")
    before = Versions(lock()).code("alpha")
    (home / "methods" / "base.py").write_text("SIZE = 1\n")
    assert Versions(lock()).code("alpha") == before


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


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from bench.training import Loop\n", ["training"]),
        ("import bench.linear.eigen\nfrom bench.contract import Method\n", ["linear"]),
        ("from bench import linear, training as t\n", ["training", "linear"]),
        ('"""of bench.training"""\nfrom bench.contract import Method\n', []),
    ],
)
def test_the_toolkits_are_those_that_a_file_imports(tmp_path: Path, text: str, names: list[str]) -> None:
    (tmp_path / "a.py").write_text(text)
    assert toolkits_of([tmp_path / "a.py"]) == names


def test_the_harness_has_a_version_per_package_and_ignores_what_changes_no_number() -> None:
    assert [part.split()[0] for part in Versions(lock()).harness.split(", ")] == [*HARNESS]
    assert "cell.py" in package_files("experiment")
    assert "cost.py" not in package_files("experiment")
    assert "cards.py" in package_files("contract")  # what a card does not state is the default there
    assert {"context.py", "method.py", "data.py"} <= package_files("contract").keys()
    for package, stems in versions._WITHOUT.items():
        folder = Path(versions.__file__).parents[1] / package
        assert stems <= {path.stem for path in folder.rglob("*.py")}, package


def test_a_damaged_lock_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "versions.yaml"
    assert read_lock(path) == lock()
    for text in ("packages: {}\n", "packages: {a: 1}\nmethods: {}\ndatasets: {}\n", "[]\n"):
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
    (tmp_path / "mine.bin").write_bytes(b"data")
    file = home / "datasets" / "mine.py"
    fingerprints = []
    for scale in ("1", "1  # one", "2"):
        file.write_text(LOADER.replace("{SCALE}", scale))
        registry.rescan()
        fingerprints.append(fingerprint_of("mine", tmp_path)[1])
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
