"""Label noise: a share of the training rows gets a wrong class."""

from __future__ import annotations

import numpy as np

from bench import conditions as t
from bench.contract import Array, Split


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
                name: t.edit_of(part, labels=self._noisy(part.labels, classes, share, draws, name))
                for name, part in split.items()
            }
        return t.Edited(edits, self.reached(split, edits))

    def _noisy(self, labels: Array, n_classes: int, share: float, draws: t.Draws, stream: str) -> Array:
        """Return labels of which a share is drawn anew; rows without a label stay without."""
        generator = draws.generator(f"{stream}/classes")
        if self.variant == "shared-any":
            drawn = generator.integers(n_classes, size=len(labels))
        else:
            drawn = (labels + generator.integers(1, max(n_classes, 2), size=len(labels))) % n_classes
        return np.where(draws.mask(stream, share, len(labels)) & (labels >= 0), drawn, labels)
