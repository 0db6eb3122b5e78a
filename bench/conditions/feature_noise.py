"""Feature noise: noise is added to the test features of one modality."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.conditions.base import Condition, ConditionCard, Draws, Edited, Level, unchanged
from bench.contract import Split


class FeatureNoise(Condition):
    """Noise on the features that a trained method embeds; training rows stay."""

    card = ConditionCard(
        name="feature-noise",
        title="feature noise",
        group="modalities",
        changes="test features of the first modality get Gaussian noise of s training deviations per column",
        levels=(0.5, 1.0, 2.0),
        variants={
            "first": "Gaussian noise on the first modality",
            "last": "Gaussian noise on the last modality",
            "zeros-first": "a share s of the columns of the first modality is set to zero, row by row",
            "zeros-last": "a share s of the columns of the last modality is set to zero, row by row",
        },
        training_only=False,
        in_files=False,
    )

    @property
    def highest(self) -> float:
        """Highest level: where columns are set to zero, some of them remain."""
        return 0.99 if self.variant.startswith("zeros") else super().highest

    def edit_test(
        self, test: Split, gallery: Split | None, train: Split, level: Level, draws: Draws
    ) -> tuple[Edited, Edited | None]:
        """Disturb one modality of queries and gallery; a higher level adds to what a lower one does."""
        others = None if gallery is None else self._disturbed(gallery, train, float(level), draws, "gallery")
        return self._disturbed(test, train, float(level), draws, "test"), others

    def _disturbed(self, split: Split, train: Split, level: float, draws: Draws, part: str) -> Edited:
        """Return an edit with the disturbed features of one modality."""
        name = list(split)[-1 if self.variant.endswith("last") else 0]
        features = split[name].features
        generator = draws.generator(f"{part}/{name}")
        if self.variant.startswith("zeros"):
            kept = generator.random(features.shape, dtype=np.float32) >= level
            disturbed = features * kept
        else:
            # In float32, as features are, for speed; less the first row, so that constant columns give 0.
            deviation = (train[name].features - train[name].features[:1]).std(axis=0)
            disturbed = generator.standard_normal(features.shape, dtype=np.float32)
            disturbed *= (level * deviation).astype(np.float32)
            disturbed += features
        edits = dict(unchanged(split).edits)
        edits[name] = replace(edits[name], features=disturbed.astype(features.dtype))
        return Edited(edits, level)
