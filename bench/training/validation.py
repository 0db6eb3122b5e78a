"""Validation mAP after an epoch: on a GPU embedded and ranked without leaving it."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from bench.contract import Context, DeadlineExceeded, Method, RefusedEmbeddings
from bench.training.data import DeviceSplit


@dataclass(frozen=True)
class FitData:
    """Training and validation rows of a fit.

    Attributes:
        train: training rows on the device.
        validation: validation rows there.
        embed: returns embeddings of a modality's scaled rows, on the device; None where a method overrides
            `embed` or `similarity`.
    """

    train: DeviceSplit
    validation: DeviceSplit
    embed: Callable[[str, Tensor], Tensor] | None = None


class Validation:
    """The validation rows, ranked as a method embeds them after an epoch."""

    def __init__(self, method: Method, data: FitData, context: Context) -> None:
        self._method = method
        self._fit_data = data
        self._context = context
        self._embed = data.embed if ranks_on(context.device) else None
        if self._embed is None:
            return
        from bench.evaluation.inputs import label_sets
        from bench.evaluation.order import inverse, row_order

        parts = data.validation.split
        on_device = partial(torch.as_tensor, device=data.validation.device)
        orders = {name: row_order(name, len(part)) for name, part in parts.items()}
        self._orders = {name: on_device(order) for name, order in orders.items()}
        self._back = {name: on_device(inverse(order)) for name, order in orders.items()}
        self._labels = {name: label_sets(part.labels, len(part), name) for name, part in parts.items()}

    def maps(self) -> dict[str, float]:
        """Return the mAP@all of every direction, such as ``{"image>text": .54}``.

        Either way the method gets each modality's rows in the order of `bench.evaluation.order.row_order`.

        Raises:
            RefusedEmbeddings: if the method's state cannot be ranked.
        """
        if self._embed is None:
            from bench.evaluation import validation_map

            context, split = self._context, self._fit_data.validation.split
            return validation_map(self._method, split, threads=context.threads, device=context.device)
        from bench.evaluation.device_ranking import device_maps

        features = self._fit_data.validation.features
        embeddings = {
            name: self._embed(name, features[name][order])[self._back[name]]
            for name, order in self._orders.items()
        }
        return device_maps(embeddings, self._labels, self._method.card.similarity)


def ranks_on(device: str) -> bool:
    """Tell whether validation is embedded and ranked on a device, without a copy on the host."""
    return torch.device(device).type == "cuda"


def oracle_map(method: Method, context: Context) -> float | None:
    """Return the oracle's mean test mAP of a method in its present state; None if its state cannot be ranked.

    Global generators are put back afterwards, so that training goes on as without an oracle. An unexpected
    error becomes a warning, which the record's log keeps.

    Raises:
        DeadlineExceeded: if the time of the cell is over.
    """
    try:
        with unchanged_generators(context.device):
            return context.oracle(method) if context.oracle else None
    except RefusedEmbeddings:
        return None
    except DeadlineExceeded:
        raise
    except Exception as error:
        warnings.warn(
            f"no test mAP of this epoch for the oracle trace: {type(error).__name__}: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


@contextmanager
def unchanged_generators(device: str) -> Iterator[None]:
    """Put the global generators of Python, NumPy and torch back after the body."""
    where = torch.device(device)
    cuda = [torch.device("cuda", where.index or 0)] if where.type == "cuda" else []
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(cuda):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
