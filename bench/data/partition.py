"""Rows of splits: the profiles' limits, fixed stratified draws, validation sets and pseudo-pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, DataError, DataKind, Modality, Split, UsageError

VERSION = 1
"""Part of every fingerprint: raised when a rule below changes which rows are drawn."""

VALIDATION_SHARE = 0.15
"""Of the rows given for training, where there is no validation split."""
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
        gallery: rows of a modality in the gallery, where a dataset brings one.
    """

    train: int
    validation: int
    test: int
    dimension: int
    classes: int = 1_000_000
    gallery: int = 5000

    def rows(self, n_classes: int) -> dict[str, int]:
        """Return the row limit of each part, widened so that many classes still fit.

        With hundreds of classes a fixed limit would leave some without a row: at least four rows per
        class to train on, and two to select on, to test on and in a gallery may always be kept.
        """
        return {
            "train": max(self.train, 4 * n_classes),
            "validation": max(self.validation, 2 * n_classes),
            "test": max(self.test, 2 * n_classes),
            "gallery": max(self.gallery, 2 * n_classes),
        }


QUICK = RowLimits(train=2500, validation=500, test=1000, dimension=256)
"""Limits of the quick profile on real data: emoji and Wikipedia stay whole."""

QUICK_LOOK_ALIKE = RowLimits(train=1000, validation=250, test=400, dimension=128, classes=20)
"""Limits of the quick profile on look-alikes, whose numbers mean nothing: no more than a trial needs.

With 200 classes 1000 rows are five per class, on which the quick profile's few hundred steps leave half of
the methods near chance; with 20 they are fifty, about as in the benchmarks themselves.
"""


def row_limits(profile: str, kind: DataKind = "real") -> RowLimits | None:
    """Return a profile's limits for real data or for look-alikes; None takes everything.

    Raises:
        UsageError: if there is no such profile.
    """
    profiles = ("quick", "paper")
    if profile not in profiles:
        hints = "".join(f"; did you mean {near!r}?" for near in get_close_matches(profile, profiles, n=1))
        raise UsageError(f"there is no profile {profile!r}, only {', '.join(profiles)}{hints}")
    return None if profile == "paper" else QUICK_LOOK_ALIKE if kind == "look-alike" else QUICK


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
        total: number of rows to share out; what exceeds the sum of ``available`` is left out.
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
    scaled = rest * wanted  # integers, so that no rounding of a quotient decides which stratum gets a row
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


def stratified_validation(split: Split) -> tuple[Split, Split]:
    """Cut a validation set off the rows to train on: a stratified draw of 15 % with a fixed seed.

    Rows with the same id stay together; a class never gives its last row. Rows without a label are not drawn.

    Returns:
        The remaining training rows and the validation rows, both in the order of ``split``.

    Raises:
        DataError: if there are too few rows to take any away.
    """
    kept, drawn = validation_rows(split)
    return split.take(kept), split.take(drawn)


def validation_rows(split: Split) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the rows that `stratified_validation` keeps and those that it draws, in ascending order.

    Raises:
        DataError: if there are too few rows to take any away.
    """
    drawn = _drawn(split, "validation", lambda rows, _: round(VALIDATION_SHARE * rows), held_out=True)
    for name, rows in drawn.items():
        if len(rows) == 0:
            raise DataError(
                f"{len(split[name])} training rows of {name} are too few to cut a validation set off; "
                "give a validation split"
            )
    kept: dict[str, Array] = {
        name: np.setdiff1d(np.arange(len(split[name])), rows) for name, rows in drawn.items()
    }
    return kept, drawn


def capped(split: Split, part: str, limit: int) -> Split:
    """Return at most ``limit`` rows of each modality: a stratified draw with a fixed seed for each part.

    Rows with the same id stay together.
    """
    rows = capped_rows(split, part, limit)
    return split if rows is None else split.take(rows)


def capped_rows(split: Split, part: str, limit: int) -> dict[str, Array] | None:
    """Return the rows that `capped` keeps of each modality, None where it keeps all."""
    if all(len(modality) <= limit for modality in split.values()):
        return None
    return _drawn(split, f"cap\x1f{part}", lambda rows, most: limit * rows // most, held_out=False)


def _drawn(
    split: Split, stream: str, total: Callable[[int, int], int], *, held_out: bool
) -> dict[str, Array]:
    """Draw rows of each modality, stratified; rows with the same id are drawn together.

    Args:
        split: rows to draw from.
        stream: words that the generator depends on.
        total: how many to draw, of so many rows or ids, of which a modality has so many rows at most.
        held_out: whether rows are taken away from those to train on: labelled ones, but no class's last.
    """

    def draw(labels: Array, most: int, unit: str) -> Rows:
        known = np.arange(len(labels))
        if held_out:
            known = np.flatnonzero(Modality(np.empty((len(labels), 0)), labels).labelled)
        generator, count = fixed_generator(stream, unit), total(len(known), most)
        least, spare = (0, 1) if held_out else (1, 0)
        return known[stratified_rows(labels[known], count, generator, least=least, spare=spare)]

    if split.paired:
        first = next(iter(split.values()))
        return dict.fromkeys(split, draw(first.labels, len(first), "pairs"))
    with_ids = {name: one.ids for name, one in split.items() if one.ids is not None}
    drawn = {name: draw(split[name].labels, len(split[name]), name) for name in split if name not in with_ids}
    if with_ids:
        ids, first_rows = np.unique(np.concatenate([*with_ids.values()]), return_index=True)
        labels = np.concatenate([split[name].labels for name in with_ids])[first_rows]
        chosen = ids[draw(labels, max(map(len, with_ids.values())), "pairs")]
        drawn |= {name: np.flatnonzero(np.isin(known, chosen)) for name, known in with_ids.items()}
    return {name: drawn[name] for name in split}
