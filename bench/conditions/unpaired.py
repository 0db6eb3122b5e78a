"""Unpaired rows: a share of the pairs loses its correspondence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench import conditions as t
from bench.contract import Split


class Unpaired(t.Condition):
    """Rows stay, and lose the ids that they share with rows of other modalities."""

    card = t.ConditionCard(
        name="unpaired",
        title="unpaired rows",
        group="pairs",
        changes="a share r of the ids is replaced by ids that each occur in one modality only",
        levels=(0.25, 0.5, 0.75, 1.0),
        sources="RCSL keeps 500 to 5,000 pairs (data.py); 1 is DRCL's claim: no pairs at all",
    )

    def edit(self, split: Split, level: t.Level, draws: t.Draws) -> t.Edited:
        """Give the rows of chosen ids numbers of their modality alone."""
        t.require_pairs(self, split)
        ids = t.ids_of(split)
        numbers = np.unique(np.concatenate(list(ids.values())))
        lost = numbers[draws.first("ids", float(level), len(numbers))]
        fresh = int(numbers.max()) + 1
        edits = {}
        for position, (name, modality) in enumerate(split.items()):
            chosen = np.isin(ids[name], lost)
            apart = fresh + position + len(split) * np.searchsorted(numbers, ids[name])
            edits[name] = t.edit_of(modality, ids=np.where(chosen, apart, ids[name]))
        return t.Edited(edits, self.reached(split, edits))

    def reached(self, split: Split, edits: Mapping[str, t.Edit]) -> t.Level:
        """Return the share of the ids of which a row has another one."""
        ids = t.ids_of(split)
        before = {name: ids[name][edit.rows] for name, edit in edits.items()}
        lost = [before[name][edit.ids != before[name]] for name, edit in edits.items()]
        return len(np.unique(np.concatenate(lost))) / len(np.unique(np.concatenate([*ids.values()])))
