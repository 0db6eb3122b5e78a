"""Label noise of multi-label data: in a share of the rows one label is lost and a wrong one gained."""

from __future__ import annotations

import numpy as np

from bench import conditions as t
from bench.contract import Split, Unsupported


class MultiLabelNoise(t.Condition):
    """The same change in all modalities of an id."""

    card = t.ConditionCard(
        name="label-noise-multi",
        title="multi-label noise",
        group="noise",
        changes="in a share r of the training ids one 1 becomes 0 and one 0 becomes 1",
        levels=(0.2, 0.5, 0.8),
        sources="NRCH noise/generate.py; HRDCH",
    )

    def edit(self, split: Split, level: t.Level, draws: t.Draws) -> t.Edited:
        """Draw the label that is lost and the one that is gained for every id, and which ids are changed."""
        if not split.multi_label:
            raise Unsupported("label-noise-multi takes rows of several classes; use label-noise instead")
        ids = t.ids_of(split)
        numbers, labels = t.label_of_ids(split, ids)
        scores = draws.generator("classes").random(labels.shape)
        lost = np.where(labels == 1, scores, -1.0).argmax(axis=1)
        gained = np.where(labels == 0, scores, -1.0).argmax(axis=1)
        chosen = draws.mask("ids", float(level), len(labels))
        chosen &= (labels == 1).any(axis=1) & (labels == 0).any(axis=1)
        edits = {}
        for name, modality in split.items():
            where = np.searchsorted(numbers, ids[name])
            given = modality.labels.copy()
            mine = np.flatnonzero(chosen[where])
            given[mine, lost[where[mine]]] = 0
            given[mine, gained[where[mine]]] = 1
            edits[name] = t.edit_of(modality, labels=given)
        return t.Edited(edits, self.reached(split, edits))
