"""A split's features and targets on the device, once for the whole fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bench.contract import Array, Split
from bench.training.batches import Rows

Scaling = Literal["none", "standard", "unit"]
"""``none``: nothing is done; ``standard``: columns of mean 0, deviation 1; ``unit``: rows of length 1."""


@dataclass(frozen=True)
class Batch:
    """What a loss sees.

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


class Scaler:
    """Scales the features of each modality as fitted on the training rows."""

    def __init__(self, scaling: Scaling, train: Split) -> None:
        """Learn what ``scaling`` needs to know about ``train``."""
        self._scaling = scaling
        self._moments: dict[str, tuple[Array, Array]] = {}
        if scaling == "standard":
            for name, modality in train.items():
                rows = modality.features.astype(np.float64)
                deviation = rows.std(axis=0)
                deviation[deviation == 0] = 1.0
                self._moments[name] = (rows.mean(axis=0), deviation)

    def __call__(self, name: str, features: Array) -> Array:
        """Return features ``(n, d_v)`` of a modality, scaled, float32."""
        if self._scaling == "standard":
            mean, deviation = self._moments[name]
            features = (features - mean) / deviation
        elif self._scaling == "unit":
            features = features.astype(np.float32, copy=False)
            lengths = np.linalg.norm(features, axis=1, keepdims=True)
            features = features / np.where(lengths == 0, 1, lengths)
        return np.ascontiguousarray(features, dtype=np.float32)


class DeviceSplit:
    """The rows of a split as tensors.

    Attributes:
        split: where the rows come from.
        features: per modality ``(n, d_v)`` float32.
        targets: per modality ``(n, C)`` float32.
        device: where the tensors lie.
    """

    def __init__(self, split: Split, device: str, scaler: Scaler) -> None:
        """Bring the split to the device."""
        self.split = split
        self.device = torch.device(device)
        self.features = {
            name: torch.tensor(scaler(name, modality.features), device=self.device)
            for name, modality in split.items()
        }
        self.targets = {name: torch.tensor(split.targets(name), device=self.device) for name in split}

    def __iter__(self) -> Iterator[str]:
        """Iterate over the modalities' names."""
        return iter(self.split)

    def dimension(self, name: str) -> int:
        """Return the width of a modality's features."""
        return int(self.features[name].shape[1])

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return self.split.n_classes

    def take(self, rows: Rows) -> Batch:
        """Return chosen rows of the modalities that ``rows`` names."""
        index = {name: torch.as_tensor(chosen, device=self.device) for name, chosen in rows.items()}
        return Batch(
            {name: self.features[name].index_select(0, chosen) for name, chosen in index.items()},
            {name: self.targets[name].index_select(0, chosen) for name, chosen in index.items()},
            index,
        )

    def blocks(self, size: int) -> Iterator[Batch]:
        """Yield all rows in their order, in blocks of at most ``size`` rows of every modality."""
        counts = {name: len(features) for name, features in self.features.items()}
        parts = -(-max(counts.values()) // size)
        cuts = {name: np.array_split(np.arange(count), parts) for name, count in counts.items()}
        for part in range(parts):
            yield self.take({name: blocks[part] for name, blocks in cuts.items()})
