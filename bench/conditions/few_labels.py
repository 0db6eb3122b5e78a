"""Few labels: a share of the training rows keeps its label."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench import conditions as t
from bench.contract import Array, Split
from bench.contract.data import labelled


class FewLabels(t.Condition):
    """Labels of the other ids are removed, in all modalities."""

    card = t.ConditionCard(
        name="few-labels",
        title="few labels",
        group="labels",
        changes="a share p of the training ids of each class keeps its label, at least one id",
        levels=(0.01, 0.05, 0.1, 0.5),
        variants={
            "unlabelled": "the rest stays without labels, for methods that can use it",
            "drop": "the rest is left out",
        },
        sources="SCL keeps .1",
        lower_is_harder=True,
    )

    def edit(self, split: Split, level: t.Level, draws: t.Draws) -> t.Edited:
        """Draw ids of each class; level 0 means all, as for every condition."""
        ids, share = t.ids_of(split), float(level) or 1.0
        numbers, labels = t.label_of_ids(split, ids)
        strata = np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
        order = draws.generator("ids").permutation(len(numbers))
        kept: list[Array] = []
        for stratum in np.unique(strata):
            members = order[strata[order] == stratum]
            kept.append(members[: max(1, round(share * len(members)))])
        known = numbers[np.concatenate(kept)]
        edits = {}
        for name, modality in split.items():
            has = np.isin(ids[name], known)
            if self.variant == "drop":
                edits[name] = t.edit_of(modality, np.flatnonzero(has))
            else:
                none = np.full_like(modality.labels, -1, dtype=np.int64)
                mask = has if modality.labels.ndim == 1 else has[:, None]
                edits[name] = t.edit_of(modality, labels=np.where(mask, modality.labels, none))
        return t.Edited(edits, self.reached(split, edits))

    def reached(self, split: Split, edits: Mapping[str, t.Edit]) -> t.Level:
        """Return the share of the ids that keep a label."""
        ids = t.ids_of(split)
        known = [ids[name][edit.rows[labelled(edit.labels)]] for name, edit in edits.items()]
        return len(np.unique(np.concatenate(known))) / len(np.unique(np.concatenate([*ids.values()])))
