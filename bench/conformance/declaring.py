"""Promises about what a method says of itself: card, settings, declared limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.conformance.fitting import basics, examine
from bench.conformance.outcomes import Broken, NotApplicable, promise
from bench.conformance.samples import WIDTHS, Sample
from bench.conformance.subject import Subject

_TOLD = ("name", "title", "authors", "venue", "family")


@promise("has a complete card", "fill in the fields of MethodCard(...); the tables print them")
def complete_card(subject: Subject) -> None:
    """Name, title, authors, year, venue and family are there."""
    empty = [field for field in _TOLD if not str(getattr(subject.card, field)).strip()]
    if empty:
        raise Broken(f"the card lacks {', '.join(empty)}")
    if subject.card.year and not 1900 <= subject.card.year <= 2100:
        raise Broken(f"the card's year is {subject.card.year}")


@promise("has variants that can be made", "a variant's values must fit the types in Settings")
def valid_variants(subject: Subject) -> None:
    """The settings themselves are looked at when a method is registered."""
    subject.instance()
    for name, changes in subject.cls.variants.items():
        _needs_instance(subject, name, changes)


@promise(
    "takes several classes per sample",
    "targets are (n, C) 0/1; or leave multi_label=False in the card",
    basics,
)
def multi_label(subject: Subject) -> None:
    """A card that says so keeps its word on a label matrix."""
    examine(subject.fitted(Sample(multi_label=True)))


@promise(
    "takes five modalities at once", "go over the modalities of train; or leave any_modalities=False", basics
)
def five_modalities(subject: Subject) -> None:
    """A card that says so keeps its word on five modalities."""
    examine(subject.fitted(Sample(modalities=tuple(WIDTHS), rows=(24,) * len(WIDTHS))))


@promise(
    "reports notes that a record can hold", "notes() returns numbers, strings, lists, dictionaries", basics
)
def plain_notes(subject: Subject) -> None:
    """What `notes` returns after a fit is JSON."""
    notes = subject.fitted().method.notes()
    if not notes:
        raise NotApplicable("it reports no notes")
    _needs_json("the value of notes()", dict(notes))


def _needs_instance(subject: Subject, variant: str, changes: Mapping[str, Any]) -> None:
    try:
        subject.instance(**changes)
    except Broken as error:
        raise Broken(f"variant {variant}: {error}") from error


def _needs_json(what: str, value: Any) -> None:
    try:
        json.dumps(value, default=_mapping)
    except (TypeError, ValueError) as error:
        raise Broken(f"{what}, {value!r}, cannot be written as JSON: {error}") from error


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")
