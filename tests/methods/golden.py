"""Numbers made by running released code, as tensors, and the gradients to hold against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from tests.shared import shared

Golden = Mapping[str, Any]


def golden(name: str) -> Golden:
    """Return the arrays of a golden file."""
    with np.load(shared(f"golden/{name}.npz")) as file:
        return dict(file)


def leaves(numbers: Golden, *keys: str) -> list[Tensor]:
    """Return inputs as tensors that collect gradients."""
    return [torch.tensor(numbers[key], requires_grad=True) for key in keys]


def gradients(loss: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    """Return the gradients of a scalar."""
    return torch.autograd.grad(loss, inputs, retain_graph=True)


def assert_gradients(
    loss: Tensor, inputs: list[Tensor], expected: Sequence[Any], rtol: float = 1e-7, atol: float = 1e-12
) -> None:
    """Compare the gradients of a scalar with stored ones."""
    for slope, value in zip(gradients(loss, inputs), expected, strict=True):
        assert_allclose(slope, value, rtol=rtol, atol=atol)


def state(numbers: Golden, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return a module's state: its name of a weight -> the golden file's."""
    return {weight: torch.tensor(numbers[key]) for weight, key in names.items()}


def layers(numbers: Golden, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return a module's state: its name of a layer -> the golden file's; biases where there are some."""
    keys = {
        f"{layer}.{kind}": f"{name}_{kind}" for layer, name in names.items() for kind in ("weight", "bias")
    }
    return state(numbers, {weight: key for weight, key in keys.items() if key in numbers})
