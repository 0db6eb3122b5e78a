"""A method that looks for every array that it could reach from what `fit` and `extend` are given."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from bench.contract import Array, Context, Method, MethodCard, Split

SEEN: list[tuple[str, Split, list[Array]]] = []
"""Calls in this process: their name, the training rows, and all arrays."""


def arrays(*roots: object) -> Iterator[Array]:
    """Yield every array that can be reached, through attributes, containers, closures and bases of views.

    Code is not followed: modules, classes, and the global names of functions.
    """
    seen: dict[int, object] = {}
    waiting = [*roots]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, type | ModuleType | str | bytes | int | float | None):
            continue
        seen[id(item)] = item  # keeps its id from being given to another object
        if isinstance(item, np.ndarray):
            yield item
            waiting.append(item.base)
        elif isinstance(item, FunctionType):
            waiting += [cell.cell_contents for cell in item.__closure__ or ()]
            waiting += [item.__defaults__, item.__kwdefaults__]
        else:
            waiting += gc.get_referents(item)


TAKES: dict[str, Any] = {"any_modalities": True, "multi_label": True, "unlabelled": True, "late": True}


class Looking(Method):
    """Embeds by the first columns."""

    card = MethodCard("looking", "Looking", deep=False, pairs="unused", selects_by="none", **TAKES)

    @dataclass(frozen=True)
    class Settings:
        """None."""

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        """Look."""
        SEEN.append(("fit", train, [*arrays(train, validation, context)]))

    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        """Look again."""
        SEEN.append(("extend", train, [*arrays(train, validation, context)]))

    def embed(self, modality: str, features: Array) -> Array:
        """Return four columns."""
        return np.asarray(features[:, :4], dtype=np.float64)


def holds_rows(found: Array, rows: Array) -> bool:
    """Return whether an array holds any of some feature rows."""
    if found.ndim != 2 or found.shape[1:] != rows.shape[1:] or found.dtype != rows.dtype:
        return False
    known = {bytes(row) for row in rows}
    return any(bytes(row) in known for row in found)


def same(found: Any, whole: Array) -> bool:
    """Return whether an array has the values of another."""
    return bool(found.shape == whole.shape and np.array_equal(found, whole))
