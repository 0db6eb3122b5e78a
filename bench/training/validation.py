"""Validation mAP after an epoch: on a GPU embedded and ranked without leaving it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.contract import Context, Method, Split
from bench.training.data import DeviceSplit


@dataclass(frozen=True)
class Material:
    """The data of a fit: training rows on the device, validation rows there and as they came.

    Attributes:
        train: training rows.
        validation: validation rows.
        validation_split: the same as they came.
        embed: returns embeddings of a modality's scaled rows, on the device; None where a method embeds or
            compares rows in a way of its own.
    """

    train: DeviceSplit
    validation: DeviceSplit
    validation_split: Split
    embed: Callable[[str, Tensor], Tensor] | None = None


class Validation:
    """The validation rows, ranked as a method embeds them after an epoch."""

    def __init__(self, method: Method, material: Material, context: Context) -> None:
        """Prepare what stays the same in all epochs."""
        self._method = method
        self._material = material
        self._context = context
        self._embed = material.embed if ranks_on(context.device) else None
        if self._embed is not None:
            self._prepare(material.validation)

    def _prepare(self, rows: DeviceSplit) -> None:
        from bench.evaluation.inputs import label_sets
        from bench.evaluation.order import inverse, row_order

        orders = {name: row_order(name, len(part)) for name, part in rows.split.items()}
        self._orders = {name: torch.as_tensor(order, device=rows.device) for name, order in orders.items()}
        self._back = {
            name: torch.as_tensor(inverse(order), device=rows.device) for name, order in orders.items()
        }
        self._labels = {
            name: label_sets(part.labels, len(part), f"labels of modality {name!r}")
            for name, part in rows.split.items()
        }

    def maps(self) -> dict[str, float]:
        """Return the mAP@all of every direction, such as ``{"image>text": .54}``.

        Either way the method gets each modality's rows in the order of `bench.evaluation.order.row_order`.

        Raises:
            RefusedEmbeddings: if the method's state cannot be ranked.
        """
        if self._embed is None:
            from bench.evaluation import validation_map

            split, threads = self._material.validation_split, self._context.threads
            return validation_map(self._method, split, threads=threads, device=self._context.device)
        from bench.evaluation.device_ranking import device_maps

        features = self._material.validation.features
        embeddings = {
            name: self._embed(name, features[name][order])[self._back[name]]
            for name, order in self._orders.items()
        }
        return device_maps(embeddings, self._labels, self._method.card.similarity)


def ranks_on(device: str) -> bool:
    """Tell whether validation is embedded and ranked on a device, without a copy on the host."""
    return torch.device(device).type == "cuda"
