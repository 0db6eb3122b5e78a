"""Missing modalities: a share of the ids has one modality less."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench import conditions as t
from bench.contract import Split, Unsupported

BLOCKS = (0.2, 0.6)
"""Where blocks of GNN4CMR end: complete rows, rows without the second modality; then without the first."""


class Missing(t.Condition):
    """Rows of one modality are removed; each id keeps at least one."""

    card = t.ConditionCard(
        name="missing",
        title="missing modalities",
        group="modalities",
        changes="a share r of the ids loses the row of one modality, of all modalities in turn",
        levels=(0.2, 0.5, 0.8),
        variants={
            "evenly": "all modalities lose equally many",
            "first": "only the first modality loses rows",
            "last": "only the last modality loses rows",
            "blocks": "GNN4CMR: complete, without the second, without the first = 20/40/40 in file order, "
            "missing features are zeros; any level but 0 means this",
        },
        sources="GNN4CMR load_data.py; CPCMR load_dataset.py (50/25/25, 30/35/35, 10/45/45)",
    )

    def edit(self, split: Split, level: t.Level, draws: t.Draws) -> t.Edited:
        """Take rows of ids that have another modality left."""
        if self.variant == "blocks" and float(level) > 0:
            return self._blocks(split)
        t.require_pairs(self, split)
        ids = t.ids_of(split)
        names = {"first": list(split)[:1], "last": list(split)[-1:]}.get(self.variant, list(split))
        numbers = np.unique(np.concatenate(list(ids.values())))
        held = np.array([np.isin(numbers, ids[name]) for name in split])
        lost = draws.first("ids", float(level), len(numbers))
        order = list(split)
        edits = {}
        gone = {name: lost[np.arange(len(lost)) % len(names) == i] for i, name in enumerate(names)}
        for name, modality in split.items():
            mine = gone.get(name, np.empty(0, dtype=np.intp))
            mine = mine[held[order.index(name), mine] & (held[:, mine].sum(axis=0) > 1)]
            edits[name] = t.edit_of(modality, np.flatnonzero(~np.isin(ids[name], numbers[mine])))
        return t.Edited(edits, self.reached(split, edits))

    def reached(self, split: Split, edits: Mapping[str, t.Edit]) -> t.Level:
        """Return the share of the ids that lost a row."""
        ids = t.ids_of(split)
        gone = [np.delete(ids[name], edit.rows) for name, edit in edits.items()]
        return len(np.unique(np.concatenate(gone))) / len(np.unique(np.concatenate([*ids.values()])))

    def _blocks(self, split: Split) -> t.Edited:
        """Set the features of blocks of rows to zero, in the order of the file."""
        if not split.paired or len(split) != 2:
            raise Unsupported("missing/blocks takes two modalities of natural pairs")
        edits: dict[str, t.Edit] = {}
        for position, (name, modality) in enumerate(split.items()):
            ends = [0, *(round(share * len(modality)) for share in BLOCKS), len(modality)]
            features = modality.features.copy()
            features[ends[2 - position] : ends[3 - position]] = 0.0
            kept = t.edit_of(modality)
            edits[name] = t.Edit(kept.rows, kept.labels, kept.ids, features)
        return t.Edited(edits, 1 - BLOCKS[0])
