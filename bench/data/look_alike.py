"""Look-alikes: generated data that replaces benchmarks whose files are absent.

A class has two modes on opposite sides of its centre ("warfare" shows ships and medals), so that only a part
of its samples can be separated from others by a linear function. Every sample has latent content: a mode of
its class plus a small deviation. Centres have a hierarchy, the super-class's and the class's part, so some
classes are nearer to each other than others. Some samples are ambiguous: they are part of the way to a near
mode of another class. Beside the content a sample has latent nuisance that is independent of its class: some
is common to all modalities, where unsupervised methods find it, the rest belongs to one modality.

A modality sees the content through noise (images through more than texts), mixes content and nuisance by a
map that is linear for the most part, and then takes on the character of its features: ReLU-like, counts,
topic shares or dense descriptors. Where the benchmark is paired, content and common nuisance of a row are
shared by all modalities; otherwise each row has separate ones.

The constants are the same for all datasets. They were chosen by the order of families of methods in print
(unsupervised, supervised linear, deep supervised) and by the rank correlation of the whole order with
published tables, never by one method's number; docs/look-alikes.md has the order that resulted.
More classes would crowd the space, and a class then has fewer rows: `distance_factor` moves modes apart,
but not centres.

Only additions, multiplications, divisions and comparisons make the numbers, in a fixed order: neither a
threaded matrix product nor a vectorised exponential can change a bit between machines.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isqrt, log

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, Character, DatasetCard, Modality, ModalityCard, Split, UsageError
from bench.data.partition import PARTS, RowLimits, apportion, fixed_generator

VERSION = 33
"""Part of every look-alike's fingerprint: raised when any number below or the rule changes."""

DRAW = 26
"""Seed of all draws, chosen as the other constants were (docs/look-alikes.md, "The choice of the draw")."""
OTHER_DRAW = "BENCH_LOOK_ALIKE_DRAW"
"""Environment variable with another seed: the trials that choose settings are made on another draw."""

CONTENT = 8
"""Latent dimensions in which modes differ."""
MODES = 2
"""Of every class."""
CLASS_SPREAD = 0.8
"""Deviation of the centres of classes in every content dimension."""
MODE_SPREAD = 0.95
"""Deviation of the modes of 10 classes from their centres in every content dimension."""
DEVIATION = 0.15
"""Of samples from their mode."""
CROWDING = 0.8
"""How much the modes' spread grows with every factor e in the number of classes, in parts of itself."""
SUPER_SHARE = 0.36
"""Share of the centres' variance that classes of one super-class have in common."""
AMBIGUOUS = 0.3
"""Probability that a sample is between its mode and a near one of another class."""
TOWARDS = (0.4, 0.7)
"""How far on that way, at least and at most."""
NEAR = 3
"""Modes of other classes, the nearest ones, that a sample may be next to."""
COMMON_NUISANCE = 12
"""Latent dimensions that all modalities share and that are independent of the class."""
SPECIFIC_NUISANCE = 16
"""The same of one modality."""
NUISANCE = 0.75
"""Deviation of the nuisance in every dimension."""
NOISE: Mapping[Character, float] = {"sparse": 0.42, "counts": 0.28, "topics": 0.22, "dense": 0.22}
"""Deviation of the noise that a modality adds to the content."""
HIDDEN = 48
LINEAR, BENT = 0.3, 0.5
"""Slopes at 0 of the two parts of a modality's map, the linear and the bounded one."""
ENTRY_NOISE = 0.05
SECOND_CLASS = 0.3
"""Multi-label data: probability that a sample also belongs to another class of its super-class."""
UNKNOWN_DIMENSION = 512
"""Width where that of the benchmark is not public."""
UNKNOWN_ROWS = (1000, 200, 200)

Floats = NDArray[np.float32]
_BLOCK = 256


@dataclass(frozen=True, eq=False)
class _Classes:
    """What the classes of a look-alike are drawn with, before any of their samples.

    Attributes:
        modes: ``(C, MODES, CONTENT)``, the modes of each class.
        near: ``(C, MODES, NEAR)``, numbers ``class * MODES + mode`` of the nearest modes of other classes.
        super_class: ``(C,)``.
        weights: ``(C,)``, relative numbers of rows.
    """

    modes: Floats
    near: NDArray[np.int64]
    super_class: NDArray[np.int64]
    weights: NDArray[np.int64]


def look_alike(card: DatasetCard, limits: RowLimits | None = None) -> dict[str, Split]:
    """Generate the splits of a look-alike of a dataset, never beyond the limits on rows, classes and width.

    Returns:
        ``train``, ``validation`` and ``test``; the same bytes for the same version, card and limits.
    """
    count = card.n_classes.value if limits is None else min(card.n_classes.value, limits.classes)
    classes = _draw_classes(card, count)
    return {part: _draw_split(card, classes, part, limits) for part in PARTS}


def draw() -> int:
    """Return the seed of all draws: `DRAW`, or the one that the environment states.

    Raises:
        UsageError: if the variable is no whole number of at most nine digits.
    """
    given = os.environ.get(OTHER_DRAW, "").strip() or str(DRAW)
    if not re.fullmatch("[0-9]{1,9}", given):
        raise UsageError(f"environment variable {OTHER_DRAW} must be a whole number, not {given!r}; unset it")
    return int(given)


def rule_digest(card: DatasetCard, limits: RowLimits | None = None) -> str:
    """Return the SHA-256 of all that decides a look-alike's bytes, without generating it."""
    facts = {
        "version": VERSION,
        "draw": draw(),
        "name": card.name,
        "classes": card.n_classes.value,
        "multi_label": card.multi_label,
        "paired": card.paired.value,
        "modalities": [
            [modality.name, modality.dimension.value, modality.rows.value, modality.character]
            for modality in card.modalities
        ],
        "caps": None if limits is None else {k: v for k, v in asdict(limits).items() if k != "gallery"},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _draw_classes(card: DatasetCard, count: int) -> _Classes:
    """Draw modes, super-classes and weights of the classes."""
    generator = fixed_generator("look-alike", draw(), card.name, "classes")
    n_super = max(2, isqrt(count))
    super_class = generator.permutation(count) % n_super
    shared = _normal(generator, n_super, CONTENT) * np.float32(CLASS_SPREAD * np.sqrt(SUPER_SHARE))
    separate = _normal(generator, count, CONTENT) * np.float32(CLASS_SPREAD * np.sqrt(1 - SUPER_SHARE))
    side = _normal(generator, count, CONTENT) * np.float32(MODE_SPREAD * distance_factor(count))
    centre = shared[super_class] + separate
    modes = np.stack([centre + side, centre - side], axis=1)
    # the largest class has at most three times the rows of the smallest, as in Wikipedia's middle field
    weights = generator.integers(50, 151, size=count)
    near = _nearest(modes.reshape(-1, CONTENT)).reshape(count, MODES, NEAR)
    return _Classes(modes, near, super_class, weights)


def _nearest(modes: Floats) -> NDArray[np.int64]:
    """Return the `NEAR` modes of other classes that are nearest to each mode ``(C * MODES, CONTENT)``."""
    distance = np.zeros((len(modes), len(modes)), dtype=np.float32)
    for column in modes.T:
        difference = column[:, None] - column
        distance += difference * difference
    number = np.arange(len(modes)) // MODES
    distance[number[:, None] == number] = np.inf
    return np.argsort(distance, axis=1, kind="stable")[:, :NEAR]


def _draw_split(card: DatasetCard, classes: _Classes, part: str, limits: RowLimits | None) -> Split:
    """Draw the rows of a part; pairs have the same content in all modalities."""
    paired = card.paired.value
    limit = None if limits is None else limits.rows(len(classes.weights))[part]
    modalities: dict[str, Modality] = {}
    latent: Floats | None = None
    labels: Array | None = None
    for modality in card.modalities:
        if labels is None or latent is None or not paired:
            rows = (modality.rows.value or UNKNOWN_ROWS)[PARTS.index(part)]
            stream = fixed_generator(
                "look-alike", draw(), card.name, part, "pairs" if paired else modality.name
            )
            count = rows if limit is None else min(rows, limit)
            content, labels = _draw_samples(classes, count, card.multi_label, stream)
            common = _normal(stream, count, COMMON_NUISANCE) * np.float32(NUISANCE)
            latent = np.concatenate([content, common], axis=1)
        dimension = modality.dimension.value or UNKNOWN_DIMENSION
        width = dimension if limits is None else min(dimension, limits.dimension)
        modalities[modality.name] = Modality(_observe(card, modality, part, width, latent), labels)
    return Split(modalities, len(classes.weights), "natural" if paired else "none")


def distance_factor(n_classes: int) -> float:
    """Return the factor on the modes' spread; rounded, so that no machine's logarithm shows."""
    return round(1.0 + CROWDING * max(0.0, log(n_classes / 10)), 3)


def _draw_samples(
    classes: _Classes, count: int, multi_label: bool, generator: np.random.Generator
) -> tuple[Floats, Array]:
    """Return latent content ``(count, CONTENT)`` and labels."""
    sizes = apportion(classes.weights * max(count, 1), count, least=1)
    first = generator.permutation(np.repeat(np.arange(len(sizes), dtype=np.int64), sizes))
    content = _draw_content(classes, first, generator)
    if not multi_label:
        return content, first
    second = _second_classes(classes, first, generator)
    labels = np.zeros((count, len(sizes)), dtype=np.uint8)
    labels[np.arange(count), first] = 1
    labels[np.arange(count), second] = 1
    both = (content + _draw_content(classes, second, generator)) / np.float32(2)
    return np.where((second != first)[:, None], both, content), labels


def _draw_content(classes: _Classes, labels: NDArray[np.int64], generator: np.random.Generator) -> Floats:
    """Draw a mode of each row's class, move some rows towards another class, and add a deviation."""
    mode = generator.integers(MODES, size=len(labels))
    content = classes.modes[labels, mode]
    other = classes.near[labels, mode, generator.integers(NEAR, size=len(labels))]
    step = TOWARDS[0] + (TOWARDS[1] - TOWARDS[0]) * generator.random(len(labels), dtype=np.float32)
    step = np.where(generator.random(len(labels)) < AMBIGUOUS, step, 0).astype(np.float32)
    content += step[:, None] * (classes.modes.reshape(-1, CONTENT)[other] - content)
    content += _normal(generator, len(labels), CONTENT) * np.float32(DEVIATION)
    return content


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
    """Return features ``(n, width)`` of samples: nuisance, noise, a partly non-linear map, character."""
    words = ("look-alike", draw(), card.name, modality.name)
    shape = fixed_generator(*words, "map", width)
    inputs = latent.shape[1] + SPECIFIC_NUISANCE
    bend = _normal(shape, inputs, HIDDEN) / np.float32(np.sqrt(inputs))
    shift = _normal(shape, 1, HIDDEN) * np.float32(0.5)
    spread = _normal(shape, HIDDEN, width) * np.float32(2 / np.sqrt(HIDDEN))
    noise = fixed_generator(*words, part, "noise")
    specific = _normal(noise, len(latent), SPECIFIC_NUISANCE) * np.float32(NUISANCE)
    seen = np.concatenate([latent, specific], axis=1)
    seen[:, :CONTENT] += _normal(noise, len(latent), CONTENT) * np.float32(NOISE[modality.character])
    hidden = _mix(seen, bend) + shift
    hidden *= np.float32(LINEAR) + np.float32(BENT) / (np.float32(1) + np.abs(hidden))
    entries = _mix(hidden, spread)
    entries += _normal(noise, len(latent), width) * np.float32(ENTRY_NOISE)
    return _give_character(entries, modality.character)


def _give_character(entries: Floats, character: Character) -> Floats:
    """Return entries as features of a character: dense, sparse, counts or shares."""
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
    """Return standard normal numbers ``(rows, columns)``."""
    return generator.standard_normal((rows, columns), dtype=np.float32)
