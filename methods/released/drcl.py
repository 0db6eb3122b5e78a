"""DRCL as released.

SPL counts its epochs from 0 and changes nothing in the first, its last W is used instead of the best, rows
that do not fill a batch are dropped, both stages start from the same weights, W starts the same for all
seeds, validation losses of different q are compared with each other, and the least of them is taken whether
or not the embeddings of its epoch can be ranked.
"""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor, nn

from bench import training as t

from .. import drcl

PRIOR_SEED = 1000


class DRCL(drcl.DRCL):
    """Deep reversible consistency learning, as released."""

    batches = t.Independent(keep_rest=False)

    def stages(self, train: t.DeviceSplit, context: t.Context) -> Iterator[t.Stage]:
        """Take the last state of SPL, and the least validation loss of RSC in any case."""
        for stage in super().stages(train, context):
            if stage.name == "spl":
                stage.then = "last"
            elif self.settings.select == "card":
                stage.rule = replace(t.BY_LOSS, rankable=False)
            yield stage

    def new_prior(self, data: t.DeviceSplit) -> t.Prototypes:
        """Draw W from a fixed seed."""
        fixed = t.Context(PRIOR_SEED, self.context.device)
        return t.built(lambda: t.Prototypes(self.settings.dim, data.n_classes), fixed, "prior")

    def new_encoder(self, stage: str, name: str, data: t.DeviceSplit) -> nn.Sequential:
        """Start both stages from the same weights."""
        width, s = data.dimension(name), self.settings
        return self.module(name, lambda: drcl.drcl_encoder(width, s.hidden, s.dim))

    def spl_loss(self, prior: t.Prototypes, z: t.Views, batch: t.Batch, clock: t.Clock) -> Tensor:
        """Count epochs from 0; at q = 0 the release computes 0 / 0 with gradient 0, as a step of Adam."""
        j_l = super().spl_loss(prior, z, batch, replace(clock, epoch=clock.epoch - 1))
        return j_l if clock.epoch > 1 else 0.0 * j_l

    def validation_loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Take the q of the present epoch."""
        return super().validation_loss(z, batch, replace(clock, epochs=clock.epoch))
