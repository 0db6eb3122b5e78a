"""How long the evaluator takes; the limits are those promised for two free cores."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.contract import Similarity
from bench.evaluation import STANDARD_PROTOCOLS, Protocol, mean_average_precision, rank_embeddings
from bench.evaluation.inputs import label_sets
from bench.evaluation.measures import measure_of
from bench.evaluation.ranking import Ranking
from bench.evaluation.similarity import embedded_side


def _arguments(n_queries: int, n_gallery: int, d: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    rows = [rng.standard_normal((n, d), dtype=np.float32) for n in (n_queries, n_gallery)]
    return (*rows, rng.integers(0, 10, n_queries), rng.integers(0, 10, n_gallery))


def _fastest(benchmark: Any, work: Callable[[], Any], rounds: int) -> float:
    benchmark.pedantic(work, rounds=rounds, warmup_rounds=1)
    return float(benchmark.stats.stats.min) if benchmark.stats else 0.0


def test_validation_of_one_direction_takes_a_fraction_of_an_epoch(benchmark: Any) -> None:
    arguments = _arguments(231, 231, 2048)
    _fastest(benchmark, lambda: mean_average_precision(*arguments), rounds=5)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1000, 2000, 4000, 8000, 16000, 32000])
def test_growth_with_the_number_of_items(benchmark: Any, n: int) -> None:
    arguments = _arguments(n, n, 128)
    _fastest(benchmark, lambda: mean_average_precision(*arguments), rounds=1)


@pytest.mark.slow
@pytest.mark.parametrize("protocols", [1, 4])
def test_four_protocols_cost_little_more_than_one(benchmark: Any, protocols: int) -> None:
    queries, gallery, wanted, offered = _arguments(2000, 10000, 128)
    rows = ((queries, wanted), (gallery, offered))
    sides = [embedded_side(x, label_sets(y, len(x), "labels"), "float32", "rows") for x, y in rows]
    measures = [measure_of(rule) for rule in STANDARD_PROTOCOLS[:protocols]]
    _fastest(benchmark, lambda: Ranking.of_sides(*sides).measure(measures), rounds=3)


@pytest.mark.slow
def test_heavily_tied_codes(benchmark: Any) -> None:
    queries, gallery, wanted, offered = _arguments(2000, 10000, 16)
    arguments = np.sign(queries), np.sign(gallery), wanted, offered
    _fastest(benchmark, lambda: mean_average_precision(*arguments, 50), rounds=2)


@pytest.mark.slow
@pytest.mark.parametrize("similarity", ["dot", "euclidean", "hamming"])
def test_every_similarity_takes_at_most_a_third_more_time_than_the_cosine(similarity: Similarity) -> None:
    queries, gallery, wanted, offered = _arguments(2000, 10000, 128)
    if similarity == "hamming":
        queries, gallery = np.sign(queries), np.sign(gallery)
    seconds: dict[Similarity, list[float]] = {"cosine": [], similarity: []}
    for _ in range(5):  # in turn, so that the load of the machine falls on both
        for name, times in seconds.items():
            start = time.process_time()
            mean_average_precision(queries, gallery, wanted, offered, similarity=name, threads=1)
            times.append(time.process_time() - start)
    ratio = min(seconds[similarity]) / min(seconds["cosine"])
    print(f"{similarity}: {ratio:.2f} times the cosine's {min(seconds['cosine']):.2f} s")
    assert ratio <= 1.3


@pytest.mark.slow
def test_instance_measures_of_unique_ids_add_little_to_a_ranking() -> None:
    queries, gallery, wanted, offered = _arguments(4000, 40000, 64)
    ids = np.random.default_rng(1).permutation(40000)
    names = ["map@all", "recall@1", "recall@5", "recall@10", "mrr", "medr"]
    seconds = []
    for count in (1, len(names)):
        ranking = rank_embeddings(
            queries, gallery, wanted, offered, query_ids=ids[:4000], gallery_ids=ids, threads=1
        )
        start = time.process_time()
        ranking.evaluate([*map(Protocol.parse, names[:count])])
        seconds.append(time.process_time() - start)
    assert seconds[1] <= 1.5 * seconds[0]
