"""Small pictures with few colours: a record holds a byte for each point, and the colours once."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

COLOURS: Final = 256
"""At this size an eye hardly sees a difference to the full range, and the file is a quarter as large."""


def with_palette(pictures: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return pictures in at most `COLOURS` colours that they share.

    Args:
        pictures: ``(m, height, width, 3)``.

    Returns:
        The number of every point's colour ``(m, height, width)``, and the colours ``(c, 3)``.
    """
    from PIL import Image  # only where a dataset has pictures

    count, height, width, _ = pictures.shape
    stacked = Image.fromarray(np.ascontiguousarray(pictures).reshape(count * height, width, 3))
    reduced = stacked.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    numbers = np.asarray(reduced, dtype=np.uint8).reshape(count, height, width)
    colours = np.asarray(reduced.getpalette(), dtype=np.uint8).reshape(-1, 3)[: int(numbers.max()) + 1]
    return numbers, colours
