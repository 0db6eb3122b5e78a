"""Which training rows a method gets: labelled ones, corresponding ones, pseudo-pairs where there are none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, DataError, MethodCard, Split


def training_rows(card: MethodCard, train: Split, generator: np.random.Generator) -> Split:
    """Return the rows of a training split that a method can train on.

    A method that cannot use rows without a label gets the others. One that needs pairs gets the rows that
    correspond in all modalities, side by side; where none do, class-matched pseudo-pairs, which ``generator``
    draws.

    Raises:
        DataError: if no row of some modality is left.
    """
    rows = train if card.unlabelled else train.labelled()
    if empty := [name for name, modality in rows.items() if not len(modality)]:
        raise DataError(f"no training row of {', '.join(empty)} has a label; {card.title} needs labels")
    if card.pairs != "needed" or rows.paired:
        return rows
    if rows.pairing == "partial" and (aligned := rows.aligned_or_none()) is not None:
        return aligned
    return class_matched(rows, generator)


def class_matched(split: Split, generator: np.random.Generator) -> Split:
    """Return class-matched pseudo-pairs: rows of different modalities that share only their class.

    For every class, each modality's rows of that class are shuffled and then repeated in turn up to
    the largest number of rows that any modality has of it; row i of every modality then has
    the same class. Classes that a modality lacks are dropped. The rows' order is shuffled at the end.
    A multi-label row's class is its whole set of labels. Rows without a label are left out.

    Returns:
        A split with ``pairing="class-matched"`` and equally many rows in every modality.

    Raises:
        DataError: if no class occurs in all modalities.
    """
    split = split.labelled()
    classes = _common_classes(split)
    rows: dict[str, list[NDArray[np.int64]]] = {name: [] for name in split}
    for number in range(int(max(members.max() for members in classes.values())) + 1):
        found = {name: np.flatnonzero(members == number) for name, members in classes.items()}
        if any(len(members) == 0 for members in found.values()):
            continue
        most = max(len(members) for members in found.values())
        for name, members in found.items():
            rows[name].append(np.resize(generator.permutation(members), most))
    if not any(rows.values()):
        raise DataError(
            f"no class occurs in all of {', '.join(split)}: their rows cannot be matched by class"
        )
    order = generator.permutation(sum(len(part) for part in next(iter(rows.values()))))
    matched = {name: split[name].take(np.concatenate(parts)[order]) for name, parts in rows.items()}
    return Split(matched, split.n_classes, "class-matched")


def _common_classes(split: Split) -> dict[str, NDArray[np.int64]]:
    """Number the classes (or sets of classes) alike over all modalities."""
    labels: list[Array] = [modality.labels for modality in split.values()]
    _, inverse = np.unique(np.concatenate(labels), axis=0, return_inverse=True)
    ends = np.cumsum([len(part) for part in labels])[:-1]
    return dict(zip(split, np.split(inverse.reshape(-1).astype(np.int64), ends), strict=True))
