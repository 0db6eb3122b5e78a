"""ELRCMR as released.

The release means to embed with averages of the weights, but holds the live weights twice: the trained weights
embed, and every step shrinks them.
"""

from collections.abc import Iterable

import torch
from torch import nn

from bench import training as t

from .. import elrcmr


class ELRCMR(elrcmr.ELRCMR):
    """Early-learning regularised contrastive learning, as released."""

    def embedding_networks(self) -> dict[str, nn.Module]:
        """Embed with the trained weights."""
        return self.nets

    def after(self, batch: t.Batch, clock: t.Clock) -> None:
        """Multiply all weights by ``a (2 - a)``."""
        keep = self.settings.average * elrcmr.decaying_factor(
            clock.iteration, self.settings.average_iterations
        )
        shrink(self.nets.values(), keep * (2 - keep))


@torch.no_grad()
def shrink(nets: Iterable[nn.Module], factor: float) -> None:
    """Multiply all weights by ``factor``."""
    for net in nets:
        for weight in net.parameters():
            weight.mul_(factor)
