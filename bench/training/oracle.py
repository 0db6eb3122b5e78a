"""The test oracle in training: it reads a method's test mAP after an epoch and changes nothing."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.contract import Context, DeadlineExceeded, Method, RefusedEmbeddings


def oracle_map(method: Method, modules: Sequence[nn.Module], context: Context) -> float | None:
    """Return the oracle's mean test mAP of a method as it stands; None if its state cannot be ranked.

    Global generators, modules and attributes are put back afterwards, so that training gives the same bytes
    with and without an oracle. An unexpected error becomes a warning, which the record's log keeps.

    Args:
        method: in training.
        modules: that are trained, besides those among the method's attributes.
        context: with an oracle.

    Raises:
        DeadlineExceeded: if the time of the cell is over.
    """
    if context.oracle is None:
        return None
    with unchanged_generators(context.device), unchanged(method, modules):
        try:
            return context.oracle(method)
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
    place = torch.device(device)
    cuda = [torch.device("cuda", place.index or 0)] if place.type == "cuda" else []
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(cuda):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextmanager
def unchanged(method: Method, modules: Sequence[nn.Module]) -> Iterator[None]:
    """Put a method's attributes, and the modules, tensors and arrays among them, back after the body.

    Modes of modules, running statistics and caches are covered; objects of other kinds are not looked into.
    """
    containers, values = _reachable([vars(method), list(modules)])
    kept = [(held, held.copy()) for held in containers]
    copies = [(value, value.clone() if isinstance(value, Tensor) else value.copy()) for value in values]
    try:
        yield
    finally:
        for held, before in kept:
            held.clear()
            held.extend(before) if isinstance(held, list) else held.update(before)
        with torch.no_grad():
            for value, before in copies:
                if isinstance(value, Tensor):
                    if not torch.equal(value, before):
                        value.copy_(before)
                else:
                    np.copyto(value, before)


def _reachable(roots: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return what can change within ``roots`` and their modules: containers, and tensors and arrays."""
    containers: dict[int, Any] = {}
    values: dict[int, Any] = {}
    waiting = list(roots)
    while waiting:
        item = waiting.pop()
        if isinstance(item, nn.Module):
            waiting.append(vars(item))
        elif isinstance(item, Tensor | np.ndarray):
            if item.layout is torch.strided if isinstance(item, Tensor) else item.flags.writeable:
                values[id(item)] = item
        elif isinstance(item, tuple):
            waiting.extend(item)
        elif isinstance(item, dict | list | set) and id(item) not in containers:
            containers[id(item)] = item
            waiting.extend(item.values() if isinstance(item, dict) else item)
    return list(containers.values()), list(values.values())
