"""MAN as released: batches may lack classes, and every positive eigenvalue among the C - 1 largest counts."""

from bench import training as t

from .. import man


class MAN(man.MAN):
    """Multimodal adversarial network, as released."""

    strict = False

    def plan(self, track: str, data: t.DeviceSplit) -> t.Plan:
        """Shuffle modalities of equal size together; otherwise end with the smallest."""
        size = self.settings.batch_size
        if len({len(rows) for rows in data.features.values()}) == 1:
            return t.AlignedPairs(size, minimum=2)
        return t.Independent(size, minimum=2, length="shortest")
