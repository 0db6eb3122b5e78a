"""SDML as released: rows that do not fill a batch are left out."""

from bench import training as t

from .. import sdml


class SDML(sdml.SDML):
    """Scalable deep multimodal learning, as released."""

    batches = t.Independent(keep_rest=False)
