"""Test samples as people see them: texts and small pictures, which a gallery of results shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.contract.errors import PluginError

Shown = Sequence[str] | NDArray[np.uint8]
"""A text for each sample, or pictures ``(n, height, width, 3)``, RGB from 0 to 255."""

WIDEST_PICTURE: Final = 32
"""Most pixels on a side: records hold what is shown, and stay small."""


@dataclass(frozen=True, eq=False)
class Items:
    """What a dataset shows of a split's samples; what it cannot show is left out.

    Attributes:
        shown: by modality, in the order of the split's rows.
        classes: names of the classes by their number; empty where they have none.
    """

    shown: Mapping[str, Shown] = field(default_factory=dict)
    classes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what is neither texts nor small pictures.

        Raises:
            PluginError: if a modality's items are anything else.
        """
        for name, items in self.shown.items():
            if isinstance(items, np.ndarray):
                if not _are_pictures(items):
                    raise PluginError(
                        f"the items of {name!r} are {items.dtype} of shape {items.shape}; give texts, or "
                        f"pictures (n, height, width, 3) of uint8, {WIDEST_PICTURE} pixels wide at most"
                    )
            elif not all(isinstance(item, str) for item in items):
                raise PluginError(f"the items of {name!r} are neither texts nor an array of pictures")
        if not all(isinstance(name, str) for name in self.classes):
            raise PluginError("the names of classes must be texts, one for each class")

    def check(self, counts: Mapping[str, int], n_classes: int) -> None:
        """Refuse items that are not of these samples.

        Args:
            counts: samples by modality.
            n_classes: number of classes.

        Raises:
            PluginError: if there are more or fewer items than samples, or names than classes.
        """
        for name, items in self.shown.items():
            if len(items) != counts.get(name):
                raise PluginError(
                    f"there are {len(items)} items of {name!r} for {counts.get(name, 0)} test rows; "
                    "items() must give one for each row of the test split, in its order"
                )
        if len(self.classes) not in (0, n_classes):
            raise PluginError(f"there are {len(self.classes)} names for {n_classes} classes")

    def take(self, rows: Mapping[str, NDArray[Any]]) -> Items:
        """Return the items of chosen rows of each modality."""
        return Items({name: _taken(items, rows[name]) for name, items in self.shown.items()}, self.classes)

    def select(self, names: Sequence[str]) -> Items:
        """Return the items of the modalities ``names`` only."""
        return Items({name: self.shown[name] for name in names if name in self.shown}, self.classes)


def _are_pictures(items: NDArray[Any]) -> bool:
    return (
        items.dtype == np.uint8
        and items.ndim == 4
        and items.shape[3] == 3
        and 0 < min(items.shape[1:3]) <= max(items.shape[1:3]) <= WIDEST_PICTURE
    )


def _taken(items: Shown, rows: NDArray[Any]) -> Shown:
    if isinstance(items, np.ndarray):
        return np.asarray(items[rows])
    return [items[int(row)] for row in rows]
