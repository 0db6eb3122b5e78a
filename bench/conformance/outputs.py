"""Promises about what a method declares and returns: card, variants, notes, embeddings, similarities."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np

from bench import registry
from bench.conformance.fitting import basics, examine
from bench.conformance.method_under_test import Broken, MethodUnderTest, NotApplicable, promise
from bench.conformance.samples import WIDTHS, Sample
from bench.contract import Method, PluginError
from bench.evaluation.independence import TOLERANCE, check_embedding, check_similarity


@promise("embeds a single row", "features have shape (1, d_v) then; keep the row axis", basics)
def single_row(method: MethodUnderTest) -> None:
    """Check that ``embed`` accepts one row (1, d_v) and returns (1, d), as searches need."""
    fitted = method.fitted()
    for name, modality in fitted.train.items():
        rows = fitted.embed(name, modality.features[:1])
        if rows.ndim != 2 or len(rows) != 1:
            raise Broken(f"embed({name!r}) of one row has shape {rows.shape}, not (1, d)")


@promise("embeds every row by itself", "no batch statistics in embed: switch networks to eval()", single_row)
def row_by_row(method: MethodUnderTest) -> None:
    """A row's embedding depends neither on the other rows of the call nor on their number or order."""
    fitted = method.fitted()
    for name, modality in fitted.train.items():
        _as_broken(check_embedding, fitted.method, name, modality)


@promise("keeps samples apart", "rows that are all equal, or mostly of length zero, cannot be ranked", basics)
def not_collapsed(method: MethodUnderTest) -> None:
    """Check that embeddings are neither all equal nor mostly zero, which the harness refuses."""
    for name, rows in method.fitted().embeddings().items():
        if 2 * np.count_nonzero(np.linalg.norm(rows, axis=1)) < len(rows):
            raise Broken(f"more than half of the rows of {name} are embedded at length zero")
        if np.ptp(rows, axis=0).max() == 0:
            raise Broken(f"all rows of {name} have the same embedding")


@promise("ranks by finite similarities", "return finite floats (n_queries, n_gallery)", not_collapsed)
def similarities(method: MethodUnderTest) -> None:
    """Also where a method ranks by something else than the cosine."""
    fitted = method.fitted()
    matrix = fitted.similarities()
    expected = tuple(len(modality) for modality in list(fitted.train.values())[:2])
    if matrix.shape != expected:
        raise Broken(f"similarity has shape {matrix.shape}, not {expected}")
    if not np.isfinite(matrix).all():
        raise Broken("similarity holds values that are not finite")
    if method.cls.mutual:
        apart = float(np.abs(matrix - fitted.similarities(reverse=True).T).max())
        if not apart <= TOLERANCE * float(np.abs(matrix).max()):
            raise Broken(f"similarity is declared mutual, but differs by up to {apart:.3g}")


@promise(
    "compares every pair of rows by itself",
    "no batch statistics and no row numbers in similarity; take blocks of queries of any size",
    similarities,
)
def pair_by_pair(method: MethodUnderTest) -> None:
    """An overridden similarity of two rows depends neither on the other rows nor on their order."""
    if method.cls.similarity is Method.similarity:
        raise NotApplicable("it ranks by the cosine of its embeddings")
    fitted = method.fitted()
    for query, gallery in permutations(list(fitted.train.items())[:2]):
        _as_broken(check_similarity, fitted.method, query, gallery)


@promise("has a complete card", "give card() a title, and authors and venue to a year; the tables print them")
def complete_card(method: MethodUnderTest) -> None:
    """A method without a year is unpublished: it needs a title only."""
    card = method.card
    needed = ("name", "title", "authors", "venue", "family") if card.year else ("name", "title")
    empty = [field for field in needed if not str(getattr(card, field)).strip()]
    if empty:
        raise Broken(f"the card lacks {', '.join(empty)}")
    if card.year and not 1900 <= card.year <= 2100:
        raise Broken(f"the card's year is {card.year}")


@promise("has variants that can be made", "a variant's values must fit the types in Settings")
def valid_variants(method: MethodUnderTest) -> None:
    """The settings themselves are looked at when a method is registered."""
    method.instance()
    for name, changes in method.cls.variants.items():
        try:
            method.instance(**changes)
        except Broken as error:
            raise Broken(f"variant {name}: {error}") from error


@promise(
    "takes several classes per sample",
    "targets are (n, C) 0/1; or leave multi_label=False in the card",
    basics,
)
def multi_label(method: MethodUnderTest) -> None:
    """Label matrices are taken where the card says so."""
    examine(method.fitted(Sample(multi_label=True)))


@promise(
    "takes five modalities at once", "go over the modalities of train; or leave any_modalities=False", basics
)
def five_modalities(method: MethodUnderTest) -> None:
    """Five modalities are taken where the card says so."""
    examine(method.fitted(Sample(modalities=tuple(WIDTHS), rows=(24,) * len(WIDTHS))))


@promise(
    "reports notes that a record can hold", "notes() returns numbers, strings, lists, dictionaries", basics
)
def plain_notes(method: MethodUnderTest) -> None:
    """What `notes` returns after a fit is JSON."""
    notes = method.fitted().method.notes()
    if not notes:
        raise NotApplicable("it reports no notes")
    try:
        registry.plain(dict(notes))
    except (TypeError, ValueError) as error:
        raise Broken(f"the value of notes(), {dict(notes)!r}, cannot be written as JSON: {error}") from error


def _as_broken(check: Callable[..., None], *arguments: object) -> None:
    """Run a check of the harness; what it refuses is a broken promise."""
    try:
        check(*arguments)
    except PluginError as error:
        raise Broken(str(error)) from error
