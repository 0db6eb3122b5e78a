"""The dataset of docs/data.md is read, checked and used as it is written there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench import registry
from bench.data import diagnose, load_dataset, open_and_check
from tests.data.released import write_mat5
from tests.documents import blocks
from tests.grid import only_plugins

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "data.md"


def test_the_dataset_of_the_tutorial_works(tmp_path: Path) -> None:
    file = tmp_path / "birds.py"
    file.write_text(next(block.text for block in blocks(DOCUMENT) if block.title == file.name))
    draws = np.random.default_rng(0)
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for part, rows in (("train", 40), ("validation", 10), ("test", 10)):
        arrays |= {f"{part}_image": draws.random((rows, 16)), f"{part}_audio": draws.random((rows, 8))}
        arrays[f"{part}_labels"] = np.arange(rows)[:, None] % 4 + 1
    (tmp_path / "birds").mkdir()
    write_mat5(tmp_path / "birds" / "birds.mat", arrays)
    with only_plugins(file):
        assert registry.dataset("birds").card.title == "Birds"
        assert diagnose("birds", tmp_path).status == "complete"
        assert open_and_check("birds", tmp_path).rows["train"] == {"image": 40, "audio": 40}
        assert load_dataset("birds", tmp_path).train.pairing == "natural"
