"""Open-set label noise: rows of unknown classes get labels of known ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench import conditions as t
from bench.contract import Array, Split, Unsupported

UNKNOWN = {"unknown-20": 0.2, "unknown-40": 0.4}
"""Share of the classes that are unknown, by variant."""


class OpenLabelNoise(t.Condition):
    """The last classes are unknown: a method gets the number of the others, and wrong labels."""

    card = t.ConditionCard(
        name="label-noise-open",
        title="open-set label noise",
        group="noise",
        changes="rows of the last classes get a random known class, and a share r of the others a wrong "
        "known one; the test keeps all classes",
        levels=(0.2, 0.4, 0.6, 0.8),
        variants={
            "unknown-20": "the last 20 % of the classes are unknown (OTOS)",
            "unknown-40": "the last 40 % are",
        },
        sources="OTOS load_data.py",
    )

    def edit(self, split: Split, level: t.Level, draws: t.Draws) -> t.Edited:
        """Draw known classes by id; at level 0 nothing is unknown."""
        t.require_single_label(self, split)
        share = float(level)
        known = _known(split.n_classes, UNKNOWN[self.variant]) if share > 0 else split.n_classes
        if share > 0 and known < 2:
            raise Unsupported(
                f"label-noise-open leaves {known} of {split.n_classes} classes known; it needs two or more"
            )

        def choose(labels: Array) -> Array:
            generator = draws.generator("classes")
            any_known = generator.integers(known, size=len(labels))
            wrong = (labels + generator.integers(1, max(known, 2), size=len(labels))) % known
            chosen = draws.mask("ids", share, len(labels))
            return np.where(labels >= known, any_known, np.where(chosen & (labels >= 0), wrong, labels))

        edits = t.relabelled(split, choose)
        return t.Edited(edits, self.reached(split, edits), known)

    def read(self, split: Split, edits: Mapping[str, t.Edit]) -> t.Edited:
        """Take the last classes for unknown where no row has them."""
        highest = max(int(edit.labels.max(initial=-1)) for edit in edits.values())
        shares = (_known(split.n_classes, share) for share in sorted(UNKNOWN.values(), reverse=True))
        known = next((count for count in shares if highest < count), None)
        return t.Edited(edits, self.reached(split, edits), known)


def _known(n_classes: int, unknown: float) -> int:
    """Return the number of known classes."""
    return n_classes - max(1, round(unknown * n_classes))
