"""Finds test material that cannot be committed: golden numbers and real data of other people."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_PLACES = (
    _ROOT / "tests",  # golden/ is committed
    Path(os.environ["BENCH_TEST_MATERIAL"]) if "BENCH_TEST_MATERIAL" in os.environ else None,
    _ROOT / "tests" / "material",
    _ROOT.parent / "shared",
)


def shared(name: str) -> Path:
    """Return the path of ``name``, or skip the calling test where it is not at hand."""
    for place in _PLACES:
        if place is not None and (place / name).exists():
            return place / name
    pytest.skip(f"{name} is not at hand; set BENCH_TEST_MATERIAL to the folder that holds it")
