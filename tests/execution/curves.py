"""A method whose validation mAP by epoch is a setting, for tests of pruners; given with ``--plugin``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.contract import Array, Context, Method, Split
from tests.faults import card


@dataclass(frozen=True)
class CurvesSettings:
    """Reported values, and the width of the common space.

    Attributes:
        level: validation mAP that every epoch reports.
        widths: one number: of the common space.
    """

    level: float = 0.5
    widths: tuple[int, ...] = (4,)


class Curves(Method):
    card = card("curves")
    Settings = CurvesSettings
    search = {"level": (0.1, 0.2, 0.3, 0.6, 0.7, 0.8), "widths": ((4,), (5,), (6,), (7,), (8,))}  # noqa: RUF012
    settings: CurvesSettings

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        for epoch in range(1, 10):
            if context.progress is not None:
                context.progress("warm-up", epoch, 9, {})
                context.progress("fit", epoch, 9, {"validation_map": self.settings.level + epoch / 1000})
        print(f"{context.seed} ended")
        draws = context.generator("projection")
        (width,) = self.settings.widths
        self._weights = {name: draws.normal(size=(train[name].dimension, width)) for name in train.modalities}

    def embed(self, modality: str, features: Array) -> Array:
        return np.asarray(features @ self._weights[modality])
