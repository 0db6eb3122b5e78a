"""Asymmetric label noise: rows move to the partner of their class."""

from __future__ import annotations

from bench import conditions as t
from bench.contract import Array, Split


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
