"""Rows of splits: the profiles' limits, fixed stratified draws, validation sets and pseudo-pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, DataError, DataKind, Split, UsageError

VERSION = 1
"""Part of every fingerprint: raised when a rule below changes which rows are drawn."""

VALIDATION_SHARE = 0.15
_RARE = 7  # a label vector with fewer rows than 1 / VALIDATION_SHARE cannot be drawn from by itself

Rows = NDArray[np.int64]

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class RowLimits:
    """Upper limits on rows per modality, and on the width of generated features.

    Real features keep their width: a method's settings depend on it.

    Attributes:
        train: rows of a modality in the training split.
        validation: rows of a modality in the validation split.
        test: rows of a modality in the test split.
        dimension: width of a look-alike's features.
        classes: of a look-alike.
    """

    train: int
    validation: int
    test: int
    dimension: int
    classes: int = 1_000_000

    def rows(self, n_classes: int) -> dict[str, int]:
        """Return the row limit of each part, widened so that many classes still fit.

        With hundreds of classes a fixed limit would leave some without a row: at least four rows per
        class to train on, and two to select on and to test on may always be kept.
        """
        return {
            "train": max(self.train, 4 * n_classes),
            "validation": max(self.validation, 2 * n_classes),
            "test": max(self.test, 2 * n_classes),
        }


QUICK = RowLimits(train=2500, validation=500, test=1000, dimension=256)
"""Limits of the quick profile on real data: emoji and Wikipedia stay whole."""

QUICK_LOOK_ALIKE = RowLimits(train=1000, validation=250, test=400, dimension=128, classes=20)
"""Limits of the quick profile on look-alikes, whose numbers mean nothing: no more than a trial needs.

With 200 classes 1000 rows are five per class, on which the quick profile's few hundred steps leave half of
the methods near chance; with 20 they are fifty, about as in the benchmarks themselves.
"""

ROW_LIMITS = MappingProxyType({"quick": QUICK, "paper": None})
"""Limits of each profile on real data; None takes everything."""


def row_limits(profile: str, kind: DataKind = "real") -> RowLimits | None:
    """Return a profile's limits for real data or for look-alikes.

    Raises:
        UsageError: if there is no such profile.
    """
    if profile not in ROW_LIMITS:
        near = get_close_matches(profile, ROW_LIMITS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"there is no profile {profile!r}, only {', '.join(ROW_LIMITS)}{hint}")
    limits = ROW_LIMITS[profile]
    return QUICK_LOOK_ALIKE if limits is not None and kind == "look-alike" else limits


def fixed_generator(*words: object) -> np.random.Generator:
    """Return a PCG64 generator that depends on ``words`` alone."""
    text = "\x1f".join(str(word) for word in words)
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    return np.random.Generator(np.random.PCG64(seed))


def strata_of(labels: Array) -> Rows:
    """Return the stratum ``(n,)`` of each row: its class, or its set of classes.

    With multi-label rows, sets of classes that occur fewer than seven times form one stratum together.
    """
    if labels.ndim == 1:
        return np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)
    _, stratum, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    stratum = stratum.reshape(-1).astype(np.int64)
    stratum[counts[stratum] < _RARE] = -1
    return np.unique(stratum, return_inverse=True)[1].reshape(-1).astype(np.int64)


def apportion(available: Rows, total: int, least: int) -> Rows:
    """Share ``total`` out in proportion to ``available``, by largest remainders.

    Args:
        available: the most that each stratum can give.
        total: how much is asked for; what exceeds the sum of ``available`` is left out.
        least: given to every stratum first, if ``total`` reaches that far.

    Returns:
        What each stratum gives, never more than it has.
    """
    first = np.minimum(available, least)
    if first.sum() > total:
        first = np.zeros_like(available)
    rest = available - first
    wanted = min(total - int(first.sum()), int(rest.sum()))
    if wanted == 0:
        return first
    scaled = rest * wanted  # integers, so that no rounding of a quotient decides who is served
    share, remainder = np.divmod(scaled, int(rest.sum()))
    missing = wanted - int(share.sum())
    share[np.argsort(-remainder, kind="stable")[:missing]] += 1
    return first + share


def stratified_rows(
    labels: Array, total: int, generator: np.random.Generator, *, least: int = 1, spare: int = 0
) -> Rows:
    """Draw rows so that every class keeps its share.

    Args:
        labels: ``(n,)`` or ``(n, C)``.
        total: number of rows to draw.
        generator: decides which rows of a class are taken.
        least: rows that every class gets first.
        spare: rows of every class that are never drawn.

    Returns:
        Row numbers in ascending order.
    """
    strata = strata_of(labels)
    counts = np.bincount(strata).astype(np.int64)
    take = apportion(np.maximum(counts - spare, 0), total, least)
    chosen = [
        generator.permutation(np.flatnonzero(strata == stratum))[:count] for stratum, count in enumerate(take)
    ]
    return np.sort(np.concatenate(chosen))


def stratified_validation(split: Split, share: float = VALIDATION_SHARE) -> tuple[Split, Split]:
    """Cut a validation set off the rows to train on: a stratified draw with a fixed seed.

    Paired rows stay together; a class never gives its last row.

    Args:
        split: the rows given for training.
        share: of the rows that go to validation.

    Returns:
        The remaining training rows and the validation rows, both in the order of ``split``.

    Raises:
        DataError: if there are too few rows to take any away.
    """
    kept: dict[str, Array] = {}
    drawn: dict[str, Array] = {}
    for name, modality in split.items():
        generator = fixed_generator("validation", "pairs" if split.paired else name)
        total = round(share * len(modality))
        rows = stratified_rows(modality.labels, total, generator, least=0, spare=1)
        if len(rows) == 0:
            raise DataError(
                f"{len(modality)} training rows of {name} are too few to cut a validation set off; "
                "give a validation split"
            )
        drawn[name] = rows
        kept[name] = np.setdiff1d(np.arange(len(modality)), rows)
    return take_rows(split, kept), take_rows(split, drawn)


def capped(split: Split, part: str, limit: int) -> Split:
    """Return at most ``limit`` rows of each modality: a stratified draw with a fixed seed.

    Args:
        split: rows to draw from; pairs stay together.
        part: ``train``, ``validation`` or ``test``: each has a stream of its own.
        limit: most rows to keep.
    """
    rows = capped_rows(split, part, limit)
    return split if rows is None else take_rows(split, rows)


def capped_rows(split: Split, part: str, limit: int) -> dict[str, Array] | None:
    """Return the rows that `capped` keeps of each modality, None where it keeps all."""
    if all(len(modality) <= limit for modality in split.values()):
        return None
    rows: dict[str, Array] = {}
    for name, modality in split.items():
        generator = fixed_generator("cap", part, "pairs" if split.paired else name)
        rows[name] = stratified_rows(modality.labels, limit, generator)
    return rows


def take_rows(split: Split, rows: Mapping[str, Array]) -> Split:
    """Return chosen rows of each modality, with the split's pairing as it was."""
    chosen = {name: modality.take(rows[name]) for name, modality in split.items()}
    return Split(chosen, split.n_classes, split.pairing)


def class_matched(split: Split, generator: np.random.Generator) -> Split:
    """Put rows of different modalities together that share their class, and nothing else.

    For every class, each modality's rows of that class are shuffled and then repeated in turn up to
    the largest number of rows that any modality has of it; row i of every modality then stands for
    the same class. Classes that a modality lacks are dropped. The rows' order is shuffled at the end.
    A multi-label row's class is its whole set of labels.

    Args:
        split: any split; pairs it may have are ignored.
        generator: decides the shuffles.

    Returns:
        A split with ``pairing="class-matched"`` and equally many rows in every modality.

    Raises:
        DataError: if no class occurs in all modalities.
    """
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
