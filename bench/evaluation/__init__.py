"""Ranking and its measures: exact under ties, blind to the gallery's order, the same for every method."""

from bench.evaluation.arrays import Precision, check_embeddings
from bench.evaluation.directions import Direction, Evaluation, evaluate, validation_map
from bench.evaluation.metrics import (
    RECALL_LEVELS,
    average_precision,
    average_precision_of_similarities,
    mean_average_precision,
    precision_at_k,
    precision_recall,
)
from bench.evaluation.protocol import STANDARD_PROTOCOLS, Denominator, EmptyRule, Protocol
from bench.evaluation.ties import TieRule

__all__ = [
    "RECALL_LEVELS",
    "STANDARD_PROTOCOLS",
    "Denominator",
    "Direction",
    "EmptyRule",
    "Evaluation",
    "Precision",
    "Protocol",
    "TieRule",
    "average_precision",
    "average_precision_of_similarities",
    "check_embeddings",
    "evaluate",
    "mean_average_precision",
    "precision_at_k",
    "precision_recall",
    "validation_map",
]
