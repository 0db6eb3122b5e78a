"""A dataset under a condition, and the fit of a method under one."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from bench.conditions import Applied, Level, condition_of, conditions, name_of
from bench.conditions.late import late_modalities
from bench.contract import Context, DataError, Dataset, Items, Method, Split, Unsupported, unsuitable
from bench.data import training_rows
from bench.registry import Versions, code_digest

LATE: Final = "late"


def harness_of(condition: str, versions: Versions) -> str:
    """Return the versions of the packages that numbers depend on, with the code of a user's condition."""
    harness, name = versions.harness_under(condition), name_of(condition)
    cls = conditions().get(name) if condition else None
    if cls is None or cls.__module__.startswith("bench.conditions."):
        return harness
    text = Path(inspect.getfile(cls)).read_text(encoding="utf-8", errors="surrogateescape")
    return f"{harness}, {name} {code_digest(text)[:8]}"


def under_condition(
    dataset: Dataset, condition: str, seed: int, file: str = ""
) -> tuple[Dataset, Level | None]:
    """Return a dataset under a condition, and the level that was reached in training rows.

    A condition is named with variant and level, such as ``label-noise@0.4``; under an empty name it is the
    dataset itself, and None. ``file`` is the path that it is read from, empty where it is drawn.

    Raises:
        Unsupported: if the condition cannot be applied to such data, or leaves nothing to train on.
        UsageError: if the condition is unknown.
        DataError: if the file has moved or changed, or is not of these rows.
    """
    applied = condition_of(condition, file)
    if applied is None:
        return dataset, None
    if applied.name == LATE:
        late = late_modalities(str(applied.level), dataset.modalities, dataset.name)
        return dataset, applied.level if len(late) == 1 else ", ".join(late)
    scope = (dataset.name, *dataset.modalities)
    order = tuple(modality.name for modality in dataset.card.modalities)
    try:
        train, validation, effective = applied.to(dataset.train, dataset.validation, scope, seed, order)
    except DataError as error:
        if applied.file is not None:
            raise
        raise Unsupported(f"{condition} cannot be applied to {dataset.name}: {error}") from error
    if empty := [name for name in train if not len(train[name]) or not len(validation[name])]:
        raise Unsupported(f"{condition} leaves no row of {', '.join(empty)} in {dataset.name}")
    changed = _of_test(dataset, applied, scope, seed)
    return replace(changed, train=train, validation=validation), effective


def _of_test(dataset: Dataset, applied: Applied, scope: tuple[str, ...], seed: int) -> Dataset:
    """Return a dataset whose test rows and gallery are under a condition, once they are opened."""

    @cache
    def test_and_gallery() -> tuple[Split, Split | None]:
        return applied.to_test(dataset.test, dataset.gallery, dataset.train, scope, seed)

    def open_gallery() -> Split:
        items = test_and_gallery()[1]
        return dataset.test if items is None else items

    def open_items() -> Items:
        """Return the items of the test rows that are kept, found by their ids."""
        items, before, after = dataset.items, dataset.test, test_and_gallery()[0]
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

    has_gallery = dataset.open_gallery is not None or "generalised" in applied.variant
    return replace(
        dataset,
        open_test=lambda: test_and_gallery()[0],
        open_items=open_items,
        open_gallery=open_gallery if has_gallery else None,
    )


def fit(method: Method, dataset: Dataset, condition: str, context: Context) -> Split:
    """Fit a method on a dataset that is under a condition; return the training rows that it was given.

    Under ``late`` the method is first fitted on the other modalities, and then extended by each late one.

    Raises:
        Unsupported: if the method's card declares that it cannot take this data or this condition.
    """
    applied, card, train = condition_of(condition), method.card, dataset.train
    late: tuple[str, ...] = ()
    if applied is not None and applied.name == LATE:
        if not card.late:
            raise Unsupported(f"{card.title} trains all modalities together; none can be added later")
        late = late_modalities(str(applied.level), dataset.modalities, dataset.name)
        train = train.select(tuple(name for name in dataset.modalities if name not in late))
    first = training_rows(card, train, context.generator("pseudo-pairs"))
    if (reason := unsuitable(card, first)) is not None:
        raise Unsupported(reason)
    validation = dataset.validation.select(tuple(train)) if late else dataset.validation
    method.fit(first, validation, context)
    given = {**first.modalities}
    for name in late:
        rows = training_rows(card, dataset.train.select((name,)), context.generator("pseudo-pairs"))
        method.extend(name, rows, dataset.validation.select((name,)), context)
        given |= rows.modalities
    return Split({name: given[name] for name in dataset.modalities}, train.n_classes) if late else first
