"""Properties of a protocol, read from its id; `bench.evaluation` parses ids in full."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_GALLERY: Final = "/gallery"
_RANKS: Final = ("medr", "meanr")


def base_of(protocol: str) -> str:
    """Return an id without ``/gallery``, by which tables and figures are selected."""
    return protocol.removesuffix(_GALLERY)


def with_gallery(protocol: str) -> str:
    """Return the id of the protocol against a gallery split."""
    return base_of(protocol) + _GALLERY


def is_rank(protocol: str) -> bool:
    """Return whether numbers are ranks, where lower is better, instead of shares."""
    return protocol.partition("/")[0] in _RANKS


def bounds_of(protocol: str, items: int) -> tuple[float, float]:
    """Return the least and the largest number; a query without hits has the rank after the last item."""
    return (1.0, items + 1.0) if is_rank(protocol) else (0.0, 1.0)


def aggregate(protocol: str, values: NDArray[np.float64]) -> float:
    """Return the mean of the values of queries, or for ``medr`` their median."""
    if protocol.partition("/")[0] == "medr":
        return float(np.median(values))
    return float(np.add.reduce(values)) / len(values)
