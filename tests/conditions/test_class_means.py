"""A classifier that ignores what a condition changes is unmoved: means of classes by untouched labels."""

from __future__ import annotations

import numpy as np
import pytest

from bench.conditions import Applied, conditions
from bench.contract import Array, Modality, Split
from tests.conditions.test_conditions import CLASSES, ROWS, SCOPE, SINGLE

KEEPING_ROWS = [pair for pair in SINGLE if conditions()[pair[0]].card.group in ("noise", "pairs")]


def _part(seed: int) -> Split:
    """Return rows around the centres of their classes, which lie in each other's reach."""
    centres = np.random.default_rng(2).normal(size=(CLASSES, 4))
    labels, random = np.arange(ROWS) % CLASSES, np.random.default_rng(seed)
    parts = {
        name: Modality(centres[labels] + random.normal(size=(ROWS, 4)), labels) for name in ("image", "text")
    }
    return Split(parts, CLASSES, "natural")


TRAIN, TEST = _part(3), _part(4)


def _accuracy(rows: Array, labels: Array, test: Modality) -> float:
    """Return the share of test rows that are nearest to the mean of their class, of the classes with rows."""
    classes = np.unique(labels)
    means = np.stack([rows[labels == label].mean(axis=0) for label in classes])
    known = np.isin(test.labels, classes)
    distances = np.square(test.features[known][:, None] - means).sum(axis=2)
    return float((classes[distances.argmin(axis=1)] == test.labels[known]).mean())


@pytest.mark.parametrize("level", [0.2, 0.8])
@pytest.mark.parametrize(("name", "variant"), KEEPING_ROWS)
def test_nearest_class_means_of_untouched_labels_are_unmoved(name: str, variant: str, level: float) -> None:
    given = Applied(name, variant, level).to(TRAIN, TRAIN, SCOPE, 0)[0]
    for modality, clean in TRAIN.items():
        rows, test = given[modality].features, TEST[modality]
        usual = _accuracy(clean.features, clean.labels, test)
        assert _accuracy(rows, clean.labels, test) == usual
        untouched = given[modality].labels == clean.labels
        known = np.isin(clean.labels, clean.labels[untouched])  # not the unknown ones of an open set
        assert _accuracy(rows[untouched], clean.labels[untouched], test) == pytest.approx(
            _accuracy(rows[known], clean.labels[known], test), abs=0.02
        )
