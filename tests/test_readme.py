"""What the README and the page of commands show is true: commands run, the table is what the records say."""

from __future__ import annotations

import csv
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.documents import ROOT, Block, blocks, copy_of_the_project, execute

README = ROOT / "README.md"
COMMANDS = ROOT / "docs" / "commands.md"
pytestmark = pytest.mark.clone

MAKE = ("make run\n", "make test\n")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_the_project(tmp_path_factory.mktemp("clone"))


def test_every_command_and_example_of_the_readme_runs(clone: Path) -> None:
    # `make test-all` runs them as they stand.
    printed = _run_all(clone, _shortened)
    example = next(text for text in printed if "bench.evaluate" in text)
    assert 0.5 < float(printed[example].splitlines()[-1]) < 1
    results = next(text for text in printed if "results --format csv" in text)
    rows = csv.DictReader(printed[results].splitlines())
    wanted = {
        "method": "drcl",
        "dataset": "emoji",
        "query": "text",
        "protocol": "map@all",
        "selection": "best",
    }
    assert [float(row["value"]) for row in rows if wanted.items() <= row.items()]


@pytest.mark.slow
def test_the_table_of_the_readme_is_what_its_command_gives(tmp_path: Path) -> None:
    clone = copy_of_the_project(tmp_path)
    _run_all(clone, lambda text: text, children=True)
    # Another processor may move the last digits, but neither the methods nor the level.
    ours, shown = (_table(path.read_text(encoding="utf-8")) for path in (clone / "README.md", README))
    assert list(ours) == list(shown)
    assert all(abs(ours[label] - shown[label]) < 0.02 for label in ours)


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
        prose = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", prose):
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


def _shortened(text: str) -> str:
    """Return a block with few methods, one epoch and seed, no workers, and reports of tables alone.

    Other tests draw whole reports, and every worker loads torch anew.
    """
    short, views = "--seeds 1 --set '*.epochs=1' --set '*.spl_epochs=1'", "emoji,emoji_views --seeds 3"
    few = f"--methods drcl,mcca,sdml --datasets emoji {short}\npython -m bench run --methods chance"
    text = text.replace(f"--datasets {views}", f"{few} --datasets emoji_views").replace("--seeds 3", short)
    text = re.sub(r"^python -m bench report\b(?! --only)", r"\g<0> --only tables", text, flags=re.MULTILINE)
    text = text.replace("emoji --conditions", "emoji --methods sdml --set sdml.epochs=1 --conditions")
    text = text.replace("my_method,references", "my_method,chance --set my_method.epochs=1")
    text = text.replace("epochs=20)", "epochs=1, spl_epochs=1)")
    return re.sub(r"^python -m bench (?:run|verify) .*$", r"\g<0> --jobs 0", text, flags=re.MULTILINE)


def _run_all(clone: Path, adapted: Callable[[str], str], *, children: bool = False) -> dict[str, str]:
    """Execute all blocks but those of make; return what each printed, by its text."""
    shown = [block for path in (README, COMMANDS) for block in blocks(path) if block.text not in MAKE]
    adapted_blocks = [replace(block, text=adapted(block.text)) for block in shown]
    printed = execute(adapted_blocks, clone, children=children)
    return {block.text: text for block, text in zip(shown, printed, strict=True)}


def _table(document: str) -> dict[str, float]:
    """Return the averages of the README's table by method."""
    table = document.split("<!-- table: emoji map@all -->")[1].split("<!-- end of table -->")[0]
    lines = [line.split("|") for line in table.splitlines() if line.startswith("|")][2:]
    return {line[1].strip(): float(re.findall(r"0\.\d+", line[4])[0]) for line in lines}
