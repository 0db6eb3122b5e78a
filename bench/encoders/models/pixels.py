"""Pixels: a picture scaled down, for line drawings and digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contract import UsageError
from bench.encoders.contract import Encoder, EncoderCard, Features

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class PixelSettings:
    """Size of the scaled picture.

    Attributes:
        side: of the square, in pixels.
    """

    side: int = 16


class Pixels(Encoder["Image"]):
    """How dark each pixel of the scaled picture is, from 0 (white) to 1 (black)."""

    card = EncoderCard(
        name="pixels",
        kind="image",
        title="Darkness of the pixels of the picture, scaled down",
        weights="none",
        licence="none needed",
        preprocessing="greyscale, scaled to a square by averaging",
    )
    Settings = PixelSettings

    def __init__(self, settings: Any = None, device: str = "cpu") -> None:
        super().__init__(settings, device)
        if not 1 <= self.settings.side <= 256:
            raise UsageError(f"pixels: the side must be 1 to 256, not {self.settings.side}")

    def encode(self, batch: Sequence[Image]) -> Features:
        """Return the features ``(n, side * side)`` of pictures."""
        from PIL.Image import Resampling

        size = (self.settings.side,) * 2
        scaled = (picture.convert("L").resize(size, Resampling.BOX) for picture in batch)
        rows = [np.asarray(picture).reshape(-1) for picture in scaled]
        return 1.0 - np.stack(rows).astype(np.float32) / np.float32(255)
