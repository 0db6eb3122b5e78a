"""Properties of a protocol, read from its id; `bench.evaluation` parses ids in full."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_GALLERY: Final = "/gallery"
_RANKS: Final = ("medr", "meanr")


def base_of(protocol: str) -> str:
    """Return an id without ``/gallery``: by it tables and figures are chosen."""
    return protocol.removesuffix(_GALLERY)


def with_gallery(protocol: str) -> str:
    """Return the id of the protocol against a gallery split."""
    return base_of(protocol) + _GALLERY


def is_rank(protocol: str) -> bool:
    """Return whether numbers are ranks, of which lower ones are better, and not between 0 and 1."""
    return protocol.partition("/")[0] in _RANKS


def bounds_of(protocol: str, items: int) -> tuple[float, float]:
    """Return the least and the largest number; a query without hits gets the rank after the last item."""
    return (1.0, items + 1.0) if is_rank(protocol) else (0.0, 1.0)


def aggregate(protocol: str, values: NDArray[np.float64]) -> float:
    """Return the number of all queries, at least one: their mean, or under ``medr`` their median."""
    if protocol.partition("/")[0] == "medr":
        return float(np.median(values))
    return float(np.add.reduce(values)) / len(values)
