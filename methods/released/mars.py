"""MARS as released: rows that do not fill a batch are left out."""

from bench import training as t

from .. import mars


class MARS(mars.MARS):
    """Modality-agnostic representations, as released."""

    batches = t.Independent(keep_rest=False)
