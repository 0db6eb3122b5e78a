"""Memory: bounded blocks, never a matrix of all queries by all gallery items."""

from __future__ import annotations

import tracemalloc

import numpy as np

from bench.evaluation import average_precision

MIB = 1 << 20


def _peak(n_queries: int, n_gallery: int, d: int, *, tied: bool = False, n_classes: int = 10) -> int:
    """Return the most bytes that an evaluation holds beyond its inputs."""
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((n_queries, d), dtype=np.float32)
    gallery = np.ones((n_gallery, d), np.float32) if tied else rng.standard_normal((n_gallery, d), np.float32)
    wanted, offered = rng.integers(0, n_classes, n_queries), rng.integers(0, n_classes, n_gallery)
    average_precision(queries[:2], gallery, wanted[:2], offered)  # what is loaded and kept once
    tracemalloc.start()
    try:
        average_precision(queries, gallery, wanted, offered, threads=2)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_two_thousand_by_ten_thousand_stays_far_below_300_mb() -> None:
    assert _peak(2000, 10000, 128) <= 150 * MIB


def test_more_queries_need_no_more_memory_than_their_embeddings() -> None:
    few, many = _peak(4000, 1500, 16), _peak(16000, 1500, 16)
    assert many - few <= 3 * 12000 * 16 * 4 + 2 * MIB
    assert many < 16000 * 1500 * 4 / 2


def test_ties_and_large_classes_do_not_break_the_bound() -> None:
    assert _peak(500, 6000, 16, tied=True, n_classes=1) <= 150 * MIB
