"""DSCMR as released: pairs keep their order, and similarities count the shared labels."""

from bench import training as t

from .. import dscmr


class DSCMR(dscmr.DSCMR):
    """Deep supervised cross-modal retrieval, as released."""

    batches = t.AlignedPairs(shuffle=False)
    counted = True
