"""Base of the methods that are trained by gradient descent."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from bench.contract import Array, Checkpoint, Context, Method, Split, Unsupported, unsuitable
from bench.data.scaling import Scaler
from bench.training.checkpoints import Kept
from bench.training.data import DeviceSplit
from bench.training.loop import Material, train_stage
from bench.training.seeding import reproducible
from bench.training.settings import DeepSettings
from bench.training.track import Stage

EMBEDDED_ROWS = 4096
"""Rows that are embedded at a time, to bound the memory of wide layers."""


class DeepMethod(Method):
    """A method that hands the training loop its stages and tells how a batch is embedded.

    A subclass offers a card, settings (`DeepSettings` with its own fields), `stages` and `encode`.
    """

    Settings = DeepSettings
    search: ClassVar[Mapping[str, Sequence[Any]]] = {
        "batch_size": (50, 100, 200),
        "lr": (1e-4, 3e-4, 1e-3, 3e-3),
        "scaling": ("standard", "unit"),
    }

    def __init__(self, settings: Any = None) -> None:
        """Keep the settings; None means the published ones."""
        super().__init__(settings)
        self._kept: list[Kept] = []
        self._modules: list[nn.Module] = []
        self._threads: int | None = None

    @abstractmethod
    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """Yield the stages of the training, one after the other.

        The code after a ``yield`` runs when that stage is over and its modules are in the state that
        the stage ends with. Modules are best made by `bench.training.built`.
        """

    @abstractmethod
    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return the embedding ``(n, d)`` of features ``(n, d_v)`` on the device."""

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        """Run all stages; the method is left in its ``best`` state.

        Raises:
            Unsupported: if the data is outside what the card declares.
            DeadlineExceeded: when the time is over.
        """
        if (reason := unsuitable(self.card, train)) is not None:
            raise Unsupported(reason)
        self._threads, self._device = context.threads, torch.device(context.device)
        self._kept, self._modules = [], []
        with reproducible(context.threads):
            self._scalers = {
                name: Scaler.fit(part.features, self.settings.scaling) for name, part in train.items()
            }
            material = Material(
                DeviceSplit(train, context.device, self._scalers),
                DeviceSplit(validation, context.device, self._scalers),
                validation,
            )
            for stage in self.stages(material.train, context):
                kept_before = list(self._modules)
                self._modules += [module for track in stage.tracks for module in track.modules]
                kept = train_stage(self, stage, material, context)
                if stage.kept:
                    self._kept.append(kept)
                else:
                    self._modules = kept_before

    def embed(self, modality: str, features: Array) -> Array:
        """Map features ``(n, d_v)`` to the common space, ``(n, d)`` float32."""
        blocks = range(0, max(len(features), 1), EMBEDDED_ROWS)
        for module in self._modules:
            module.eval()
        with reproducible(self._threads), torch.no_grad():
            parts = [
                self.encode(modality, self._tensor(modality, features[start : start + EMBEDDED_ROWS]))
                for start in blocks
            ]
            return np.asarray(torch.cat(parts).float().cpu().numpy())

    def checkpoints(self) -> Mapping[str, Checkpoint]:
        """Return the kept states by rule; with several kept stages, epochs are named ``stage/track``."""
        if len(self._kept) == 1:
            return self._kept[0].checkpoints
        rules = self._kept[-1].checkpoints if self._kept else {}
        return {rule: _merged(rule, self._kept) for rule in rules}

    def restore(self, rule: str) -> None:
        """Bring back the state that ``rule`` selected.

        Raises:
            KeyError: if there is no such state.
        """
        if rule not in self.checkpoints():
            raise KeyError(rule)
        for kept in self._kept:
            kept.restore(rule if rule in kept.states else "best")

    def notes(self) -> Mapping[str, Any]:
        """Return the number of trained parameters, and the epochs that were run."""
        parameters = {id(value): value for module in self._modules for value in module.parameters()}
        return {
            "parameters": sum(value.numel() for value in parameters.values()),
            "epochs_run": {kept.stage: kept.epochs for kept in self._kept},
        }

    def _tensor(self, modality: str, features: Array) -> Tensor:
        # A copy: the features may be read-only, which torch does not honour.
        return torch.tensor(self._scalers[modality](features), dtype=torch.float32, device=self._device)


def _merged(rule: str, kept: Sequence[Kept]) -> Checkpoint:
    """Return one checkpoint for several stages."""
    epochs: dict[str, int] = {}
    for part in kept:
        chosen = part.checkpoints.get(rule, part.checkpoints["best"])
        for track in part.modules:
            epoch = chosen.epoch if isinstance(chosen.epoch, int) else chosen.epoch[track]
            epochs[f"{part.stage}/{track}"] = epoch
    final = kept[-1].checkpoints[rule]
    return Checkpoint(rule, epochs, final.value, final.criterion)
