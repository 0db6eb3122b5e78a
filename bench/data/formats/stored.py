"""Stored matrices of numbers, read a block at a time into the float32 matrices that are used.

So a file of float64, of turned matrices or of all rows takes no more memory than its parts in use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array

BLOCK: Final = 1 << 22
"""Bytes that are read at a time."""

Rows = Mapping[str, NDArray[np.intp] | None]
"""Rows by part, in any order; None for all."""


class Stored(NamedTuple):
    """A matrix of numbers in a file.

    Attributes:
        shape: as its author saw it.
        fortran: whether it is stored column by column.
        blocks: some of its rows after the other (of its columns, if ``fortran``): ``(count, length)`` each.
    """

    shape: tuple[int, int]
    fortran: bool
    blocks: Iterable[Array]


def blocks_of(
    read: Callable[[int], bytes], shape: tuple[int, int], dtype: np.dtype[Any], fortran: bool
) -> Iterator[Array]:
    """Yield the blocks of a matrix whose numbers follow each other; ``read`` returns so many bytes."""
    outer, inner = shape[::-1] if fortran else shape
    step = max(1, BLOCK // max(1, inner * dtype.itemsize))
    for start in range(0, outer, step):
        count = min(step, outer - start)
        yield np.frombuffer(read(count * inner * dtype.itemsize), dtype).reshape(count, inner)


def widened(values: Array, bfloat16: bool) -> Array:
    """Return numbers as they are, or as float32 those of which only the upper half was stored."""
    return (values.astype(np.uint32) << 16).view(np.float32) if bfloat16 else values


def filled(stored: Stored, transposed: bool, parts: Rows) -> dict[str, Array]:
    """Return rows of a stored matrix by part: float32 in C order, ``(rows, width)``."""
    count, width = stored.shape[::-1] if transposed else stored.shape
    lengths = {part: count if rows is None else len(rows) for part, rows in parts.items()}
    targets = {part: np.empty((length, width), dtype=np.float32) for part, length in lengths.items()}
    start = 0
    with np.errstate(over="ignore"):
        for block in stored.blocks:
            stop = start + len(block)
            for part, rows in parts.items():
                target = targets[part]
                if stored.fortran != transposed:  # a block has some columns of all samples
                    target[:, start:stop] = (block if rows is None else block[:, rows]).T
                elif rows is None:
                    target[start:stop] = block
                else:
                    here = np.flatnonzero((rows >= start) & (rows < stop))
                    target[here] = block[rows[here] - start]
            start = stop
    return {**targets}


def cut_in_memory(values: Array, transposed: bool, parts: Rows) -> dict[str, Array]:
    """Return rows of an array in memory by part: a matrix of numbers as `filled` does, else as it is."""
    numbers = values.ndim == 2 and values.dtype.kind in "biuf"
    whole = values.T if numbers and transposed else values
    with np.errstate(over="ignore"):
        return {
            part: np.ascontiguousarray(taken, dtype=np.float32) if numbers else taken
            for part, rows in parts.items()
            for taken in (whole if rows is None else whole[rows],)
        }
