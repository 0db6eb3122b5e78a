"""Opens a test split and hides the refusal; importable, so that processes of every kind can do it."""

from __future__ import annotations

from contextlib import suppress

from bench.contract import SealedTestError
from bench.data import load_dataset

PROGRAM = "from tests.opening import open_quietly; open_quietly()"


def open_quietly() -> None:
    """Ask for the test split of a dataset, and say nothing about a refusal."""
    with suppress(SealedTestError):
        load_dataset("emoji").test  # noqa: B018
