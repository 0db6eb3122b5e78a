"""The tutorial works: every block of it is executed, in order, in a copy of the project."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.conformance import CHECKS
from tests.documents import ROOT, Block, blocks, copy_with_methods, execute, run

pytestmark = pytest.mark.clone

TUTORIAL = ROOT / "docs" / "add-your-method.md"
PAPER_SETTINGS = """
from bench import registry
print(registry.resolve_settings(registry.method("my_method"), profile="paper", dataset="wikipedia"))
"""


def _shortened(text: str) -> str:
    """Return a block whose runs have fewer epochs and no workers, and whose report draws nothing.

    The example of the library is unchanged.
    """
    if "bench run" in text:
        return text.split(" --set")[0].strip() + " --jobs 0 --set my_method.epochs=1\n"
    return text.replace("bench report ", "bench report --only tables ")


@pytest.fixture(scope="module")
def printed_by(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Execute the whole tutorial; return what a block printed, by a part of the block."""
    clone = copy_with_methods(tmp_path_factory.mktemp("clone"), "chance", "sm")
    shown = [block for block in blocks(TUTORIAL) if block.title or block.language in ("bash", "python")]
    shown.append(Block("python", None, PAPER_SETTINGS))
    printed = execute([replace(block, text=_shortened(block.text)) for block in shown], clone)

    def find(part: str) -> str:
        return "".join(text for block, text in zip(shown, printed, strict=True) if part in block.text)

    return find


def test_the_new_files_keep_every_promise(printed_by: Callable[[str], str]) -> None:
    assert " passed, 0 failed" in printed_by("bench check my_method")
    assert " passed, 0 failed" in printed_by("bench check other_method")


def test_the_runs_are_done_and_tabulated(printed_by: Callable[[str], str]) -> None:
    assert "3 cells: 3 done" in printed_by("--methods my_method,sm,chance")
    rows = printed_by("results --results drafts --format csv").splitlines()
    header = next(number for number, row in enumerate(rows) if row.startswith("method,label,variant,"))
    found = {(row["method"], row["variant"]) for row in csv.DictReader(rows[header:])}
    expected = {("my_method", "full"), ("my_method", "without_pairs"), ("sm", "full"), ("chance", "full")}
    assert found == expected


def test_the_method_of_the_tutorial_learns_something(printed_by: Callable[[str], str]) -> None:
    line = printed_by("bench.load_dataset")
    assert float(line.split()[-1]) > 0.4, line


def test_the_settings_file_of_the_tutorial_is_read(printed_by: Callable[[str], str]) -> None:
    assert "'epochs': 100" in printed_by(PAPER_SETTINGS)


def test_the_list_of_promises_is_complete_and_in_order() -> None:
    rows = [line.split("|") for line in TUTORIAL.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    start = next(i for i, row in enumerate(rows) if row[1].strip() == "the method ...")
    listed = [(row[1].strip(), row[2].strip()) for row in rows[start + 1 :]]
    assert listed == [(check.name, check.hint) for check in CHECKS]


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
    clone = copy_with_methods(tmp_path / "clone", "chance")
    listed = run([sys.executable, "-m", "bench", "list", "methods"], clone, PYTHONPATH=str(tmp_path))
    assert "my_method" in listed
