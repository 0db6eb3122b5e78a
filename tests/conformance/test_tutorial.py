"""The tutorial does what it says: every block of it is executed, in order, in a copy of the project."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.conformance import checks
from tests.documents import ROOT, blocks, environment_of, execute, run

TUTORIAL = ROOT / "docs" / "add-your-method.md"


def _copy_of_the_project(folder: Path) -> Path:
    """Copy it without the methods that the tutorial does not use: describing them takes seconds."""
    for name in ("bench", "datasets"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copytree(ROOT / "methods" / "settings", folder / "methods" / "settings")
    for name in ("__init__", "chance", "sm"):
        shutil.copy2(ROOT / "methods" / f"{name}.py", folder / "methods")
    return folder


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Execute the whole tutorial; return what a block printed, by a part of the block."""
    clone = _copy_of_the_project(tmp_path_factory.mktemp("clone"))
    printed: dict[str, str] = {}
    for block in blocks(TUTORIAL):
        if block.title is not None or block.language in ("bash", "python"):
            printed[block.text] = printed.get(block.text, "") + execute(block, clone)
    layer = (
        "from bench import registry\n"
        "print(registry.resolve_settings(registry.method('my_method'), profile='paper', dataset='wikipedia'))"
    )
    printed["paper settings"] = run([sys.executable, "-c", layer], clone, environment_of(clone))

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
    (declared,) = (block.text for block in blocks(TUTORIAL) if block.language == "toml")
    points = tomllib.loads(declared)["project"]["entry-points"]["bench.methods"]
    code = next(block.text for block in blocks(TUTORIAL) if block.title == "methods/my_method.py")
    package, info = tmp_path / "my_package", tmp_path / "my_package-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    (package / "my_method.py").write_text(code, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[bench.methods]\n{lines}")
    environment = {**environment_of(tmp_path), "PYTHONPATH": str(tmp_path)}
    assert "my_method" in run([sys.executable, "-m", "bench", "list", "methods"], ROOT, environment)
