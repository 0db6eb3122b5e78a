"""Ranking and its measures: exact under ties, blind to the gallery's order, the same for every method."""

from bench.evaluation.inputs import Precision, check_embeddings
from bench.evaluation.measures import STANDARD_PROTOCOLS, Denominator, EmptyRule, Protocol
from bench.evaluation.metrics import (
    RECALL_LEVELS,
    average_precision,
    average_precision_of_similarities,
    mean_average_precision,
    precision_at_k,
    precision_recall,
    rank_embeddings,
    rank_similarities,
)
from bench.evaluation.ranking import Ranking
from bench.evaluation.retrieval import Direction, Evaluation, evaluate, validation_map
from bench.evaluation.ties import TieRule, expected_random_ap, expected_random_map

__all__ = [
    "RECALL_LEVELS",
    "STANDARD_PROTOCOLS",
    "Denominator",
    "Direction",
    "EmptyRule",
    "Evaluation",
    "Precision",
    "Protocol",
    "Ranking",
    "TieRule",
    "average_precision",
    "average_precision_of_similarities",
    "check_embeddings",
    "evaluate",
    "expected_random_ap",
    "expected_random_map",
    "mean_average_precision",
    "precision_at_k",
    "precision_recall",
    "rank_embeddings",
    "rank_similarities",
    "validation_map",
]
