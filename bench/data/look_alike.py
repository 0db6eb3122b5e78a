"""Look-alikes: generated stand-ins for benchmarks whose files are not there.

Every sample has a latent vector: its class's centre plus a deviation of its own. Centres have a
hierarchy: a super-class's centre plus the class's own part, so some classes lie nearer to each other.
A modality sees the latent vector through noise of its own and a non-linear map of its own, and then
takes on the character of its features: ReLU-like, counts, topic shares or dense descriptors. Where the
benchmark is paired, a row's latent vector is shared by all modalities; otherwise each row has its own.

The difficulty is of one kind for all datasets. In units of the deviation within a class, two of 10
classes lie ``SEPARATION * sqrt(2 * LATENT)`` = 6.2 apart, or 5 inside a super-class, before a modality's
own noise (.5 to .9 of that deviation) and the non-linear map take their share. More classes would crowd
this space, and a class has fewer rows then: `separation_of` draws them further apart, so that the nearest
class mean is right for .55 to .85 of the quick profile's test rows in every modality of every benchmark.
No method of the roster had a part in that choice.

Only additions, multiplications, divisions and comparisons make the numbers, in a fixed order: neither a
threaded matrix product nor a vectorised exponential can change a bit between machines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt, log

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, Character, DatasetCard, Modality, ModalityCard, Split
from bench.data.caps import PARTS, Caps
from bench.data.partition import apportion, fixed_generator

VERSION = 2
"""Part of every look-alike's fingerprint: raised when any number below or the rule changes."""

LATENT = 24
HIDDEN = 48
SEPARATION = 0.9
"""Deviation of the centres of 10 classes in every latent direction, within-class deviations as the unit."""
CROWDING = 0.3
"""How much that grows with every factor e in the number of classes, in parts of `SEPARATION`."""
SUPER_SHARE = 0.36
"""Share of the centres' variance that classes of one super-class have in common."""
OWN_NOISE: Mapping[Character, float] = {"sparse": 0.7, "counts": 0.8, "topics": 0.9, "dense": 0.5}
"""Noise that a modality adds to the latent vector, relative to the deviation within a class."""
ENTRY_NOISE = 0.3
SECOND_CLASS = 0.3
"""Multi-label data: probability that a sample also belongs to another class of its super-class."""
UNKNOWN_DIMENSION = 512
"""Width where the benchmark's own is not public."""
UNKNOWN_ROWS = (1000, 200, 200)

Floats = NDArray[np.float32]
_BLOCK = 256


@dataclass(frozen=True, eq=False)
class _Classes:
    """What the classes of a look-alike are drawn with, before any of their samples."""

    centres: Floats
    super_class: NDArray[np.int64]
    weights: NDArray[np.int64]


def look_alike(card: DatasetCard, caps: Caps | None = None) -> dict[str, Split]:
    """Generate the splits of a stand-in for a dataset.

    Args:
        card: modalities, classes, label type and pairing to imitate.
        caps: limits on rows, classes and width; they are never generated beyond.

    Returns:
        ``train``, ``validation`` and ``test``; the same bytes for the same version, card and caps.
    """
    count = card.n_classes.value if caps is None else min(card.n_classes.value, caps.classes)
    classes = _draw_classes(card, count)
    return {part: _draw_split(card, classes, part, caps) for part in PARTS}


def rule_digest(card: DatasetCard, caps: Caps | None = None) -> str:
    """Return the SHA-256 of all that decides a look-alike's bytes, without generating it."""
    facts = {
        "version": VERSION,
        "name": card.name,
        "classes": card.n_classes.value,
        "multi_label": card.multi_label,
        "paired": card.paired.value,
        "modalities": [
            [modality.name, modality.dimension.value, modality.rows.value, modality.character]
            for modality in card.modalities
        ],
        "caps": None if caps is None else caps.described(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _draw_classes(card: DatasetCard, count: int) -> _Classes:
    generator = fixed_generator("look-alike", VERSION, card.name, "classes")
    n_super = max(2, isqrt(count))
    super_class = generator.permutation(count) % n_super
    shared = _normal(generator, n_super, LATENT)
    own = _normal(generator, count, LATENT)
    separation = separation_of(count)
    scale_shared = np.float32(separation * np.sqrt(SUPER_SHARE))
    scale_own = np.float32(separation * np.sqrt(1 - SUPER_SHARE))
    centres = shared[super_class] * scale_shared + own * scale_own
    # the largest class has at most three times the rows of the smallest, as in Wikipedia's middle field
    return _Classes(centres, super_class, generator.integers(50, 151, size=count))


def _draw_split(card: DatasetCard, classes: _Classes, part: str, caps: Caps | None) -> Split:
    paired = card.paired.value
    limit = None if caps is None else caps.rows(len(classes.weights))[part]
    modalities: dict[str, Modality] = {}
    latent: Floats | None = None
    labels: Array | None = None
    for modality in card.modalities:
        if labels is None or latent is None or not paired:
            rows = (modality.rows.value or UNKNOWN_ROWS)[PARTS.index(part)]
            stream = fixed_generator(
                "look-alike", VERSION, card.name, part, "pairs" if paired else modality.name
            )
            count = rows if limit is None else min(rows, limit)
            latent, labels = _draw_samples(classes, count, card.multi_label, stream)
        dimension = modality.dimension.value or UNKNOWN_DIMENSION
        width = dimension if caps is None else min(dimension, caps.dimension)
        modalities[modality.name] = Modality(_observe(card, modality, part, width, latent), labels)
    return Split(modalities, len(classes.weights), "natural" if paired else "none")


def separation_of(n_classes: int) -> float:
    """Return the deviation of the class centres; rounded, so that no machine's logarithm shows."""
    return round(SEPARATION * (1.0 + CROWDING * max(0.0, log(n_classes / 10))), 3)


def _draw_samples(
    classes: _Classes, count: int, multi_label: bool, generator: np.random.Generator
) -> tuple[Floats, Array]:
    sizes = apportion(classes.weights * max(count, 1), count, least=1)
    first = generator.permutation(np.repeat(np.arange(len(sizes), dtype=np.int64), sizes))
    deviation = _normal(generator, count, LATENT)
    if not multi_label:
        return classes.centres[first] + deviation, first
    second = _second_classes(classes, first, generator)
    labels = np.zeros((count, len(sizes)), dtype=np.uint8)
    labels[np.arange(count), first] = 1
    labels[np.arange(count), second] = 1
    return (classes.centres[first] + classes.centres[second]) / np.float32(2) + deviation, labels


def _second_classes(
    classes: _Classes, first: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Choose another class of the same super-class for some samples, the first class for the others."""
    second = first.copy()
    for row in np.flatnonzero(generator.random(len(first)) < SECOND_CLASS):
        near = np.flatnonzero(classes.super_class == classes.super_class[first[row]])
        second[row] = near[generator.integers(len(near))]
    return second


def _observe(card: DatasetCard, modality: ModalityCard, part: str, width: int, latent: Floats) -> Floats:
    """Return features ``(n, width)`` of samples: noise, non-linear map, character."""
    words = ("look-alike", VERSION, card.name, modality.name)
    shape = fixed_generator(*words, "map", width)
    bend = _normal(shape, LATENT, HIDDEN) / np.float32(np.sqrt(LATENT))
    shift = _normal(shape, 1, HIDDEN) * np.float32(0.5)
    spread = _normal(shape, HIDDEN, width) * np.float32(2 / np.sqrt(HIDDEN))
    noise = fixed_generator(*words, part, "noise")
    own = _normal(noise, len(latent), LATENT) * np.float32(OWN_NOISE[modality.character])
    hidden = _mix(latent + own, bend) + shift
    hidden /= np.float32(1) + np.abs(hidden)
    entries = _mix(hidden, spread)
    entries += _normal(noise, len(latent), width) * np.float32(ENTRY_NOISE)
    return _give_character(entries, modality.character)


def _give_character(entries: Floats, character: Character) -> Floats:
    if character == "dense":
        return entries
    if character == "sparse":
        active: Floats = np.maximum(entries - np.float32(0.5), np.float32(0))
        return active
    if character == "counts":
        above = np.maximum(entries - np.float32(0.5), np.float32(0))
        counts: Floats = np.floor(above * above * np.float32(4))
        return counts
    above = np.maximum(entries, np.float32(0))
    weights: Floats = above * above + np.float32(1e-3)
    weights /= np.add.accumulate(weights, axis=1)[:, -1:]  # one addition after the other: a fixed order
    return weights


def _mix(rows: Floats, weights: Floats) -> Floats:
    """Return ``rows @ weights``, summed in a fixed order whatever the threads and the library."""
    mixed = np.zeros((len(rows), weights.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        block = mixed[start : start + _BLOCK]
        term = np.empty_like(block)
        for column, row in zip(rows[start : start + _BLOCK].T, weights, strict=True):
            np.multiply(column[:, None], row, out=term)
            block += term
    return mixed


def _normal(generator: np.random.Generator, rows: int, columns: int) -> Floats:
    return generator.standard_normal((rows, columns), dtype=np.float32)
