"""The one training loop and its toolkit: what a deep method is made of.

A deep method derives from `DeepMethod` and states its networks, how a batch is embedded, and its loss. Its
file needs one import besides torch: ``from bench import training as t``.
"""

from bench.contract import Context, Unsupported, card, setting
from bench.data.scaling import Scaling
from bench.training.batches import AlignedPairs, ClassCovering, Independent, Joint, Plan, Rows
from bench.training.data import Batch, DeviceSplit, on_device
from bench.training.losses import (
    canonical_correlations,
    class_log_probability,
    cosines,
    covariance,
    distance,
    gce,
    gradual,
    modality_cross_entropy,
    multimodal_contrast,
    neighbour_logits,
    pair_nll,
    reverse_gradient,
    robust_clustering,
    shared_cross_entropy,
    similarity_nll,
    whitened,
)
from bench.training.method import DeepMethod, Views
from bench.training.networks import (
    LabelNetwork,
    Prototypes,
    built,
    cooccurrence,
    correlations,
    label_scores,
    mlp,
    normalised,
    perceptrons,
    row_norm,
    unit,
)
from bench.training.seeding import generator, reproducible, seeded
from bench.training.selection import BY_LOSS, BY_MAP, LAST, Rule
from bench.training.settings import DeepSettings, FaithfulTo, PerModality, Selection, per_modality
from bench.training.track import Clock, Loss, Stage, Step, Track, adam, cosine_decay, parameters_of

__all__ = [
    "BY_LOSS",
    "BY_MAP",
    "LAST",
    "AlignedPairs",
    "Batch",
    "ClassCovering",
    "Clock",
    "Context",
    "DeepMethod",
    "DeepSettings",
    "DeviceSplit",
    "FaithfulTo",
    "Independent",
    "Joint",
    "LabelNetwork",
    "Loss",
    "PerModality",
    "Plan",
    "Prototypes",
    "Rows",
    "Rule",
    "Scaling",
    "Selection",
    "Stage",
    "Step",
    "Track",
    "Unsupported",
    "Views",
    "adam",
    "built",
    "canonical_correlations",
    "card",
    "class_log_probability",
    "cooccurrence",
    "correlations",
    "cosine_decay",
    "cosines",
    "covariance",
    "distance",
    "gce",
    "generator",
    "gradual",
    "label_scores",
    "mlp",
    "modality_cross_entropy",
    "multimodal_contrast",
    "neighbour_logits",
    "normalised",
    "on_device",
    "pair_nll",
    "parameters_of",
    "per_modality",
    "perceptrons",
    "reproducible",
    "reverse_gradient",
    "robust_clustering",
    "row_norm",
    "seeded",
    "setting",
    "shared_cross_entropy",
    "similarity_nll",
    "unit",
    "whitened",
]
