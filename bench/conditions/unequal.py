"""Unequal counts: one modality keeps a part of its rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench import conditions as t
from bench.contract import Split


class Unequal(t.Condition):
    """Rows of one modality are removed at random, independent of their class."""

    card = t.ConditionCard(
        name="unequal",
        title="unequal counts",
        group="modalities",
        changes="one modality keeps a share 1 - r of its rows",
        levels=(0.5, 0.7, 0.9),
        variants={"last": "of the last modality", "first": "of the first modality"},
        sources="CLIP4CMR main.py: all pictures, 30 % of the texts",
    )

    def edit(self, split: Split, level: t.Level, draws: t.Draws) -> t.Edited:
        """Keep what the draw leaves, at least one row."""
        name = list(split)[-1 if self.variant == "last" else 0]
        count = len(split[name])
        gone = draws.first(name, float(level), count)[: count - 1]
        kept = np.setdiff1d(np.arange(count), gone)
        edits = {**t.unchanged(split).edits, name: t.edit_of(split[name], kept)}
        return t.Edited(edits, self.reached(split, edits))

    def reached(self, split: Split, edits: Mapping[str, t.Edit]) -> t.Level:
        """Return the share of its rows that the modality lost which lost most."""
        return max((len(part) - len(edits[name].rows)) / len(part) for name, part in split.items())
