"""What tests of several methods share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tests.methods import golden as golden_module
from tests.methods.golden import Golden, golden

DEVICE = os.environ.get("BENCH_TEST_DEVICE", "")
"""Torch name of a device: then the tests against numbers of released code run there, and no others."""

ROUNDING = {"rtol": 1e-4, "atol": 1e-5}
"""Of float32 on another device, whose kernels add up in another order."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests against numbers of released code alone, if a device is given."""
    if DEVICE:
        kept = [item for item in items if "numbers" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.fixture(scope="module")
def numbers(request: pytest.FixtureRequest) -> Golden:
    """Return the golden numbers of the method that the file of tests is named after."""
    return golden(request.module.__name__.rpartition("test_")[2])


@pytest.fixture(autouse=bool(DEVICE))
def on_device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make all tensors on the device; compare copies of them, and float32 within `ROUNDING`."""
    compare = np.testing.assert_allclose
    as_array: Any = torch.Tensor.__array__

    def compared(actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 0.0, **options: Any) -> None:
        if np.asarray(actual).dtype == np.float32 or np.asarray(desired).dtype == np.float32:
            rtol, atol = max(rtol, ROUNDING["rtol"]), max(atol, ROUNDING["atol"])
        compare(actual, desired, rtol=rtol, atol=atol, **options)

    for module in (request.module, golden_module):
        if hasattr(module, "assert_allclose"):
            monkeypatch.setattr(module, "assert_allclose", compared)

    def copied(tensor: torch.Tensor, *args: Any, **options: Any) -> Any:
        return as_array(tensor.detach().cpu(), *args, **options)

    monkeypatch.setattr(torch.Tensor, "__array__", copied)
    with torch.device(DEVICE):
        yield
