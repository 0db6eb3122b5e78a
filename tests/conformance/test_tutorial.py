"""The tutorial does what it says: every block of it is executed, in order, in a copy of the project."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.conformance import checks
from tests.documents import ROOT, UNFINISHED, blocks, environment_of, execute, run

TUTORIAL = ROOT / "docs" / "add-your-method.md"
PAPER_SETTINGS = """
from bench import registry
print(registry.resolve_settings(registry.method("my_method"), profile="paper", dataset="wikipedia"))
"""
END = "-- end of block --"


def _copy_of_the_project(folder: Path, *methods: str) -> Path:
    """Copy it with these methods only: describing all takes seconds."""
    for name in ("bench", "datasets"):
        shutil.copytree(ROOT / name, folder / name, ignore=UNFINISHED)
    shutil.copytree(ROOT / "methods" / "settings", folder / "methods" / "settings")
    for name in ("cards.yaml", "references.bib", "__init__.py", *(f"{name}.py" for name in methods)):
        shutil.copy2(ROOT / "methods" / name, folder / "methods")
    return folder


def _shortened(text: str) -> str:
    """Return a block whose runs have fewer epochs, and whose report draws nothing.

    The library's example trains as it stands.
    """
    if "--methods my_method,sm,chance" in text:
        return text.replace("\n", " --jobs 1 --set my_method.epochs=1\n")
    text = text.replace("bench report ", "bench report --only tables ")
    return text.replace("--set my_method.epochs=5", "--set my_method.epochs=1")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Execute the whole tutorial; return what a block printed, by a part of the block."""
    clone = _copy_of_the_project(tmp_path_factory.mktemp("clone"), "chance", "sm")
    printed: dict[str, str] = {}
    session = []
    for block in blocks(TUTORIAL):
        if block.language == "python" and block.title is None:
            session.append(block.text)
        elif block.title is not None or block.language == "bash":
            shortened = replace(block, text=_shortened(block.text))
            printed[block.text] = printed.get(block.text, "") + execute(shortened, clone)
    session.append(PAPER_SETTINGS)
    # One reader types all of these, and torch is loaded once.
    code = f"\nprint({END!r})\n".join(session)
    told = run([sys.executable, "-c", code], clone, environment_of(clone)).split(f"{END}\n")
    printed.update(zip(session, told, strict=True))

    def find(part: str) -> str:
        return "".join(text for block, text in printed.items() if part in block)

    return find


def test_the_new_files_keep_every_promise(told: Callable[[str], str]) -> None:
    assert " passed, 0 failed" in told("bench check my_method")
    assert " passed, 0 failed" in told("bench check other_method")


def test_the_runs_are_done_and_tabulated(told: Callable[[str], str]) -> None:
    assert "3 cells: 3 done" in told("--methods my_method,sm,chance")
    rows = told("results --results drafts --format csv").splitlines()
    header = next(number for number, row in enumerate(rows) if row.startswith("method,label,variant,"))
    found = {(row["method"], row["variant"]) for row in csv.DictReader(rows[header:])}
    expected = {("my_method", "full"), ("my_method", "without_pairs"), ("sm", "full"), ("chance", "full")}
    assert found == expected


def test_the_method_of_the_tutorial_learns_something(told: Callable[[str], str]) -> None:
    line = told("bench.load_dataset")
    assert float(line.split()[-1]) > 0.4, line


def test_the_settings_file_of_the_tutorial_is_read(told: Callable[[str], str]) -> None:
    assert "'epochs': 100" in told(PAPER_SETTINGS)


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
    clone = _copy_of_the_project(tmp_path / "clone", "chance")
    assert "my_method" in run([sys.executable, "-m", "bench", "list", "methods"], clone, environment)
