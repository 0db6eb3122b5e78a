"""The one training loop and its toolkit: what a deep method is made of.

A deep method derives from `DeepMethod` and states its networks, how a batch is embedded, and its loss. Its
file needs one import besides torch: ``from bench import training as t``.
"""

from bench.contract import Array, Context, Unsupported, card, setting
from bench.data.scaling import Scaling
from bench.training.batches import AlignedPairs, ClassCovering, Independent, Joint, Plan, Rows
from bench.training.data import Batch, DeviceSplit, on_device
from bench.training.former import Best, Last, generator, label_network, perceptrons, prototypes
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
    row_norm,
    unit,
)
from bench.training.seeding import reproducible, seeded
from bench.training.settings import DeepSettings, FaithfulTo, PerModality, Selection, per_modality
from bench.training.track import (
    BY_LOSS,
    BY_MAP,
    BY_ORACLE,
    LAST,
    Clock,
    Loss,
    Rule,
    Stage,
    Step,
    Track,
    adam,
    cosine_decay,
    parameters_of,
    rmsprop,
)
