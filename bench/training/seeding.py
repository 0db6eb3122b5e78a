"""Random generators and numeric settings of a fit, derived from its context."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from bench.contract import Context

_memory: Any = torch.utils.deterministic  # torch does not type this module


@contextmanager
def seeded(context: Context, stream: str) -> Iterator[None]:
    """Let torch's global generators start from ``stream`` in the body, and put them back after it.

    Weights should be drawn on the CPU in such a body and moved to the device afterwards: then a
    method starts from the same weights on every device.
    """
    with Noise(context, stream).active():
        yield


class Noise:
    """A stream of torch's global random numbers that can be left and taken up again.

    Dropout and sampling draw from global generators. With one stream per track, the draws of a track do not
    depend on the others.
    """

    def __init__(self, context: Context, stream: str) -> None:
        """Start the stream; nothing global changes."""
        device = torch.device(context.device)
        self._cuda = [torch.device("cuda", device.index or 0)] if device.type == "cuda" else []
        # `torch.manual_seed` seeds devices of every kind; for one that is absent it keeps a formatted stack.
        seed = context.stream_seed(stream)
        devices = [torch.device("cpu"), *self._cuda]
        self._states = [torch.Generator(device).manual_seed(seed).get_state() for device in devices]

    @contextmanager
    def active(self) -> Iterator[None]:
        """Draw from this stream in the body."""
        with torch.random.fork_rng(self._cuda):
            cpu, *cuda = self._states
            torch.set_rng_state(cpu)
            for device, state in zip(self._cuda, cuda, strict=True):
                torch.cuda.set_rng_state(state, device)
            try:
                yield
            finally:
                cuda = [torch.cuda.get_rng_state(device) for device in self._cuda]
                self._states = [torch.get_rng_state(), *cuda]


@contextmanager
def reproducible(threads: int | None) -> Iterator[None]:
    """Compute the same bytes every time: deterministic algorithms and a fixed number of CPU threads.

    None leaves the number of threads as it is.
    """
    # cuBLAS reads this when its handle is made; without it CUDA matrix products refuse to be deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    mode = torch.get_deterministic_debug_mode()
    filling = _memory.fill_uninitialized_memory
    before = torch.get_num_threads()
    # The same as use_deterministic_algorithms(True), which would import torch's compiler first.
    torch.set_deterministic_debug_mode("error")
    # Only reads of uninitialised memory would need this, and it costs a pass over every new tensor.
    _memory.fill_uninitialized_memory = False
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _memory.fill_uninitialized_memory = filling
        torch.set_deterministic_debug_mode(mode)
