"""What the README shows is true: its commands run, its example prints, its table is what the records say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.documents import ROOT, Block, blocks, copy_of_the_project, execute

README = ROOT / "README.md"
MAKE = ("make run\n", "make test\n")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_the_project(tmp_path_factory.mktemp("clone"))


def test_every_command_and_example_of_the_readme_runs(clone: Path) -> None:
    printed = {block.text: execute(block, clone) for block in blocks(README) if block.text not in MAKE}
    assert len(printed) >= 6
    example = next(text for text in printed if "bench.evaluate" in text)
    assert 0.5 < float(printed[example].splitlines()[-1]) < 1
    results = next(text for text in printed if "results --format csv" in text)
    assert "drcl,full,emoji,real,image+text,2,quick,text,image,map@all,best,0." in printed[results]
    # The table that `report --fill` has just written has the same methods as the one in the repository.
    assert _labels((clone / "README.md").read_text()) == _labels(README.read_text())


def test_the_makefile_knows_what_the_readme_names() -> None:
    for command in MAKE:
        assert Block("bash", None, command) in set(blocks(README))
        done = subprocess.run(
            ["make", "-n", command.split()[1]], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    done = subprocess.run(["make", "-n", "run"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "python -m bench run --methods all --datasets all" in done.stdout
    assert "python -m bench report" in done.stdout


def test_the_readme_links_to_files_that_exist() -> None:
    for document in (README, *(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.slow
def test_make_run_does_everything_in_a_fresh_clone(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    done = subprocess.run(
        ["make", "run"], cwd=tmp_path / "clone", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tables = (tmp_path / "clone" / "reports" / "tables.md").read_text()
    assert "| DRCL" in tables
    assert "LOOK-ALIKE" in tables


def _labels(document: str) -> list[str]:
    place = document.split("<!-- table: emoji map@all -->")[1].split("<!-- end of table -->")[0]
    return [line.split("|")[1].strip() for line in place.splitlines() if line.startswith("|")]
