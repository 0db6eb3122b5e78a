"""Fixed draws of rows that keep the classes' shares: validation sets and capped splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, DataError, Split

VERSION = 1
"""Part of every fingerprint: raised when a rule below changes which rows are drawn."""

VALIDATION_SHARE = 0.15
_RARE = 7  # a label vector with fewer rows than 1 / VALIDATION_SHARE cannot be drawn from by itself

Rows = NDArray[np.int64]


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
