"""Fixtures of several test modules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.execution.dask_processes import DaskProcesses, dask_processes


@pytest.fixture(scope="package")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    """A Dask scheduler and two workers as separate processes."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install -e '.[dask]'")
    with dask_processes(tmp_path_factory.mktemp("dask"), 2) as running:
        yield running
