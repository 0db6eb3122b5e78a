"""Finds test material that cannot be committed: golden numbers and real data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_FOLDERS = (
    _ROOT / "tests",  # golden/ is committed
    Path(os.environ["BENCH_TEST_MATERIAL"]) if "BENCH_TEST_MATERIAL" in os.environ else None,
    _ROOT / "tests" / "material",
    _ROOT.parent / "shared",
)


def shared(name: str) -> Path:
    """Return the path of ``name``, or skip the calling test if it is missing."""
    for folder in _FOLDERS:
        if folder is not None and (folder / name).exists():
            return folder / name
    pytest.skip(f"{name} is missing; set BENCH_TEST_MATERIAL to the folder that has it")
