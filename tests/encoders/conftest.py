"""Fixtures of the tests of encoders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.encoders.raw import Rows, write_items


@pytest.fixture(scope="session")
def items(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """Return a folder of pictures and sounds, and the rows of a table of them; to be read only."""
    folder = tmp_path_factory.mktemp("items")
    return folder, [*write_items(folder)]


@pytest.fixture
def rows(tmp_path: Path, items: tuple[Path, Rows]) -> Rows:
    """Return the rows of a table of pictures and sounds that lie in the folder of the test."""
    folder, made = items
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return [dict(row) for row in made]
