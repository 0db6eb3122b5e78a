"""Long tail: class sizes fall exponentially; the test stays as it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench import conditions as t
from bench.contract import Split


class LongTail(t.Condition):
    """Ids of the classes are removed so that sizes fall from the largest to a fraction of it."""

    card = t.ConditionCard(
        name="long-tail",
        title="long tail",
        group="classes",
        changes="class sizes fall exponentially from the largest class to 1/f of it",
        levels=(10.0, 50.0, 100.0),
        sources="the usual profile of long-tailed classification; no code of this field was found",
    )

    def edit(self, split: Split, level: t.Level, draws: t.Draws) -> t.Edited:
        """Rank classes by size, equal ones by a draw; keep the first ids of each in an order drawn once."""
        t.require_single_label(self, split)
        factor = max(float(level), 1.0)
        ids = t.ids_of(split)
        numbers, labels = t.label_of_ids(split, ids)
        counts = np.bincount(labels[labels >= 0], minlength=split.n_classes)
        present = np.flatnonzero(counts)
        shuffled = draws.generator("classes").permutation(present)
        ranked = shuffled[np.argsort(-counts[shuffled], kind="stable")]
        order = draws.generator("ids").permutation(len(numbers))
        gone = []
        for rank, label in enumerate(ranked):
            members = order[labels[order] == label]
            wanted = counts.max() * factor ** (-rank / max(len(ranked) - 1, 1))
            size = min(len(members), max(1, round(wanted)))
            gone.append(members[size:])
        lost = numbers[np.concatenate(gone)]
        edits = {
            name: t.edit_of(modality, np.flatnonzero(~np.isin(ids[name], lost)))
            for name, modality in split.items()
        }
        return t.Edited(edits, self.reached(split, edits))

    def reached(self, split: Split, edits: Mapping[str, t.Edit]) -> t.Level:
        """Return the number of ids of the largest class over that of the smallest which has any."""
        ids = t.ids_of(split)
        numbers, labels = t.label_of_ids(split, ids)
        kept = np.isin(numbers, np.concatenate([ids[name][edit.rows] for name, edit in edits.items()]))
        sizes = np.bincount(labels[kept & (labels >= 0)])
        return float(sizes.max() / sizes[sizes > 0].min())
