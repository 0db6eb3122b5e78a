"""The promise about the scale of the input: units of measurement decide nothing in the quick profile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.conformance.fitting import deterministic
from bench.conformance.outcomes import Broken, NotApplicable, promise
from bench.conformance.subject import PLAIN, Subject

FACTOR = 1024.0
"""About a thousand. Multiplying by a power of two rounds nothing, so that a method that scales its input
sees the same bits again; with 1000 the last bits would differ, and a few steps of training (Adam divides
small gradients by their size) could make something of them."""
TOLERANCE = 1e-3
"""Relative to the largest similarity, for scaling that is itself not exact, such as a division by a mean."""


@promise(
    "is indifferent to the scale of a modality's features in the quick profile",
    "scale features as fitted on training rows (scaling: standard or unit) before anything else; a ridge or "
    "an epsilon must be relative, or come after the scaling",
    deterministic,
)
def indifferent_to_scale(subject: Subject) -> None:
    """Features times 1024, one modality at a time, give the same similarities."""
    if subject.card.family == "no learning":
        raise NotApplicable("learns nothing: the values of a row only name what is drawn for it")
    usual = subject.fitted().similarities()
    for name in PLAIN.modalities:
        other = subject.fitted(replace(PLAIN, enlarged=name, factor=FACTOR)).similarities()
        if np.array_equal(usual, other, equal_nan=True):
            continue
        apart = float(np.abs(usual - other).max())
        if not apart <= TOLERANCE * float(np.abs(usual).max()):
            raise Broken(
                f"similarities differ by up to {apart:.3g} when {name} features are {FACTOR:g} times"
            )
