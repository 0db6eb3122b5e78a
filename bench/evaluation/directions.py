"""A method's retrieval performance on a split: every ordered pair of modalities, every protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

from bench.contract import Array, Method, Split, UsageError
from bench.evaluation.arrays import Matrix, Precision, Vector
from bench.evaluation.metrics import mean_of_queries
from bench.evaluation.protocol import STANDARD_PROTOCOLS, Protocol
from bench.evaluation.ranking import Measure
from bench.evaluation.retrieval import NOTHING_ELSE, Retrieval


@dataclass(frozen=True, eq=False)
class Direction:
    """Queries of one modality against the gallery of another.

    Attributes:
        query: modality of the queries.
        gallery: modality of the gallery.
        ap: protocol id -> average precision per query, ``(n_queries,)``; NaN where skipped.
        measured: what else was asked for, by its name: ``(n_queries, width)``.
    """

    query: str
    gallery: str
    ap: Mapping[str, Vector] = field(repr=False)
    measured: Mapping[str, Matrix] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The direction in words, such as ``image>text``."""
        return f"{self.query}>{self.gallery}"

    def map(self, protocol_id: str = "map@all") -> float:
        """Return the mean average precision over queries.

        Raises:
            UsageError: if that protocol was not evaluated.
        """
        if protocol_id not in self.ap:
            raise UsageError(f"{protocol_id!r} was not evaluated; available are {', '.join(self.ap)}")
        return mean_of_queries(self.ap[protocol_id])


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The outcome of `evaluate`: a direction for each ordered pair of modalities.

    Attributes:
        directions: in the order of the split's modalities.
        embeddings: modality -> rows ``(n, d)`` that were ranked; empty under a method's own similarity.
        zero_rows: modality -> how many of these rows are zero; modalities without such rows are left out.
    """

    directions: tuple[Direction, ...]
    embeddings: Mapping[str, Array] = field(default_factory=dict)
    zero_rows: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, pair: tuple[str, str]) -> Direction:
        """Return the direction ``(query modality, gallery modality)``.

        Raises:
            KeyError: if there is none.
        """
        for direction in self.directions:
            if (direction.query, direction.gallery) == pair:
                return direction
        raise KeyError(f"{pair}: no such direction; there are {', '.join(d.name for d in self.directions)}")

    @property
    def protocols(self) -> tuple[str, ...]:
        """Ids of the protocols evaluated."""
        return tuple(self.directions[0].ap)

    def mean(self, protocol_id: str = "map@all") -> float:
        """Return the mean over directions of the mean average precision."""
        return float(np.mean([direction.map(protocol_id) for direction in self.directions]))

    def __str__(self) -> str:
        """Return a table: a row per direction and their mean, a column per protocol."""
        names = [direction.name for direction in self.directions]
        width = max(len(name) for name in [*names, "mean"])
        columns = [(key, max(len(key), 6)) for key in self.protocols]
        lines = [" " * width + "".join(f"  {key:>{size}}" for key, size in columns)]
        for direction in self.directions:
            cells = "".join(f"  {direction.map(key):>{size}.4f}" for key, size in columns)
            lines.append(f"{direction.name:<{width}}{cells}")
        lines.append(
            f"{'mean':<{width}}" + "".join(f"  {self.mean(key):>{size}.4f}" for key, size in columns)
        )
        return "\n".join(lines)

    __repr__ = __str__


def evaluate(
    method: Method,
    split: Split,
    protocols: Sequence[Protocol | str] = STANDARD_PROTOCOLS,
    *,
    measures: Mapping[str, Measure] = NOTHING_ELSE,
    dtype: Precision = "float32",
    threads: int | None = None,
) -> Evaluation:
    """Evaluate a fitted method on a split, in every direction and under every protocol.

    Each modality is embedded once, and each direction ranked once for all protocols. A method that
    overrides `Method.similarity` is asked for similarities instead, at most 256 queries at a time. The method
    gets the rows of each modality in an order that has nothing to do with labels or other modalities; the
    results are in the order of the split. A row of zeros has similarity 0 to everything.

    Args:
        method: fitted.
        split: at least two modalities.
        protocols: rules, or their ids.
        measures: what else to compute from the same rankings, by a name of the caller's choice.
        dtype: precision of the cosine similarities.
        threads: CPU threads for ranking; the result does not depend on it.

    Raises:
        RefusedEmbeddings: for embeddings of a wrong shape, NaN or infinite values, collapsed rows, or if more
            than half of a modality's rows are zero.
        UsageError: for fewer than two modalities, no protocol or an unknown one.
    """
    rules = [Protocol.parse(rule) if isinstance(rule, str) else rule for rule in protocols]
    if not rules or len(split) < 2:
        raise UsageError(
            f"evaluation needs a protocol and two modalities; given {len(rules)} and {', '.join(split)}"
        )
    retrieval = Retrieval.of_method(method, split, dtype, threads)
    directions = [
        Direction(query, gallery, *retrieval.rank(query, gallery, rules, measures))
        for query, gallery in permutations(split, 2)
    ]
    return Evaluation(tuple(directions), retrieval.embeddings, retrieval.zero_rows)


def validation_map(method: Method, split: Split, *, threads: int | None = None) -> dict[str, float]:
    """Return the mAP@all of every direction, such as ``{"image>text": .54}``: what training selects by.

    Raises:
        RefusedEmbeddings: as `evaluate`.
    """
    result = evaluate(method, split, STANDARD_PROTOCOLS[:1], threads=threads)
    return {direction.name: direction.map() for direction in result.directions}
