"""Splitting a grid between machines that know nothing of each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from bench.contract.errors import UsageError
from bench.experiment.grid import Cell


class Shard(NamedTuple):
    """One of several parts of a grid, counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        """Return it as it is typed."""
        return f"shard {self.number}/{self.of}"


def parse_shard(text: str) -> Shard:
    """Return the shard that ``i/n`` names.

    Raises:
        UsageError: for anything else, or an i that is not between 1 and n.
    """
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
    shard = Shard(int(match[1]), int(match[2])) if match else None
    if shard is None or not 1 <= shard.number <= shard.of:
        raise UsageError(
            f"--shard {text!r} is not one of n parts of the grid; "
            "write i/n with i from 1 to n, such as 1/3, 2/3 and 3/3 on three machines"
        )
    return shard


def cells_of_shard(cells: Sequence[Cell], shard: Shard) -> list[Cell]:
    """Return the cells of one shard, in their order; every cell is in exactly one shard.

    The cells of each method are dealt out in turn, beginning one shard further for each method: so every
    shard gets its part of every method and of every dataset, and none gets all that is slow. What is recorded
    plays no role: the same request gives the same shards on every machine and at any time.
    """
    methods: dict[str, int] = {}
    dealt: Counter[str] = Counter()
    chosen = []
    for cell in cells:
        method = cell.identity.method
        first = methods.setdefault(method, len(methods))
        if (first + dealt[method]) % shard.of == shard.number - 1:
            chosen.append(cell)
        dealt[method] += 1
    return chosen
