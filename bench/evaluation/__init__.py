"""Ranking and its measures: exact under ties, independent of the gallery's order, equal for all methods."""

from bench.evaluation.directions import Direction, Evaluation, evaluate, validation_map
from bench.evaluation.inputs import Precision, check_embeddings
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
from bench.evaluation.protocols import (
    STANDARD_PROTOCOLS,
    Denominator,
    EmptyRule,
    Protocol,
    standard_protocols,
)
from bench.evaluation.ranking import Ranking
from bench.evaluation.ties import TieRule, expected_random_ap, expected_random_map
