"""What callers may pass, and what is refused with a reason."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from bench.contract import RefusedEmbeddings, UsageError
from bench.evaluation import (
    average_precision,
    average_precision_of_similarities,
    check_embeddings,
    mean_average_precision,
    precision_at_k,
    precision_recall,
)
from bench.evaluation.inputs import check_similarities

RNG = np.random.default_rng(0)
QUERIES, GALLERY = RNG.standard_normal((6, 5)), RNG.standard_normal((40, 5))
WANTED, OFFERED = RNG.integers(0, 3, 6), RNG.integers(0, 3, 40)
PLAIN = average_precision(QUERIES, GALLERY, WANTED, OFFERED)


def test_ranking_never_imports_torch() -> None:
    script = (
        "import sys, numpy as np, bench.evaluation as e\n"
        "e.mean_average_precision(np.eye(3), np.eye(3), [0, 1, 2], [0, 1, 2])\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    "convert", [torch.tensor, lambda rows: torch.tensor(rows, requires_grad=True), np.ndarray.tolist]
)
def test_tensors_and_lists_give_what_arrays_give(convert: Any) -> None:
    ap = average_precision(convert(QUERIES), convert(GALLERY), torch.tensor(WANTED), OFFERED.tolist())
    assert ap.dtype == np.float64
    np.testing.assert_array_equal(ap, PLAIN)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_any_precision_is_taken(dtype: Any) -> None:
    rows = average_precision(QUERIES.astype(dtype), GALLERY.astype(dtype), WANTED, OFFERED)
    np.testing.assert_allclose(rows, PLAIN, atol=1e-2)


def test_extended_precision_beyond_float64_is_infinite() -> None:
    rows = GALLERY.astype(np.longdouble)
    rows[3, 1] = np.longdouble(1e300) * 1e300
    with pytest.raises(RefusedEmbeddings, match="infinite values, first in row 3"):
        average_precision(QUERIES, rows, WANTED, OFFERED)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("bool", "float64"),
        ("int8", "float64"),
        ("float16", "float64"),
        ("float32", "float32"),
        ("float64",) * 2,
    ],
)
def test_similarities_keep_a_precision_that_can_be_ranked(given: str, kept: str) -> None:
    assert check_similarities(np.ones((2, 3), dtype=given), (2, 3)).dtype == kept


def test_bfloat16_tensors_are_taken() -> None:
    low = average_precision(
        torch.tensor(QUERIES).bfloat16(), torch.tensor(GALLERY).bfloat16(), WANTED, OFFERED
    )
    np.testing.assert_allclose(low, PLAIN, atol=0.1)


def test_layout_in_memory_changes_no_bit() -> None:
    wide = np.zeros((40, 10))
    wide[:, ::2] = GALLERY
    for rows in (np.asfortranarray(GALLERY), wide[:, ::2], np.ascontiguousarray(GALLERY[::-1])[::-1]):
        assert average_precision(QUERIES, rows, WANTED, OFFERED).tobytes() == PLAIN.tobytes()


def test_inputs_are_left_as_they_are() -> None:
    copies = [value.copy() for value in (QUERIES, GALLERY, WANTED, OFFERED)]
    similarities = QUERIES @ GALLERY.T
    kept = similarities.copy()
    average_precision(QUERIES, GALLERY, WANTED, OFFERED)
    average_precision_of_similarities(similarities, WANTED, OFFERED)
    for before, after in zip([*copies, kept], (QUERIES, GALLERY, WANTED, OFFERED, similarities), strict=True):
        np.testing.assert_array_equal(before, after)


def test_one_hot_labels_mean_what_class_numbers_mean() -> None:
    np.testing.assert_array_equal(
        average_precision(QUERIES, GALLERY, np.eye(3)[WANTED], np.eye(3)[OFFERED]), PLAIN
    )


def test_label_values_are_only_names() -> None:
    names = np.array([70, -3, 10**12])
    np.testing.assert_array_equal(average_precision(QUERIES, GALLERY, names[WANTED], names[OFFERED]), PLAIN)
    np.testing.assert_array_equal(average_precision(QUERIES, GALLERY, WANTED.astype(float), OFFERED), PLAIN)


def test_multi_label_relevance_is_a_shared_label() -> None:
    gallery = np.array([[4.0, 0], [3, 1], [2, 2], [1, 3]])
    offered = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    ap = average_precision(np.array([[1.0, 0]] * 3), gallery, [[1, 0, 1], [0, 1, 0], [0, 0, 0]], offered)
    np.testing.assert_allclose(ap, [(1 + 2 / 3) / 2, 1 / 2, 0])


def test_a_cut_off_beyond_the_gallery_is_the_full_ranking() -> None:
    np.testing.assert_array_equal(average_precision(QUERIES, GALLERY, WANTED, OFFERED, 10**6), PLAIN)


def test_map_is_the_mean_over_queries_or_over_those_not_skipped() -> None:
    absent = np.where(np.arange(6) < 2, 9, WANTED)
    ap = average_precision(QUERIES, GALLERY, absent, OFFERED)
    assert mean_average_precision(QUERIES, GALLERY, absent, OFFERED) == pytest.approx(ap.mean(), abs=1e-15)
    skipping = mean_average_precision(QUERIES, GALLERY, absent, OFFERED, empty="skip")
    assert skipping == pytest.approx(ap[2:].mean(), abs=1e-15)
    assert np.isnan(mean_average_precision(QUERIES, GALLERY, np.full(6, 9), OFFERED, empty="skip"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": QUERIES[0]}, "matrix"),
        ({"queries": QUERIES[:0]}, "n, d >= 1"),
        ({"gallery": GALLERY[:, :4]}, "5 columns and the gallery 4"),
        ({"queries": QUERIES.astype(complex)}, "real numbers"),
        ({"query_labels": WANTED[:-1]}, r"query labels must be \(6,\)"),
        ({"gallery_labels": OFFERED + 0.5}, "whole numbers"),
        ({"gallery_labels": OFFERED.astype(str)}, "whole numbers"),
        ({"gallery_labels": np.eye(3)[OFFERED]}, r"\(n,\) and gallery labels \(n, 3\)"),
        ({"query_labels": 2 * np.eye(3)[WANTED], "gallery_labels": np.eye(3)[OFFERED]}, "0 and 1 only"),
        ({"query_labels": np.eye(4)[WANTED], "gallery_labels": np.eye(3)[OFFERED]}, r"\(n, 4\)"),
        ({"k": 0}, "at least 1"),
        ({"denominator": "all"}, "denominator must be one of"),
        ({"dtype": "float16"}, "'float32' or 'float64'"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "queries": QUERIES,
        "gallery": GALLERY,
        "query_labels": WANTED,
        "gallery_labels": OFFERED,
    }
    with pytest.raises(UsageError, match=message):
        average_precision(**{**arguments, **change})


def test_measures_check_their_own_arguments() -> None:
    with pytest.raises(UsageError, match="rank of at least 1"):
        precision_at_k(QUERIES, GALLERY, WANTED, OFFERED, [5, 0])
    with pytest.raises(UsageError, match="between 0 and 1"):
        precision_recall(QUERIES, GALLERY, WANTED, OFFERED, [0.5, 1.5])
    with pytest.raises(RefusedEmbeddings, match="NaN"):
        average_precision_of_similarities(np.full((6, 40), np.nan), WANTED, OFFERED)


def _spoilt(value: float) -> Any:
    rows = GALLERY.copy()
    rows[7, 2] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (_spoilt(np.nan), "NaN, first in row 7"),
        (_spoilt(np.inf), "infinite values, first in row 7"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused_everywhere(rows: Any, message: str) -> None:
    with pytest.raises(RefusedEmbeddings, match=message):
        average_precision(QUERIES, rows, WANTED, OFFERED)
    with pytest.raises(RefusedEmbeddings, match=f"'text' .*{message}"):
        check_embeddings("text", rows, 40)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (GALLERY[:-1], "39 rows, but 40"),
        (GALLERY[0], "matrix"),
        (GALLERY.astype(str), "matrix"),
        (GALLERY[:, :0], "no columns"),
        (np.ones((40, 5)), "collapsed: all 40 rows are equal"),
    ],
)
def test_embeddings_of_a_method_are_refused_with_the_modality_named(rows: Any, message: str) -> None:
    with pytest.raises(RefusedEmbeddings, match=f"'text' .*{message}"):
        check_embeddings("text", rows, 40)


def test_one_row_cannot_be_collapsed() -> None:
    assert check_embeddings("text", [[1.0, 2.0]], 1).shape == (1, 2)
