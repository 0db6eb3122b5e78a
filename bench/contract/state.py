"""Stored state of a fitted method: arrays, and facts that JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.contract.data import Array
from bench.contract.errors import DataError


@dataclass(frozen=True, eq=False)
class State:
    """What a method must keep to embed again without training, besides its settings.

    Attributes:
        arrays: by name; of any type of numbers that NumPy has.
        facts: texts, numbers, truth values, None, and lists and dictionaries of these.
    """

    arrays: Mapping[str, Array]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def array(self, name: str, *shape: int | None) -> Array:
        """Return an array of finite floating-point numbers, checked: the file may be anybody's.

        Args:
            name: of the array.
            shape: that it must have; None for any length.

        Raises:
            DataError: if it is missing, of another shape, or of other numbers.
        """
        found = self.arrays.get(name)
        if found is None:
            raise DataError(f"the stored state has no array {name!r}")
        fits = found.ndim == len(shape) and all(
            wanted in (None, length) for wanted, length in zip(shape, found.shape, strict=True)
        )
        if not fits or found.dtype.kind != "f" or not np.isfinite(found).all():
            wanted = ", ".join("any" if length is None else str(length) for length in shape)
            raise DataError(
                f"the array {name!r} of the stored state is {found.dtype} of shape {found.shape}; finite "
                f"numbers of shape ({wanted}) are needed"
            )
        return found
