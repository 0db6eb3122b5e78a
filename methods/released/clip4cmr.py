"""CLIP4CMR's head as released: prototypes stay as drawn, and the mean loss is divided by the batch again."""

from torch import Tensor

from bench import training as t

from .. import clip4cmr


class CLIP4CMR(clip4cmr.CLIP4CMR):
    """The prototype contrastive head, as released."""

    def build(self, data: t.DeviceSplit) -> None:
        """Keep the prototypes."""
        super().build(data)
        self.classes.requires_grad_(False)

    def contrast(self, z: Tensor, y: Tensor) -> Tensor:
        """Divide by the batch once more."""
        return super().contrast(z, y) / len(z)
