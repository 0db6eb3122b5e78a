"""Promises about `embed` and `similarity`: rows are embedded and compared one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations

import numpy as np

from bench.conformance.fitting import basics
from bench.conformance.outcomes import Broken, NotApplicable, promise
from bench.conformance.subject import Subject
from bench.contract import Method, PluginError
from bench.evaluation.independence import TOLERANCE, check_embedding, check_similarity


@promise("embeds a single row", "features have shape (1, d_v) then; keep the row axis", basics)
def single_row(subject: Subject) -> None:
    """One query is the usual case outside of benchmarks."""
    fitted = subject.fitted()
    for name, modality in fitted.train.items():
        rows = fitted.embed(name, modality.features[:1])
        if rows.ndim != 2 or len(rows) != 1:
            raise Broken(f"embed({name!r}) of one row has shape {rows.shape}, not (1, d)")


@promise("embeds every row by itself", "no batch statistics in embed: switch networks to eval()", single_row)
def row_by_row(subject: Subject) -> None:
    """A row's embedding depends neither on the other rows of the call nor on their number or order."""
    fitted = subject.fitted()
    for name, modality in fitted.train.items():
        with _as_broken():
            check_embedding(fitted.method, name, modality)


@promise("keeps samples apart", "rows that are all equal, or mostly of length zero, cannot be ranked", basics)
def not_collapsed(subject: Subject) -> None:
    """The harness refuses such embeddings."""
    for name, rows in subject.fitted().embeddings().items():
        if 2 * np.count_nonzero(np.linalg.norm(rows, axis=1)) < len(rows):
            raise Broken(f"more than half of the rows of {name} are embedded at length zero")
        if np.ptp(rows, axis=0).max() == 0:
            raise Broken(f"all rows of {name} are embedded at the same place")


@promise("ranks by finite similarities", "return finite floats (n_queries, n_gallery)", not_collapsed)
def similarities(subject: Subject) -> None:
    """Also where a method ranks by something else than the cosine."""
    fitted = subject.fitted()
    matrix = fitted.similarities()
    expected = tuple(len(modality) for modality in list(fitted.train.values())[:2])
    if matrix.shape != expected:
        raise Broken(f"similarity has shape {matrix.shape}, not {expected}")
    if not np.isfinite(matrix).all():
        raise Broken("similarity holds values that are not finite")
    if subject.cls.mutual:
        apart = float(np.abs(matrix - fitted.similarities(backwards=True).T).max())
        if not apart <= TOLERANCE * float(np.abs(matrix).max()):
            raise Broken(f"similarity is declared mutual, but differs by up to {apart:.3g}")


@promise(
    "compares every pair of rows by itself",
    "no batch statistics and no row numbers in similarity; take blocks of queries of any size",
    similarities,
)
def pair_by_pair(subject: Subject) -> None:
    """A method's own similarity of two rows depends neither on the other rows nor on their order."""
    if subject.cls.similarity is Method.similarity:
        raise NotApplicable("it ranks by the cosine of its embeddings")
    fitted = subject.fitted()
    for query, gallery in permutations(list(fitted.train.items())[:2]):
        with _as_broken():
            check_similarity(fitted.method, query, gallery)


@contextmanager
def _as_broken() -> Iterator[None]:
    try:
        yield
    except PluginError as error:
        raise Broken(str(error)) from error
