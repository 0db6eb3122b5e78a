"""Networks that the methods share, and how their weights start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from bench.contract import Context, UsageError
from bench.training.data import DeviceSplit
from bench.training.seeding import seeded

M = TypeVar("M", bound=nn.Module)


def mlp(
    widths: Sequence[int],
    *,
    activation: Callable[[], nn.Module] = nn.ReLU,
    activate_last: bool = False,
    bias_last: bool = True,
    norm: Callable[[int], nn.Module] | None = None,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return a perceptron: linear layers, each but the last followed by norm, activation and dropout.

    Args:
        widths: of the input, the hidden layers and the output.
        activation: makes the non-linearity.
        activate_last: whether the last layer is treated like the others.
        bias_last: whether the last layer has a bias.
        norm: makes a normalisation of a given width, put between layer and non-linearity.
        dropout: probability of dropping a unit.
    """
    layers: list[nn.Module] = []
    last = len(widths) - 2
    for place, (before, after) in enumerate(pairwise(widths)):
        layers.append(nn.Linear(before, after, bias=bias_last or place < last))
        if place < last or activate_last:
            if norm is not None:
                layers.append(norm(after))
            layers.append(activation())
            if dropout:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def perceptrons(
    train: DeviceSplit, hidden: Sequence[int], dim: int, context: Context, stream: str = "", **options: Any
) -> dict[str, nn.Module]:
    """Return a perceptron ``d_v - hidden - dim`` for each modality, on the device, with the options of `mlp`.

    The weights of a modality are drawn from ``init/<stream><modality>``.
    """
    return {
        name: built(partial(mlp, (train.dimension(name), *hidden, dim), **options), context, stream + name)
        for name in train
    }


def row_norm(rows: Tensor, eps: float = 1e-8) -> Tensor:
    """Return the length of each row ``(n,)``; a row of zeros has gradient 0, not NaN."""
    return rows.square().sum(dim=-1).clamp_min(eps**2).sqrt()


def unit(rows: Tensor, eps: float = 1e-8) -> Tensor:
    """Return rows of length 1; a row shorter than ``eps`` stays short, with a finite gradient."""
    return rows / row_norm(rows, eps).unsqueeze(-1)


class Prototypes(nn.Module):
    """One column per class in the common space.

    Attributes:
        weight: ``(d, C)``; starts as C orthonormal columns, the first ones of a random orthogonal
            ``(d, d)`` matrix. Draws from torch's global generator.
    """

    def __init__(self, dim: int, n_classes: int, trained: bool = True) -> None:
        """Draw the columns.

        Raises:
            UsageError: if so many classes cannot be orthogonal in so narrow a space.
        """
        super().__init__()
        if n_classes > dim:
            raise UsageError(f"{n_classes} orthogonal prototypes do not fit into dim={dim}; raise dim")
        # For a tall matrix this is the law of the first columns of a Haar-distributed square one.
        start = nn.init.orthogonal_(torch.empty(dim, n_classes))
        self.weight = nn.Parameter(start, requires_grad=trained)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return logits ``(n, C)`` of embeddings ``(n, d)``."""
        return embeddings @ self.weight

    @torch.no_grad()
    def renormalise(self) -> None:
        """Bring the columns back to length 1, which updates change."""
        self.weight.div_(self.weight.norm(dim=0))


def built(make: Callable[[], M], context: Context, stream: str) -> M:
    """Return the module that ``make`` builds, its weights drawn from ``init/<stream>``, on the device."""
    with seeded(context, f"init/{stream}"):
        module = make()
    return module.to(context.device)
