"""A dataset under a condition, and the fit of a method under one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from bench.conditions import Applied, Level, condition_of, conditions, name_of
from bench.conditions.late import late_modalities
from bench.contract import (
    Context,
    DataError,
    Dataset,
    Items,
    Method,
    Split,
    Unsupported,
    unsuitable,
)
from bench.data import training_rows
from bench.registry import Versions, code_digest

LATE: Final = "late"


class Conditioned(NamedTuple):
    """A dataset under a condition.

    Attributes:
        dataset: as methods and evaluation meet it.
        effective: level that was reached in training rows; None without a condition.
    """

    dataset: Dataset
    effective: Level | None


def harness_of(condition: str, versions: Versions) -> str:
    """Return the versions of the rooms that numbers depend on, with the code of a user's condition."""
    harness, name = versions.harness_under(condition), name_of(condition)
    cls = conditions().get(name) if condition else None
    if cls is None or cls.__module__.startswith("bench.conditions."):
        return harness
    text = Path(inspect.getfile(cls)).read_text(encoding="utf-8", errors="surrogateescape")
    return f"{harness}, {name} {code_digest(text)[:8]}"


def under_condition(dataset: Dataset, condition: str, seed: int, file: str = "") -> Conditioned:
    """Return a dataset under a condition; without one, the dataset itself.

    Args:
        dataset: with the modalities of the cell.
        condition: its name with variant and level, such as ``label-noise@0.4``; empty for none.
        seed: seed index: another seed draws other rows.
        file: path of the file that the condition is read from; empty where it is drawn.

    Raises:
        Unsupported: if the condition cannot be made of such data, or leaves nothing to train on.
        UsageError: if the condition is unknown.
        DataError: if the file has moved or changed, or is not of these rows.
    """
    applied = condition_of(condition, file)
    if applied is None:
        return Conditioned(dataset, None)
    if applied.name == LATE:
        late = late_modalities(str(applied.level), dataset.modalities, dataset.name)
        return Conditioned(dataset, applied.level if len(late) == 1 else ", ".join(late))
    scope = (dataset.name, *dataset.modalities)
    order = tuple(modality.name for modality in dataset.card.modalities)
    try:
        train, validation, effective = applied.to(dataset.train, dataset.validation, scope, seed, order)
    except DataError as error:
        if applied.file is not None:
            raise
        raise Unsupported(f"{condition} cannot be made of {dataset.name}: {error}") from error
    if empty := [name for name in train if not len(train[name]) or not len(validation[name])]:
        raise Unsupported(f"{condition} leaves no row of {', '.join(empty)} in {dataset.name}")

    changed = _of_test(dataset, applied, scope, seed)
    return Conditioned(replace(changed, train=train, validation=validation), effective)


def _of_test(dataset: Dataset, applied: Applied, scope: tuple[str, ...], seed: int) -> Dataset:
    """Return a dataset whose test rows and gallery are under a condition, once they are opened."""

    @cache
    def test_and_gallery() -> tuple[Split, Split | None]:
        return applied.to_test(dataset.test, dataset.gallery, dataset.train, scope, seed)

    def gallery() -> Split:
        items = test_and_gallery()[1]
        return dataset.test if items is None else items

    has_gallery = dataset.open_gallery is not None or "generalised" in applied.variant
    return replace(
        dataset,
        open_test=lambda: test_and_gallery()[0],
        open_items=_items_of(dataset, lambda: test_and_gallery()[0]),
        open_gallery=gallery if has_gallery else None,
    )


def _items_of(dataset: Dataset, test: Callable[[], Split]) -> Callable[[], Items]:
    """Return what is shown of the test rows that a condition keeps; their ids tell which these are."""

    def open_items() -> Items:
        items, before, after = dataset.items, dataset.test, test()
        rows = {}
        for name, modality in after.items():
            ids, known = modality.ids, before[name].ids
            if len(modality) == len(before[name]):
                rows[name] = np.arange(len(modality))
            elif ids is None or known is None or len(np.unique(known)) < len(known):
                return Items(classes=items.classes)
            else:
                order = np.argsort(known)
                rows[name] = order[np.searchsorted(known, ids, sorter=order)]
        return items.take(rows)

    return open_items


def fit(method: Method, dataset: Dataset, condition: str, context: Context) -> Split:
    """Fit a method on a dataset that is under a condition; return the training rows that it was given.

    Under ``late`` the method first sees the other modalities, and then each of those that come later alone.

    Raises:
        Unsupported: if the method's card declares that it cannot take this data or this condition.
    """
    applied, card, train = condition_of(condition), method.card, dataset.train
    if applied is None or applied.name != LATE:
        train = training_rows(card, train, context.generator("pseudo-pairs"))
        _require_suitable(method, train)
        method.fit(train, dataset.validation, context)
        return train
    if not card.late:
        raise Unsupported(f"{card.title} trains all modalities together; none can be added later")
    late = late_modalities(str(applied.level), dataset.modalities, dataset.name)
    early = tuple(name for name in dataset.modalities if name not in late)
    first = training_rows(card, train.select(early), context.generator("pseudo-pairs"))
    _require_suitable(method, first)
    method.fit(first, dataset.validation.select(early), context)
    given = {**first.modalities}
    for name in late:
        rows = training_rows(card, train.select((name,)), context.generator("pseudo-pairs"))
        method.extend(name, rows, dataset.validation.select((name,)), context)
        given |= rows.modalities
    return Split({name: given[name] for name in dataset.modalities}, train.n_classes)


def _require_suitable(method: Method, train: Split) -> None:
    if (reason := unsuitable(method.card, train)) is not None:
        raise Unsupported(reason)
