"""Fixtures of the tests of encoders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.encoders.raw import Rows, write_items


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    return [*write_items(tmp_path)]
