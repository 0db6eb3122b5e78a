"""A split's features and targets on the device, once for the whole fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.contract import Split
from bench.data.scaling import Scaler
from bench.training.batches import Rows


@dataclass(frozen=True)
class Batch:
    """The input of a loss.

    Attributes:
        features: per modality ``(n, d_v)``.
        targets: per modality ``(n, C)`` with entries 0 and 1, float.
        rows: per modality ``(n,)``, row numbers in the split.
    """

    features: dict[str, Tensor]
    targets: dict[str, Tensor]
    rows: dict[str, Tensor]

    def __len__(self) -> int:
        """Return the number of rows, of the modality that has most."""
        return max(len(rows) for rows in self.rows.values())

    def only(self, name: str) -> Batch:
        """Return the rows of one modality."""
        return Batch({name: self.features[name]}, {name: self.targets[name]}, {name: self.rows[name]})


class DeviceSplit:
    """The rows of a split as tensors.

    Attributes:
        split: where the rows come from.
        features: per modality ``(n, d_v)`` float32.
        targets: per modality ``(n, C)`` float32.
        device: of the tensors.
    """

    def __init__(self, split: Split, device: str, scalers: Mapping[str, Scaler] | None = None) -> None:
        """Bring the split to the device; ``scalers``, one per modality, default to features as stored."""
        self.split = split
        self.device = torch.device(device)
        self.features = {
            name: torch.tensor(
                scalers[name](modality.features) if scalers else modality.features,
                dtype=torch.float32,
                device=self.device,
            )
            for name, modality in split.items()
        }
        self.targets = {name: torch.tensor(split.targets(name), device=self.device) for name in split}

    def __iter__(self) -> Iterator[str]:
        return iter(self.split)

    def dimension(self, name: str) -> int:
        """Return the width of a modality's features."""
        return int(self.features[name].shape[1])

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return self.split.n_classes

    def take(self, index: Mapping[str, Tensor]) -> Batch:
        """Return the rows of the modalities that ``index`` names, by row numbers ``(n,)`` on the device."""
        return Batch(
            {name: self.features[name].index_select(0, chosen) for name, chosen in index.items()},
            {name: self.targets[name].index_select(0, chosen) for name, chosen in index.items()},
            dict(index),
        )

    def batches(self, epoch: Sequence[Rows]) -> Iterator[Batch]:
        """Yield the batches of an epoch, whose row numbers are brought to the device all at once."""
        index: dict[str, Sequence[Tensor]] = {}
        for name in epoch[0]:
            order = torch.as_tensor(np.concatenate([rows[name] for rows in epoch]), device=self.device)
            index[name] = torch.split(order, [len(rows[name]) for rows in epoch])
        for position in range(len(epoch)):
            yield self.take({name: chosen[position] for name, chosen in index.items()})

    def blocks(self, size: int) -> Iterator[Batch]:
        """Yield all rows in their order, in blocks of at most ``size`` rows of every modality."""
        counts = {name: len(features) for name, features in self.features.items()}
        parts = -(-max(counts.values()) // size)
        cuts = {
            name: torch.arange(count, device=self.device).tensor_split(parts)
            for name, count in counts.items()
        }
        for part in range(parts):
            yield self.take({name: blocks[part] for name, blocks in cuts.items()})


def on_device(values: Tensor, like: Tensor) -> Tensor:
    """Return a tensor of the host on the device of another one, without waiting for that device.

    For what is drawn on the CPU in every step, so that it is the same on every device: a plain copy would
    make the host wait until the device has done all that came before.
    """
    if like.is_cuda:
        values = values.pin_memory()
    return values.to(like.device, non_blocking=True)
