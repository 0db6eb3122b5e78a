"""Former names of the toolkit, for plug-ins that put their stages together themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from bench.contract import Context
from bench.training.data import DeviceSplit
from bench.training.networks import LabelNetwork, Prototypes, built, mlp
from bench.training.track import Rule

Best = Rule


def Last(criterion: str = "last epoch", per_track: bool = False) -> Rule:  # noqa: N802  it was a class
    """Return the rule of the last epoch; now `LAST`."""
    return Rule(None, criterion, per_track=per_track)


def perceptrons(
    train: DeviceSplit, hidden: Sequence[int], dim: int, context: Context, stream: str = "", **options: Any
) -> dict[str, nn.Module]:
    """Return a perceptron ``d_v - hidden - dim`` for each modality; now `DeepMethod.mlps`."""
    return {
        name: built(partial(mlp, (train.dimension(name), *hidden, dim), **options), context, stream + name)
        for name in train
    }


def prototypes(
    train: DeviceSplit, dim: int, context: Context, stream: str, *, trained: bool = True
) -> Prototypes:
    """Return one prototype of length ``dim`` per class; now `DeepMethod.prototypes`."""
    return built(lambda: Prototypes(dim, train.n_classes, trained), context, stream)


def label_network(train: DeviceSplit, width: int, dim: int, layers: int, context: Context) -> LabelNetwork:
    """Return a network for the classes of the data; now `built` with `LabelNetwork`."""
    return built(lambda: LabelNetwork(train.n_classes, width, dim, layers), context, "labels")


def generator(context: Context, stream: str) -> torch.Generator:
    """Return a fresh generator of PyTorch for a stream, on the CPU."""
    return torch.Generator().manual_seed(context.stream_seed(stream))
