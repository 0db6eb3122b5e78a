"""Memory is bounded, however many the queries; threads keep to the limits of the process."""

from __future__ import annotations

import os
import tracemalloc

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from bench.evaluation import average_precision
from bench.evaluation.threads import _blas, allowed_threads, run_blocks

MIB = 1 << 20
BLOCKS = [slice(start, start + 1) for start in range(6)]


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


@pytest.mark.slow
def test_two_thousand_by_ten_thousand_stays_far_below_300_mb() -> None:
    assert _peak(2000, 10000, 128) <= 150 * MIB


def test_more_queries_need_no_more_memory_than_their_embeddings() -> None:
    few, many = _peak(2000, 1500, 16), _peak(8000, 1500, 16)
    assert many - few <= 3 * 6000 * 16 * 4 + 2 * MIB
    assert many < 8000 * 1500 * 4


def test_ties_and_large_classes_do_not_break_the_bound() -> None:
    assert _peak(500, 6000, 16, tied=True, n_classes=1) <= 150 * MIB


def _blas_limits() -> set[int]:
    """Return the limits of the BLAS that NumPy uses; SciPy may have brought another one."""
    return {library["num_threads"] for library in _blas().info()}


@pytest.mark.parametrize(("cpus", "of_torch", "of_blas"), [(1, 3, 4), (4, 2, 3), (3, 4, 2)])
def test_limits_of_the_process_torch_and_blas_are_respected(
    cpus: int, of_torch: int, of_blas: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cpus), raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: of_torch)
    with threadpool_limits(of_blas, user_api="blas"):
        assert allowed_threads() == min(cpus, of_torch, of_blas)
        monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
        monkeypatch.setattr(os, "cpu_count", lambda: cpus)
        assert allowed_threads() == min(cpus, of_torch, of_blas)


@pytest.mark.parametrize("threads", [1, 3])
def test_matrix_products_keep_to_their_thread_and_the_limit_comes_back(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4), raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    seen: list[tuple[int, set[int]]] = []
    with threadpool_limits(2, user_api="blas"):
        before = _blas_limits()
        assert allowed_threads() == 2

        def work(block: slice) -> None:
            seen.append((block.start, _blas_limits()))
            assert allowed_threads() == 2  # inside, too, it is the outer limit
            if block.start == 0:
                run_blocks(lambda inner: None, BLOCKS, threads)

        run_blocks(work, BLOCKS, threads)
        assert _blas_limits() == before
    assert sorted(seen) == [(block.start, {1}) for block in BLOCKS]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failure_in_a_block_reaches_the_caller_and_lifts_the_limit(threads: int) -> None:
    def fail(block: slice) -> None:
        raise RuntimeError(f"block {block.start}")

    before = _blas_limits()
    with pytest.raises(RuntimeError, match="block 0"):
        run_blocks(fail, BLOCKS, threads)
    assert _blas_limits() == before
