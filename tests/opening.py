"""Opens a test split and hides the refusal; a module of its own, which processes of every kind import."""

from __future__ import annotations

from contextlib import suppress

from bench.contract import SealedTestError
from bench.data import load_dataset

PROGRAM = "from tests.opening import open_quietly; open_quietly()"


def open_quietly() -> None:
    """Open the test split of a dataset, and hide a refusal."""
    with suppress(SealedTestError):
        load_dataset("emoji").test  # noqa: B018
