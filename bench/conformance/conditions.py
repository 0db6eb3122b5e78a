"""Promises of conditions, tested on tiny data at all levels and variants."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from bench.conditions import Applied, Condition, ConditionFile, Level, condition_class
from bench.conditions.drawn import write_drawn
from bench.conformance.method_under_test import Broken, NotApplicable, Outcome, promise
from bench.conformance.samples import PAIR, Sample
from bench.contract import Array, Modality, Split, Unsupported

_SCOPE: Final = ("conformance", *PAIR)
_ROWS: Final = (60, 60)


class ConditionUnderTest:
    """A variant of a condition and the training rows of tiny data that it takes."""

    def __init__(self, cls: type[Condition], variant: str) -> None:
        """Find data that the condition takes.

        Raises:
            NotApplicable: if there is none.
        """
        self.cls, self.variant = cls, variant
        for multi_label in (False, True):
            self.split = Sample(rows=_ROWS, multi_label=multi_label).dataset().train
            try:
                self.at(self.levels[0])
            except Unsupported as error:
                reason = str(error)
            else:
                return
        raise NotApplicable(f"it takes neither single-label nor multi-label data: {reason}")

    @property
    def levels(self) -> list[Level]:
        """Return the levels of the card, numbers in ascending order."""
        numbers = [level for level in self.cls.card.levels if not isinstance(level, str)]
        return [*sorted(numbers), *(level for level in self.cls.card.levels if isinstance(level, str))]

    @property
    def numbers(self) -> list[float]:
        """Return the levels that are numbers.

        Raises:
            NotApplicable: if these are names.
        """
        if not all(isinstance(level, float | int) for level in self.levels):
            raise NotApplicable("its levels are names")
        return [float(level) for level in self.levels]

    def at(self, level: Level, seed: int = 0) -> Split:
        """Return the training rows at a level."""
        applied = Applied(self.cls.card.name, self.variant, level)
        return applied.to(self.split, self.split, _SCOPE, seed)[0]


def _same(a: Array | None, b: Array | None) -> bool:
    """Whether two arrays are equal, or neither is there."""
    return a is None or b is None if a is None or b is None else np.array_equal(a, b)


def _same_rows(a: Modality, b: Modality) -> bool:
    """Whether features, labels and ids are equal."""
    return all(_same(getattr(a, part), getattr(b, part)) for part in ("features", "labels", "ids"))


def _changed(before: Split, after: Split) -> set[tuple[str, int]]:
    """Return modality and row of all rows that are gone or have other labels, ids or features."""
    changed = set()
    for name, old in before.items():
        new = after[name]
        rows = {bytes(row): index for index, row in enumerate(new.features)}
        for row, features in enumerate(old.features):
            index = rows.get(bytes(features))
            same = index is not None and np.array_equal(old.labels[row], new.labels[index])
            if same and old.ids is not None and new.ids is not None:
                same = old.ids[row] == new.ids[index]
            changed |= set() if same else {(name, row)}
    return changed


@promise("has a complete card", "name, title, what changes, levels")
def complete_card(tested: ConditionUnderTest) -> None:
    """A card without words cannot be listed."""
    needed = ("name", "title", "changes", "levels")
    if missing := [field for field in needed if not getattr(tested.cls.card, field)]:
        raise Broken(f"its card lacks {', '.join(missing)}")


@promise("is clean at level 0", "level 0 means that nothing is drawn")
def clean_at_zero(tested: ConditionUnderTest) -> None:
    """Check that level 0 changes nothing but the numbering of classes."""
    _ = tested.numbers
    clean = tested.at(0.0)
    for name, old in tested.split.items():
        new = clean[name]
        if not (_same(new.features, old.features) and _same(new.ids, old.ids)):
            raise Broken(f"level 0 changes rows or ids of {name}")
        if not (_same(new.labels, old.labels) or _renumbered(new.labels, old.labels)):
            raise Broken(f"level 0 changes labels of {name}")


def _renumbered(new: Array, old: Array) -> bool:
    """Whether classes have other numbers and nothing else has changed."""
    if new.ndim > 1 or new.shape != old.shape:
        return False
    pairs = np.unique(np.stack([new, old]), axis=1).shape[1]
    return bool(pairs == len(np.unique(new)) == len(np.unique(old)))


@promise("draws the same rows again", "draw from `draws` alone, in a fixed order")
def repeatable(tested: ConditionUnderTest) -> None:
    """The same draws give the same rows."""
    for level in tested.levels:
        first, second = tested.at(level), tested.at(level)
        for name in first:
            if not _same_rows(first[name], second[name]):
                raise Broken(f"at level {level} the same draws give other rows of {name}")


@promise("is nested", "draw an order once and take its beginning, as `Draws.first` does")
def nested(tested: ConditionUnderTest) -> None:
    """What is changed at one level is changed at the next, in one of the two orders of levels."""
    changed = [_changed(tested.split, tested.at(level)) for level in tested.numbers]
    if tested.at(tested.numbers[0]).n_classes != tested.split.n_classes:
        raise NotApplicable("it gives classes other numbers")
    orders = (changed, changed[::-1])
    if not any(all(low <= high for low, high in pairwise(order)) for order in orders):
        raise Broken("a row that is changed at one level is not changed at the next")


@promise("hides what it takes away", "give copies, not views of labels and ids")
def unreachable(tested: ConditionUnderTest) -> None:
    """No array of the changed rows shares memory with labels or ids before the change."""
    for level in tested.levels:
        for name, given in tested.at(level).items():
            old = tested.split[name]
            for new, whole in ((given.labels, old.labels), (given.ids, old.ids)):
                if new is not None and whole is not None and not _same(new, whole) and _reaches(new, whole):
                    raise Broken(f"labels or ids of {name} before the change can be reached")


def _reaches(array: Array, whole: Array) -> bool:
    """Whether an array, or what it is a view of, shares memory with another."""
    base: object = array
    while isinstance(base, np.ndarray):
        if np.shares_memory(base, whole):
            return True
        base = base.base
    return False


@promise("leaves its input as it is", "change copies")
def untouched(tested: ConditionUnderTest) -> None:
    """The arrays that it is given stay as they were."""
    before = {name: (part.features.copy(), part.labels.copy()) for name, part in tested.split.items()}
    for level in tested.levels:
        tested.at(level)
    for name, (features, labels) in before.items():
        now = tested.split[name]
        if not (np.array_equal(features, now.features) and np.array_equal(labels, now.labels)):
            raise Broken(f"it writes into the arrays of {name} that it is given")


@promise("is read back from a file", "say in_files=False, or what a file means in `read`")
def read_back(tested: ConditionUnderTest) -> None:
    """A file of what was drawn gives the same rows."""
    if not tested.cls.card.in_files:
        raise NotApplicable("no file can hold it")
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        for level in tested.levels:
            applied = Applied(tested.cls.card.name, tested.variant, level)
            edited = applied.drawn(tested.split, _SCOPE, 0)
            if any(edit.features is not None for edit in edited.edits.values()):
                raise NotApplicable("no file can hold it: it changes features")
            path = Path(folder) / f"{level}.npz"
            write_drawn(path, tested.split, edited, {"condition": applied.id})
            read = replace(applied, level="", file=ConditionFile.at(path)).drawn(tested.split, _SCOPE, 0)
            drawn, again = edited.of(tested.split), read.of(tested.split)
            for name in drawn:
                if not _same_rows(drawn[name], again[name]):
                    raise Broken(f"at level {level} a file of it gives other rows of {name}")
            if drawn.n_classes != again.n_classes:
                raise Broken(f"at level {level} a file of it gives {again.n_classes} classes")


_CHECKS: Final = (complete_card, clean_at_zero, repeatable, nested, unreachable, untouched, read_back)


def condition_outcomes(name: str) -> Iterator[Outcome]:
    """Yield the outcome of every promise of a condition; a broken one names its variant.

    Raises:
        UsageError: if there is no such condition.
    """
    cls = condition_class(name)
    for check in _CHECKS:
        outcome = Outcome(check, "passed")
        for variant in cls.card.variants or ("",):
            of_variant = check.of(partial(ConditionUnderTest, cls, variant), cls)
            if of_variant.status != "passed":
                where = f"variant {variant}: " if variant else ""
                outcome = replace(of_variant, reason=f"{where}{of_variant.reason}")
            if of_variant.status == "failed":
                break
        yield outcome
