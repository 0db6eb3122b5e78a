"""The tutorial does what it says: every block of it is executed, in order, in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.conformance import checks

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "add-your-method.md"
FENCE = re.compile(r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block; one with a title is the content of that file."""

    language: str
    title: str | None
    text: str


def _blocks() -> Iterator[Block]:
    for match in FENCE.finditer(TUTORIAL.read_text(encoding="utf-8")):
        yield Block(match["language"], match["title"], match["text"])


def _copy_of_the_project(folder: Path) -> Path:
    """Copy it without the methods that the tutorial does not use: describing them takes seconds."""
    for name in ("bench", "datasets"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copytree(ROOT / "methods" / "settings", folder / "methods" / "settings")
    for name in ("__init__", "chance", "sm"):
        shutil.copy2(ROOT / "methods" / f"{name}.py", folder / "methods")
    return folder


def _environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": "", "XDG_CACHE_HOME": str(folder / "cache")}


def _run(words: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Execute the whole tutorial; return what a block printed, by a part of the block."""
    clone = _copy_of_the_project(tmp_path_factory.mktemp("clone"))
    environment = _environment(clone)
    printed: dict[str, str] = {}
    for block in _blocks():
        if block.title is not None:
            (clone / block.title).parent.mkdir(exist_ok=True)
            (clone / block.title).write_text(block.text, encoding="utf-8")
        elif block.language in ("bash", "python"):
            program = ["bash", "-euc"] if block.language == "bash" else [sys.executable, "-c"]
            done = _run([*program, block.text], clone, environment)
            assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
            printed[block.text] = printed.get(block.text, "") + done.stdout
    layer = (
        "from bench import registry\n"
        "print(registry.resolve_settings(registry.method('my_method'), profile='paper', dataset='wikipedia'))"
    )
    printed["paper settings"] = _run([sys.executable, "-c", layer], clone, environment).stdout

    def find(part: str) -> str:
        return "".join(text for block, text in printed.items() if part in block)

    return find


def test_the_new_files_keep_every_promise(told: Callable[[str], str]) -> None:
    assert " passed, 0 failed" in told("bench check my_method")
    assert " passed, 0 failed" in told("bench check other_method")


def test_the_runs_are_done_and_tabulated(told: Callable[[str], str]) -> None:
    assert "3 cells: 3 done" in told("--methods my_method,sm,chance")
    rows = told("results --results drafts --format csv").splitlines()
    header = next(number for number, row in enumerate(rows) if row.startswith("method,variant,"))
    found = {tuple(row.split(",")[:2]) for row in rows[header + 1 :]}
    expected = {("my_method", "full"), ("my_method", "without_pairs"), ("sm", "full"), ("chance", "full")}
    assert found == expected


def test_the_method_of_the_tutorial_learns_something(told: Callable[[str], str]) -> None:
    line = told("bench.load_dataset")
    assert float(line.split()[-1]) > 0.4, line


def test_the_settings_file_of_the_tutorial_is_read(told: Callable[[str], str]) -> None:
    assert "'epochs': 100" in told("paper settings")


def test_the_list_of_promises_is_complete_and_in_order() -> None:
    rows = [line.split("|") for line in TUTORIAL.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    start = next(i for i, row in enumerate(rows) if row[1].strip() == "the method ...")
    listed = [(row[1].strip(), row[2].strip()) for row in rows[start + 1 :]]
    assert listed == [(check.name, check.hint) for check in checks()]


def test_a_package_that_declares_the_entry_point_offers_the_method(tmp_path: Path) -> None:
    tomllib = pytest.importorskip("tomllib")
    (declared,) = (block.text for block in _blocks() if block.language == "toml")
    points = tomllib.loads(declared)["project"]["entry-points"]["bench.methods"]
    code = next(block.text for block in _blocks() if block.title == "methods/my_method.py")
    package, info = tmp_path / "my_package", tmp_path / "my_package-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    (package / "my_method.py").write_text(code, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[bench.methods]\n{lines}")
    environment = {**_environment(tmp_path), "PYTHONPATH": str(tmp_path)}
    done = _run([sys.executable, "-m", "bench", "list", "methods"], ROOT, environment)
    assert "my_method" in done.stdout, done.stderr
