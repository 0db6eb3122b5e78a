"""Numbers made by running released code, as tensors, and the gradients to hold against them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
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
    return torch.autograd.grad(loss, inputs)


def state(numbers: Golden, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return a module's state: its own name of a weight -> the golden file's."""
    return {place: torch.tensor(numbers[key]) for place, key in names.items()}
