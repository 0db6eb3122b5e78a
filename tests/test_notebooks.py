"""The notebooks of the documentation run from an empty folder, and their saved outputs are of these cells."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.documents import ROOT, apart
from tests.notebooks import main

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
SHORT = "analyse-results"
"""The notebook that the usual tests run."""


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def kinds(cell: dict[str, Any]) -> list[str]:
    return [output["output_type"] for output in cell["outputs"]]


def first_lines(cell: dict[str, Any]) -> list[str]:
    """Return what each output of text begins with, without its numbers."""
    texts = ["".join(one.get("text", one.get("data", {}).get("text/plain", ""))) for one in cell["outputs"]]
    return ["".join(letter for letter in text.partition("\n")[0] if letter.isalpha()) for text in texts]


def _save_outputs(file: str) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    main(file)


@pytest.mark.parametrize(
    ("notebook", "whole"),
    [
        pytest.param(path, whole, marks=pytest.mark.slow if whole or path.stem != SHORT else ())
        for path in NOTEBOOKS
        for whole in (False, True)
    ],
    ids=lambda part: getattr(part, "stem", part),
)
def test_a_notebook_runs_and_shows_what_is_saved_in_it(notebook: Path, tmp_path: Path, whole: bool) -> None:
    """With one seed and without the slowest method, unless it runs as it stands.

    What the others call is also called by the README, the tutorial and a newcomer's first hour.
    """
    copy = Path(shutil.copy2(notebook, tmp_path))
    if not whole:
        text = copy.read_text(encoding="utf-8")
        copy.write_text(text.replace("--seeds 2", "--seeds 1").replace(",mvda_vc", ""), encoding="utf-8")
    apart(_save_outputs, str(copy), folder=tmp_path, source=ROOT)
    for saved, made in zip(code_cells(notebook), code_cells(copy), strict=True):
        assert kinds(saved) == kinds(made), "".join(saved["source"])
        assert first_lines(saved) == first_lines(made)


def test_there_are_notebooks_and_no_saved_output_names_a_folder_of_a_machine() -> None:
    assert len(NOTEBOOKS) == 3
    for path in NOTEBOOKS:
        text = path.read_text(encoding="utf-8")
        assert "/tmp/" not in text
        assert "/root/" not in text
