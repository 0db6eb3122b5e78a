"""The order in which rows are given, and the number of threads, change nothing: not one bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.evaluation import average_precision, precision_at_k, precision_recall
from bench.evaluation.inputs import Precision
from tests.evaluation.samples import side

PRECISIONS = st.sampled_from(["float32", "float64"])
Shape = tuple[int, int, int, int]


@st.composite
def sizes(draw: st.DrawFn) -> Shape:
    """Sizes around the edges of matrix-product kernels: 1, 15..17, 31..33, 63..65."""
    edge = st.sampled_from([1, 2, 3, 7, 15, 16, 17, 31, 33, 48, 63, 65, 130])
    return draw(edge), draw(edge), draw(st.sampled_from([1, 2, 5, 16, 33, 129])), draw(st.integers(0, 2**31))


def _data(shape: Shape, precision: Precision) -> tuple[NDArray[Any], ...]:
    n_queries, n_gallery, d, seed = shape
    rng = np.random.default_rng(seed)
    spread = 1.0 if seed % 2 else 2 * np.finfo(precision).eps  # so close that rounding decides the ranking
    queries = (1 + spread * rng.standard_normal((n_queries, d))).astype(precision)
    gallery = (1 + spread * rng.standard_normal((n_gallery, d))).astype(precision)
    queries = queries[rng.integers(0, n_queries, n_queries)]  # many rows several times
    gallery = gallery[rng.integers(0, n_gallery, n_gallery)]
    return queries, gallery, rng.integers(0, 3, n_queries), rng.integers(0, 3, n_gallery)


@settings(max_examples=50, deadline=None)
@given(sizes(), PRECISIONS, st.sampled_from([None, 1, 10]))
def test_neither_gallery_nor_query_order_changes_a_bit(
    shape: Shape, precision: Precision, k: int | None
) -> None:
    queries, gallery, wanted, offered = _data(shape, precision)
    rng = np.random.default_rng(shape[-1] + 1)
    items, rows = rng.permutation(len(gallery)), rng.permutation(len(queries))
    before = average_precision(queries, gallery, wanted, offered, k, dtype=precision)
    after = average_precision(queries, gallery[items], wanted, offered[items], k, dtype=precision)
    assert before.tobytes() == after.tobytes()
    after = average_precision(queries[rows], gallery, wanted[rows], offered, k, dtype=precision)
    assert before[rows].tobytes() == after.tobytes()


@pytest.mark.parametrize(
    "measure",
    [
        lambda q, g, w, o: precision_at_k(q, g, w, o, [1, 5, 50]),
        precision_recall,
        lambda q, g, w, o: average_precision(q, g, np.eye(3)[w], np.eye(3)[o]),
    ],
    ids=["precision", "curve", "multi-label"],
)
def test_other_measures_do_not_depend_on_the_gallery_order_either(measure: Any) -> None:
    queries, gallery, wanted, offered = _data((65, 130, 16, 3), "float32")
    order = np.random.default_rng(0).permutation(len(gallery))
    plain = measure(queries, gallery, wanted, offered)
    assert plain.tobytes() == measure(queries, gallery[order], wanted, offered[order]).tobytes()


def test_number_of_threads_changes_no_bit() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((700, 33)), rng.standard_normal((1111, 33))
    labels = rng.integers(0, 7, 700), rng.integers(0, 7, 1111)
    assert len({average_precision(*rows, *labels, threads=n).tobytes() for n in (1, 2, 3, None)}) == 1


def test_rows_of_one_direction_take_part_once() -> None:
    first = [0.0, -0.0, 0.0, -1e-60, 0.0]
    rows = np.column_stack([first, [3.0, 3.0, 12.0, 3.0, 3.0], [1.0, 1.0, 4.0, 1.0, 1.5]])
    for labels in ([0, 0, 0, 0, 0], [1, 0, 2, 0, 0]):
        assert len(side(rows, np.array(labels)).rows) == 2


def test_rows_in_float32_are_scaled_as_in_float64() -> None:
    rng = np.random.default_rng(0)
    for smallest in (-149, -120, 0):  # exponents of 2; float32 ends at -149 and 128
        powers = 2.0 ** rng.integers(smallest, 127, (40, 9))
        rows = (rng.uniform(-1, 1, (40, 9)) * powers).astype(np.float32)
        scaled = (side(rows.astype(dtype), np.zeros(40, dtype=int)).rows for dtype in ("float32", "float64"))
        assert len({one.tobytes() for one in scaled}) == 1


def test_equal_rows_are_tied_in_any_order() -> None:
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((50, 65), dtype=np.float32)
    gallery = np.repeat(rng.standard_normal((67, 65), dtype=np.float32), 2, axis=0)
    ap = average_precision(queries, gallery, np.zeros(50, dtype=int), np.tile([0, 1], 67))
    pairs = sum((0.5 * (j + 1) / (2 * j + 1) + 0.5 * (j + 1) / (2 * j + 2)) for j in range(67)) / 67
    np.testing.assert_allclose(ap, pairs, atol=1e-12, rtol=0)


@pytest.mark.parametrize("scale", [1e-40, 1e-300, 3.0, 1e30, 1e300])
def test_only_directions_count_not_lengths(scale: float) -> None:
    rng = np.random.default_rng(0)
    queries, gallery = rng.standard_normal((9, 12)), rng.standard_normal((80, 12))
    labels = rng.integers(0, 4, 9), rng.integers(0, 4, 80)
    lengths = rng.uniform(0.1, 9, (80, 1))
    scaled = average_precision(queries * scale, gallery * lengths * scale, *labels)
    np.testing.assert_allclose(scaled, average_precision(queries, gallery, *labels), atol=1e-12, rtol=0)


def test_tiny_cosines_differ_in_float32() -> None:
    gallery = np.array([[1, 1e-25], [1, 1e-28], [1, 1e-30]])
    np.testing.assert_array_equal(average_precision([[0.0, 1.0]], gallery, [1], [0, 1, 0]), [0.5])
