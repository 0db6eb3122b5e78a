"""Label noise: a share of the training rows gets wrong labels.

Symmetric, asymmetric (rows move to the partner of their class), of multi-label data, and open-set: rows of
unknown classes stand among the known ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench import conditions as t
from bench.contract import Array, Split, Unsupported

UNKNOWN = 0.2
"""Share of the classes that open-set noise makes unknown."""


class LabelNoise(t.Condition):
    """Symmetric label noise; pairs stay pairs although their labels may differ."""

    card = t.ConditionCard(
        name="label-noise",
        title="label noise",
        group="noise",
        changes="a share r of the training rows gets a class drawn evenly from the wrong ones",
        levels=(0.2, 0.4, 0.6, 0.8),
        variants={
            "shared": "the same wrong label in all modalities of an id",
            "shared-any": "as shared, but the true class may be drawn: effective r (1 - 1/C) (RSHNL, NIRNL)",
            "per-modality": "each modality is drawn alone (MRL, ELRCMR)",
        },
        sources="MRL and ELRCMR noisydataset.py; RSHNL and NIRNL load_data.py; RONO's label files",
        departures=("the draw of MRL and ELRCMR reaches one class too far, which is not followed",),
    )

    def edit(self, split: Split, level: t.Level, draws: t.Draws) -> t.Edited:
        """Draw wrong classes by id, or by row of each modality."""
        t.require_single_label(self, split)
        share, classes = float(level), split.n_classes
        if self.variant != "per-modality":
            edits = t.relabelled(split, lambda labels: self._noisy(labels, classes, share, draws, "ids"))
        else:
            edits = {
                name: t.edit_of(one, labels=self._noisy(one.labels, classes, share, draws, name))
                for name, one in split.items()
            }
        return t.Edited(edits, self.reached(split, edits))

    def _noisy(self, labels: Array, n_classes: int, share: float, draws: t.Draws, stream: str) -> Array:
        """Return labels of which a share is drawn anew; rows without a label stay without."""
        generator = draws.generator(f"{stream}/classes")
        if self.variant == "shared-any":
            drawn = generator.integers(n_classes, size=len(labels))
        else:
            drawn = (labels + generator.integers(1, max(n_classes, 2), size=len(labels))) % n_classes
        chosen = np.zeros(len(labels), dtype=bool)
        chosen[draws.first(stream, share, len(labels))] = True
        return np.where(chosen & (labels >= 0), drawn, labels)


class AsymmetricLabelNoise(t.Condition):
    """Classes are paired by a draw; all modalities of an id get the same label."""

    card = t.ConditionCard(
        name="label-noise-asymmetric",
        title="asymmetric label noise",
        group="noise",
        changes="a share r of the training ids of every second class moves to the partner class",
        levels=(0.1, 0.2, 0.4),
        variants={
            "half": "the classes of one half move to those of the other (NIRNL)",
            "both": "both halves move, so that r of all ids change",
        },
        sources="NIRNL load_data.py",
    )

    def edit(self, split: Split, level: t.Level, draws: t.Draws) -> t.Edited:
        """Move the first ids of each class in an order drawn once; a last odd class stays."""
        t.require_single_label(self, split)
        classes = draws.generator("classes").permutation(split.n_classes)
        half = len(classes) // 2
        moves = dict(zip(classes[:half].tolist(), classes[half : 2 * half].tolist(), strict=True))
        moves |= {target: source for source, target in moves.items()} if self.variant == "both" else {}

        def choose(labels: Array) -> Array:
            order, noisy = draws.generator("ids").permutation(len(labels)), labels.copy()
            for source, target in moves.items():
                members = order[labels[order] == source]
                noisy[members[: round(float(level) * len(members))]] = target
            return noisy

        edits = t.relabelled(split, choose)
        return t.Edited(edits, self.reached(split, edits))


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
        chosen = np.zeros(len(labels), dtype=bool)
        chosen[draws.first("ids", float(level), len(labels))] = True
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


class OpenLabelNoise(t.Condition):
    """The last classes are unknown: a method gets the number of the others, and wrong labels."""

    card = t.ConditionCard(
        name="label-noise-open",
        title="open-set label noise",
        group="noise",
        changes="rows of the last 20 % of the classes get a random known class, and a share r of the others "
        "a wrong known one; the test keeps all classes",
        levels=(0.2, 0.4, 0.6, 0.8),
        sources="OTOS load_data.py",
    )

    def edit(self, split: Split, level: t.Level, draws: t.Draws) -> t.Edited:
        """Draw known classes by id; at level 0 nothing is unknown."""
        t.require_single_label(self, split)
        share = float(level)
        known = _known(split.n_classes) if share > 0 else split.n_classes

        def choose(labels: Array) -> Array:
            generator = draws.generator("classes")
            any_known = generator.integers(known, size=len(labels))
            wrong = (labels + generator.integers(1, max(known, 2), size=len(labels))) % known
            chosen = np.zeros(len(labels), dtype=bool)
            chosen[draws.first("ids", share, len(labels))] = True
            return np.where(labels >= known, any_known, np.where(chosen & (labels >= 0), wrong, labels))

        edits = t.relabelled(split, choose)
        return t.Edited(edits, self.reached(split, edits), known)

    def read(self, split: Split, edits: Mapping[str, t.Edit]) -> t.Edited:
        """Take the last classes for unknown where no row has them."""
        known = _known(split.n_classes)
        open_set = all(edit.labels.max(initial=-1) < known for edit in edits.values())
        return t.Edited(edits, self.reached(split, edits), known if open_set else None)


def _known(n_classes: int) -> int:
    return n_classes - max(1, round(UNKNOWN * n_classes))
