"""Evaluation of a method in training that leaves no trace in it, as of test rows for the oracle."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from bench.contract import Method


@contextmanager
def unchanged(method: Method, modules: Sequence[Any] = ()) -> Iterator[None]:
    """Put a method's attributes, and the modules, tensors and arrays among them, back after the body.

    Modes of modules, running statistics and caches are covered; objects of other kinds are not looked into.
    ``modules`` are modules of PyTorch besides the attributes.
    """
    containers, values = _reachable([vars(method), list(modules)])
    kept = [(held, held.copy()) for held in containers]
    copies = [(value, value.copy() if isinstance(value, np.ndarray) else value.clone()) for value in values]
    try:
        yield
    finally:
        for held, before in kept:
            held.clear()
            held.extend(before) if isinstance(held, list) else held.update(before)
        torch: Any = sys.modules.get("torch")
        with nullcontext() if torch is None else torch.no_grad():
            for value, before in copies:
                if isinstance(value, np.ndarray):
                    np.copyto(value, before)
                elif not torch.equal(value, before):
                    value.copy_(before)


def _reachable(roots: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return what can change within ``roots`` and their modules: containers, and tensors and arrays."""
    torch: Any = sys.modules.get("torch")  # where it is not loaded, there is no module and no tensor
    module, tensor = ((), ()) if torch is None else (torch.nn.Module, torch.Tensor)
    containers: dict[int, Any] = {}
    values: dict[int, Any] = {}
    waiting = list(roots)
    while waiting:
        item = waiting.pop()
        if isinstance(item, module):
            waiting.append(vars(item))
        elif isinstance(item, tensor):
            if item.layout is torch.strided:
                values[id(item)] = item
        elif isinstance(item, np.ndarray):
            if item.flags.writeable:
                values[id(item)] = item
        elif isinstance(item, tuple):
            waiting.extend(item)
        elif isinstance(item, dict | list | set) and id(item) not in containers:
            containers[id(item)] = item
            waiting.extend(item.values() if isinstance(item, dict) else item)
    return list(containers.values()), list(values.values())
