"""Some lines of a data's records as rows of a table of their own, and their numbers by seed."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.analysis.cells import numbers_of
from bench.analysis.lines import Line
from bench.analysis.naming import Naming
from bench.analysis.tables import AVERAGE, Direction, Row, directions_of, row_of
from bench.records.schema import Record


class Spread(NamedTuple):
    """Numbers of several seeds: their mean, and their sample standard deviation, None for fewer than two."""

    mean: float
    deviation: float | None
    seeds: int


@dataclass(frozen=True)
class Excerpt:
    """The rows of some lines, all of one data.

    Attributes:
        columns: the directions of these lines alone, then the average.
        rows: in the order of the lines.
    """

    columns: tuple[Direction, ...]
    rows: tuple[Row, ...]


def excerpt_of(lines: Sequence[Line], naming: Naming, protocol: str, selection: str) -> Excerpt:
    """Return the rows of at least one line; averages are over the directions that these lines are about."""
    records = [record for line in lines for record in line.records]
    directions = directions_of(records, naming)
    rows = tuple(row_of(line, naming, protocol, selection, directions) for line in lines)
    return Excerpt((*directions, AVERAGE), rows)


def by_seed(
    records: Iterable[Record], columns: Sequence[Direction], protocol: str, selection: str
) -> dict[Direction, dict[int, float]]:
    """Return the numbers behind each column of a row; an average is of a seed that has every direction.

    Raises:
        MixedCells: if two records give the same number.
    """
    found: dict[Direction, dict[int, float]] = defaultdict(dict)
    for direction, numbers in numbers_of(records, protocol, selection).items():
        found[direction] = {seed: one.metric.value for seed, one in numbers.items()}
    directions = [column for column in columns if column != AVERAGE]
    shared = set.intersection(*(set(found[direction]) for direction in directions))
    found[AVERAGE] = {
        seed: statistics.fmean(found[direction][seed] for direction in directions) for seed in sorted(shared)
    }
    return found


def spread_of(numbers: Sequence[float]) -> Spread | None:
    """Return mean and deviation of one number per seed; None for none."""
    if not numbers:
        return None
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
    return Spread(math.fsum(numbers) / len(numbers), deviation, len(numbers))
