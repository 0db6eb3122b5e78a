"""Wrong pairs: a share of the rows gets the partners of other rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.conditions.base import Condition, ConditionCard, Draws, Edit, Edited, Level, edit_of, ids_of
from bench.conditions.index_files import read_index_file
from bench.contract import Split, Unsupported


class WrongPairs(Condition):
    """Ids of one modality are exchanged among themselves; rows and labels stay."""

    card = ConditionCard(
        name="wrong-pairs",
        title="wrong pairs",
        group="pairs",
        changes="a share r of the ids of all modalities but the first is permuted cyclically",
        levels=(0.2, 0.4, 0.6, 0.8),
        variants={
            "by-id": "all rows of an id move together, such as all captions of a picture (DECL, RCL, L2RM)",
            "by-row": "every row of the modality moves alone, such as each caption (NCR)",
        },
        sources="DECL data.py; NCR data.py",
        departures=("the publications draw permutations, in which some pairs stay right",),
    )

    def edit(self, split: Split, level: Level, draws: Draws) -> Edited:
        """Exchange ids in every modality but the first."""
        ids = ids_of(split)
        first, *others = split
        if all(len(split.pairs(first, name)[0]) == 0 for name in others):
            raise Unsupported("wrong-pairs needs rows that correspond, and there are none")
        edits = {first: edit_of(split[first])}
        for name in others:
            given = ids[name].copy()
            units = np.unique(given) if self.variant == "by-id" else np.arange(len(given))
            circle = units[draws.first(name, float(level), len(units))]
            if len(circle) > 1:
                partner = dict(zip(circle.tolist(), np.roll(circle, -1).tolist(), strict=True))
                if self.variant == "by-id":
                    given = np.array([partner.get(number, number) for number in given.tolist()])
                else:
                    given[circle] = ids[name][np.roll(circle, -1)]
            edits[name] = edit_of(split[name], ids=given)
        return Edited(edits, self.reached(split, edits))

    def read_indices(self, path: Path, split: Split) -> Edited:
        """Return what a noise index file of DECL, RCL, NCR or L2RM says; see `index_files`."""
        edits = read_index_file(path, split, by_row=self.variant == "by-row")
        return Edited(edits, self.reached(split, edits))

    def reached(self, split: Split, edits: Mapping[str, Edit]) -> Level:
        """Return the share of the rows that have another id, of all modalities but the first.

        Where a file moves ids of the first, it is that of the modalities whose ids it moves.
        """
        ids, (first, *others) = ids_of(split), split
        wrong = {name: np.count_nonzero(edit.ids != ids[name][edit.rows]) for name, edit in edits.items()}
        counted = [name for name in split if wrong[name]] if wrong[first] else others
        return sum(wrong[name] for name in counted) / sum(len(split[name]) for name in counted)
