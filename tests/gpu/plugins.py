"""Methods that use a device, fill it and break it; given to the harness with ``--plugin``."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import torch

from bench.contract import Array, Context, Method, MethodCard, Split

_USUAL = {"authors": "A. Uthor", "year": 2026, "venue": "Venue", "family": "test"}


@dataclass(frozen=True)
class Nothing:
    """There is nothing to set."""


class GpuPlain(Method):
    """Uses the device for a second and leaves the rows as they are; its log names its process."""

    card = MethodCard(name="gpu_plain", title="Plain", **_USUAL)  # type: ignore[arg-type]
    Settings = Nothing

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        """Multiply matrices on the device until a second is over."""
        print("process", os.getpid())
        end = time.monotonic() + 1.0
        square = torch.ones(256, 256, device=context.device)
        while time.monotonic() < end:
            float((square @ square).sum())
        self.use(context)

    def use(self, context: Context) -> None:
        """Do no more."""

    def embed(self, modality: str, features: Array) -> Array:
        """Return the first columns, which all modalities have."""
        return features[:, :4].copy()


class GpuFull(GpuPlain):
    """Allocates more memory than there is."""

    card = MethodCard(name="gpu_full", title="Full", **_USUAL)  # type: ignore[arg-type]

    def use(self, context: Context) -> None:
        """Take three quarters of a GPU twice, or 4 TB of a machine."""
        cuda = context.device.startswith("cuda")
        size = 3 * torch.cuda.get_device_properties(context.device).total_memory // 4 if cuda else 1 << 42
        self.held = [torch.empty(size, dtype=torch.uint8, device=context.device) for _ in range(2)]


class GpuFault(GpuPlain):
    """Reads beyond the end of a tensor inside a kernel, after which the process can use the GPU no more."""

    card = MethodCard(name="gpu_fault", title="Fault", **_USUAL)  # type: ignore[arg-type]

    def use(self, context: Context) -> None:
        """Break."""
        beyond = torch.full((1,), 1 << 30, device=context.device)
        print(torch.zeros(4, device=context.device)[beyond])
