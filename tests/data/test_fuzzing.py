"""Whatever the bytes of a file: a dataset or one sentence, in little memory, without crash or hang."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.data.fuzzing import SEEDS

ROOT = Path(__file__).resolve().parents[2]


def require_sentences(kinds: Sequence[str], count: int, folder: Path) -> None:
    """Read mutated files in another process: each must be read or refused, in little memory."""
    words = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tests.data.fuzzing",
        ",".join(kinds),
        str(count),
        str(folder),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, f"{folder}/current: {done.stderr[-2000:]}"
    for kind in kinds:
        found = json.loads((folder / f"{kind}.json").read_text())
        assert not found["wrong"], found["wrong"][0]
        assert max(found["peak"], found["peak_of_children"]) < 1000  # MB
        assert found["read"] + found["refused"] == count


def test_a_few_mutated_files_give_a_dataset_or_a_sentence(tmp_path: Path) -> None:
    require_sentences(("npz", "mat5", "hdf5", "pickle"), 8, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEEDS)
def test_a_thousand_mutated_files_give_a_dataset_or_a_sentence(tmp_path: Path, kind: str) -> None:
    if kind == "parquet" and find_spec("pyarrow") is None and find_spec("fastparquet") is None:
        pytest.skip("reading Parquet files needs a library for them")
    require_sentences([kind], 1000, tmp_path)
