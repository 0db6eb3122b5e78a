"""Fixtures of several packages."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

from bench.registry import folder_of, settings
from tests.grid import FAULTS, Grid, only_plugins, run_grid, write_bundle

for _profile, _examples in (("short", 50), ("long", 200)):
    # A deadline, and the check of slow strategies, would depend on the processor.
    hypothesis.settings.register_profile(
        _profile,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
        max_examples=_examples,
    )
hypothesis.settings.load_profile("short")

_DOCUMENTS = {
    *("test_document.py", "test_documentation.py", "test_first_hour.py", "test_notebooks.py"),
    *("test_readme.py", "test_topics.py", "test_tutorial.py", "test_your_data.py"),
}
"""Tests of documents, the longest there are, start first: otherwise all workers but one would wait for them.

So one worker has them all, and starts the only server of forks, which loads libraries for five seconds. Tests
of Dask follow, so that there is one cluster: each worker that gets such a test would start another.
"""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while tests are collected, and none of what they import ever after."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """Leave what is in use to the end of the process: a last collection takes seconds in each worker."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the tests of documents first, then those of Dask; skip tests for GPUs if there is none."""
    items.sort(key=lambda item: (item.path.name not in _DOCUMENTS, "dask" not in item.path.name))
    on_gpu = [item for item in items if item.get_closest_marker("cuda") is not None]
    if on_gpu and not _has_gpu():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="needs a GPU, and PyTorch finds none"))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """A results folder with every kind of record in it, made once; to be read only."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return run_grid(tmp_path_factory.mktemp("grid"))
    shared = tmp_path_factory.getbasetemp().parent  # of all workers
    stored = shared / "grid.pickle"
    with FileLock(shared / "grid.lock"):
        if not stored.exists():
            (shared / "grid").mkdir()
            stored.write_bytes(pickle.dumps(run_grid(shared / "grid")))
    grid: Grid = pickle.loads(stored.read_bytes())
    return grid


@pytest.fixture(scope="module")
def faults() -> Iterator[None]:
    """The methods that fail in every way are registered, and no other plug-in of a file."""
    with only_plugins(FAULTS):
        yield


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a feature bundle of a few rows; to be read only."""
    return write_bundle(tmp_path_factory.mktemp("small") / "small.npz")


@pytest.fixture
def edited_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Return a function that edits the settings file of the quick profile: other epochs, rates and widths."""

    def edit() -> None:
        home = tmp_path / "edited"
        shutil.copytree(folder_of("methods") / "settings", home / "settings")
        quick = home / "settings" / "quick.yaml"
        text = quick.read_text(encoding="utf-8")
        for key, value in (("epochs: 20", "epochs: 33"), ("lr: 0.001", "lr: 0.5"), ("dim: 256", "dim: 99")):
            assert key in text
            text = text.replace(key, value)
        quick.write_text(text, encoding="utf-8")
        monkeypatch.setattr(settings, "folder_of", lambda _: home)

    settings._yaml.cache_clear()
    yield edit
    settings._yaml.cache_clear()
