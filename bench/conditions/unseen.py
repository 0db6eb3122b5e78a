"""Unseen classes: some classes have no training rows, and their test rows are the queries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench import conditions as t
from bench.contract import Array, Split, Unsupported


class Unseen(t.Condition):
    """Seen classes are numbered first, so that a method is given only their number."""

    card = t.ConditionCard(
        name="unseen",
        title="unseen classes",
        group="classes",
        changes="a share p of the classes has no training or validation rows; their test rows are queries",
        levels=(0.2, 0.5),
        variants={
            "unseen": "the gallery holds rows of unseen classes only",
            "generalised": "the gallery holds all test rows",
        },
        sources="PSDZH; generalised zero-shot hashing (GZSH)",
        training_only=False,
        in_files=False,
    )

    def edit(self, split: Split, level: t.Level, draws: t.Draws) -> t.Edited:
        """Keep rows of seen classes, under new numbers."""
        t.require_single_label(self, split)
        number, seen = self._numbers(split.n_classes, float(level), draws)
        if seen == split.n_classes and float(level) > 0:
            raise Unsupported(
                f"a share of {float(level):g} of {seen} classes makes no class unseen (two classes must "
                "stay seen); use a higher share, or data with more classes"
            )
        edits = {}
        for name, modality in split.items():
            labels = _renumbered(modality.labels, number)
            edits[name] = t.edit_of(modality, np.flatnonzero(labels < seen), labels=labels)
        return t.Edited(edits, 1 - seen / split.n_classes, seen)

    def edit_test(
        self, test: Split, gallery: Split | None, train: Split, level: t.Level, draws: t.Draws
    ) -> tuple[t.Edited, t.Edited | None]:
        """Keep queries of unseen classes; the gallery is theirs, or all rows if generalised."""
        number, seen = self._numbers(train.n_classes, float(level), draws)
        if seen == train.n_classes:
            return super().edit_test(test, gallery, train, level, draws)
        queries = _of_classes(test, number, seen)
        if self.variant == "generalised":
            return queries, _of_classes(test if gallery is None else gallery, number, 0)
        return queries, None if gallery is None else _of_classes(gallery, number, seen)

    def _numbers(self, n_classes: int, share: float, draws: t.Draws) -> tuple[NDArray[np.intp], int]:
        """Return the new number of each class, and how many are seen: at least two."""
        order = draws.generator("classes").permutation(n_classes)
        unseen = min(round(share * n_classes), max(n_classes - 2, 0))
        ranked = np.sort(order[unseen:]), np.sort(order[:unseen])
        number = np.empty(n_classes, dtype=np.intp)
        number[np.concatenate(ranked)] = np.arange(n_classes)
        return number, n_classes - unseen


def _of_classes(split: Split, number: NDArray[np.intp], first: int) -> t.Edited:
    """Keep the rows whose new class number is at least ``first``."""
    edits = {}
    for name, modality in split.items():
        labels = _renumbered(modality.labels, number)
        edits[name] = t.edit_of(modality, np.flatnonzero(labels >= first), labels=labels)
    return t.Edited(edits, 1 - first / len(number))


def _renumbered(labels: Array, number: NDArray[np.intp]) -> Array:
    """Return labels under new numbers of their classes; -1 stays."""
    return np.where(labels >= 0, number[np.maximum(labels, 0)], -1)
