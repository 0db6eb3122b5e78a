"""The one training loop and its toolkit: what a deep method is made of.

A deep method derives from `DeepMethod` and hands over `Stage`s of `Track`s: modules, a batch plan,
`Step`s with their losses and optimisers. It writes no loop of its own.
"""

from bench.data.scaling import Scaling
from bench.training.adversarial import gradual, modality_cross_entropy, reverse_gradient
from bench.training.batches import AlignedPairs, ClassCovering, GivenOrder, Independent, Joint, Plan, Rows
from bench.training.contrastive import multimodal_contrast, neighbour_logits, robust_clustering
from bench.training.data import Batch, DeviceSplit
from bench.training.encoders import Prototypes, built, mlp, perceptrons, prototypes, row_norm, unit
from bench.training.label_graph import (
    LabelNetwork,
    cooccurrence,
    correlations,
    label_network,
    label_scores,
    normalised,
)
from bench.training.losses import (
    class_log_probability,
    cosines,
    distance,
    gce,
    pair_nll,
    shared_cross_entropy,
    similarity_nll,
)
from bench.training.method import DeepMethod
from bench.training.optimisers import adam, cosine_decay, parameters_of
from bench.training.seeding import generator, reproducible, seeded
from bench.training.selection import BY_LOSS, BY_MAP, BY_ORACLE, LAST, Best, Last, Rule
from bench.training.settings import DeepSettings, FaithfulTo, PerModality, Selection, per_modality
from bench.training.spectral import canonical_correlations, covariance, whitened
from bench.training.track import Clock, Loss, Stage, Step, Track

__all__ = [
    "BY_LOSS",
    "BY_MAP",
    "BY_ORACLE",
    "LAST",
    "AlignedPairs",
    "Batch",
    "Best",
    "ClassCovering",
    "Clock",
    "DeepMethod",
    "DeepSettings",
    "DeviceSplit",
    "FaithfulTo",
    "GivenOrder",
    "Independent",
    "Joint",
    "LabelNetwork",
    "Last",
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
    "adam",
    "built",
    "canonical_correlations",
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
    "label_network",
    "label_scores",
    "mlp",
    "modality_cross_entropy",
    "multimodal_contrast",
    "neighbour_logits",
    "normalised",
    "pair_nll",
    "parameters_of",
    "per_modality",
    "perceptrons",
    "prototypes",
    "reproducible",
    "reverse_gradient",
    "robust_clustering",
    "row_norm",
    "seeded",
    "shared_cross_entropy",
    "similarity_nll",
    "unit",
    "whitened",
]
