"""Numbers made by running released code, as tensors, and the gradients to hold against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from bench.contract import Context, Split
from bench.training import Plan, Rows
from bench.training.batches import cut
from tests.shared import shared

Golden = Mapping[str, Any]


@dataclass(frozen=True)
class GivenOrder(Plan):
    """The orders of a stored run: per epoch, the rows in the order of their visit."""

    orders: Sequence[Sequence[int]]
    batch_size: int
    track: str
    keep_rest: bool = True

    def epochs(self, train: Split, context: Context, stream: str) -> Iterator[list[Rows]]:
        for order in self.orders:
            yield [{self.track: part} for part in cut(np.asarray(order), self.batch_size, 1, self.keep_rest)]


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
