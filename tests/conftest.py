"""What tests of several rooms share."""

from __future__ import annotations

import pytest

from tests.grid import Grid, run_grid


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """A results folder with every kind of record in it, made once; to be read only."""
    return run_grid(tmp_path_factory.mktemp("grid"))
