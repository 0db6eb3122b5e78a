"""A method's retrieval performance: every ordered pair of modalities, every protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

from bench.contract import Array, Method, Similarity, Split, UsageError
from bench.evaluation.inputs import Matrix, Precision, Vector
from bench.evaluation.protocols import STANDARD_PROTOCOLS, Protocol
from bench.evaluation.retrieval import Retrieval
from bench.evaluation.ties import Measure


@dataclass(frozen=True, eq=False)
class Direction:
    """Queries of one modality against the gallery of another.

    Attributes:
        query: modality of the queries.
        gallery: modality of the gallery.
        ap: protocol id -> average precision, or what else it measures, per query, ``(n_queries,)``; NaN where
            skipped.
        measured: further measures, by name: ``(n_queries, width)``.
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
        """Return the number under a protocol: the mean over queries, or under ``medr`` the median.

        Raises:
            UsageError: if that protocol was not evaluated.
        """
        if protocol_id not in self.ap:
            raise UsageError(f"{protocol_id!r} was not evaluated; available are {', '.join(self.ap)}")
        return Protocol.parse(protocol_id).aggregate(self.ap[protocol_id])


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The result of `evaluate`: a direction for each ordered pair of modalities.

    Attributes:
        directions: in the order of the split's modalities.
        embeddings: modality -> rows ``(n, d)`` that were ranked; empty under a learned similarity.
        zero_rows: modality -> how many rows are zero, as in `Retrieval`; 0 is left out.
        similarity: by which embeddings were compared; None for a learned one.
    """

    directions: tuple[Direction, ...]
    embeddings: Mapping[str, Array] = field(default_factory=dict)
    zero_rows: Mapping[str, int] = field(default_factory=dict)
    similarity: Similarity | None = "cosine"

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
        """Return the mean over directions of the number under a protocol."""
        return float(np.mean([direction.map(protocol_id) for direction in self.directions]))

    def __str__(self) -> str:
        """Return a table: a row per direction and their mean, a column per protocol."""
        from tabulate import tabulate

        rows = [[d.name, *map(d.map, self.protocols)] for d in self.directions]
        rows.append(["mean", *map(self.mean, self.protocols)])
        return tabulate(rows, headers=["", *self.protocols], tablefmt="plain", floatfmt=".4f")

    __repr__ = __str__


def evaluate(
    method: Method,
    split: Split,
    protocols: Sequence[Protocol | str] = STANDARD_PROTOCOLS,
    *,
    gallery: Split | None = None,
    measures: Mapping[str, Measure] = {},
    dtype: Precision = "float32",
    threads: int | None = None,
    device: str = "cpu",
) -> Evaluation:
    """Evaluate a fitted method on a split, in every direction and under every protocol.

    Each modality is embedded once, and each direction ranked once for all protocols; `standard_protocols`
    returns the usual ones of a split. If a method overrides `Method.similarity`, this is called for blocks of
    at most 256 queries. The method gets the rows of each modality in an order unrelated to labels and other
    modalities; the results are in the order of the split.

    Args:
        method: fitted.
        split: at least two modalities.
        protocols: protocols, or their ids; ids that end in ``/gallery`` need a gallery.
        gallery: rows to rank, of at least the same modalities; None to rank the rows of the split.
        measures: further functions of the same rankings, by any name.
        dtype: precision of the similarities of embeddings.
        threads: CPU threads for ranking; the result does not depend on it.
        device: device to rank on: torch name of a CUDA device, which may round differently, or ``cpu``.

    Raises:
        RefusedEmbeddings: as `check_embeddings`.
        UsageError: for fewer than two modalities, no protocol or an unknown one, or as `Retrieval.of_method`.
    """
    rules = [Protocol.parse(rule) if isinstance(rule, str) else rule for rule in protocols]
    if not rules or len(split) < 2:
        raise UsageError(
            f"evaluation needs a protocol and two modalities; given {len(rules)} and {', '.join(split)}"
        )
    if gallery is None and any(rule.gallery for rule in rules):
        raise UsageError("a protocol that ends in /gallery needs a gallery split, and there is none")
    retrieval = Retrieval.of_method(method, split, dtype, threads, device, gallery=gallery)
    pairs = permutations(split, 2)
    directions = [Direction(*pair, *retrieval.ranking(*pair).evaluate(rules, measures)) for pair in pairs]
    return Evaluation(tuple(directions), retrieval.embeddings, retrieval.zero_rows, retrieval.similarity)


def validation_map(
    method: Method, split: Split, *, threads: int | None = None, device: str = "cpu"
) -> dict[str, float]:
    """Return the mAP@all of every direction, such as ``{"image>text": .54}``: what training selects by.

    On a CUDA ``device`` it is ranked there.

    Raises:
        RefusedEmbeddings: as `evaluate`.
    """
    result = evaluate(method, split, STANDARD_PROTOCOLS[:1], threads=threads, device=device)
    return {direction.name: direction.map() for direction in result.directions}
