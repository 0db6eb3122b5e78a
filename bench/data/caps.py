"""How much of a dataset a profile takes: all of it, or capped row counts and look-alike widths."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from difflib import get_close_matches
from types import MappingProxyType

from bench.contract import DataKind, UsageError

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Caps:
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

    def described(self) -> dict[str, int]:
        """Return the limits as plain data."""
        return asdict(self)


QUICK = Caps(train=2500, validation=500, test=1000, dimension=256)
"""Limits of the quick profile on real data: emoji and Wikipedia stay whole."""

QUICK_LOOK_ALIKE = Caps(train=1000, validation=250, test=400, dimension=128, classes=20)
"""Limits of the quick profile on look-alikes, whose numbers mean nothing: no more than a trial needs.

With 200 classes 1000 rows are five per class, on which the quick profile's few hundred steps leave half of
the methods near chance; with 20 they are fifty, about as in the benchmarks themselves.
"""

CAPS = MappingProxyType({"quick": QUICK, "paper": None})
"""Limits of each profile on real data; None takes everything."""


def caps_of(profile: str, kind: DataKind = "real") -> Caps | None:
    """Return a profile's limits for real data or for look-alikes.

    Raises:
        UsageError: if there is no such profile.
    """
    if profile not in CAPS:
        near = get_close_matches(profile, CAPS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"there is no profile {profile!r}, only {', '.join(CAPS)}{hint}")
    caps = CAPS[profile]
    return QUICK_LOOK_ALIKE if caps is not None and kind == "look-alike" else caps
