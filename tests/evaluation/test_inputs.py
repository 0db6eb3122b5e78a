"""What functions accept, and what is refused with a reason."""

from __future__ import annotations

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
    rank_embeddings,
    rank_similarities,
)
from bench.evaluation.inputs import check_similarities

RNG = np.random.default_rng(0)
QUERIES, GALLERY = RNG.standard_normal((6, 5)), RNG.standard_normal((40, 5))
WANTED, OFFERED = RNG.integers(0, 3, 6), RNG.integers(0, 3, 40)
PLAIN = average_precision(QUERIES, GALLERY, WANTED, OFFERED)
NAMES = np.array([70, -3, 10**12])
WIDE = np.zeros((40, 10))
WIDE[:, ::2] = GALLERY


@pytest.mark.parametrize(
    "convert", [torch.tensor, lambda rows: torch.tensor(rows, requires_grad=True), np.ndarray.tolist]
)
def test_tensors_and_lists_give_what_arrays_give(convert: Any) -> None:
    ap = average_precision(convert(QUERIES), convert(GALLERY), torch.tensor(WANTED), OFFERED.tolist())
    assert ap.dtype == np.float64
    np.testing.assert_array_equal(ap, PLAIN)


@pytest.mark.parametrize(
    "convert",
    [
        *(lambda rows, dtype=dtype: rows.astype(dtype) for dtype in ("f2", "f4", "f8", np.longdouble)),
        lambda rows: torch.tensor(rows).bfloat16(),
    ],
)
def test_any_precision_is_taken(convert: Any) -> None:
    ap = average_precision(convert(QUERIES), convert(GALLERY), WANTED, OFFERED)
    np.testing.assert_allclose(ap, PLAIN, atol=0.1)


def test_extended_precision_beyond_float64_is_infinite() -> None:
    rows = GALLERY.astype(np.longdouble)
    rows[3, 1] = np.longdouble(1e300) * 1e300
    with pytest.raises(RefusedEmbeddings, match=r"infinite .*row 3"):
        average_precision(QUERIES, rows, WANTED, OFFERED)


@pytest.mark.parametrize(
    ("given", "kept"), [("bool", "f8"), ("int8", "f8"), ("f2", "f8"), ("f4", "f4"), ("f8", "f8")]
)
def test_similarities_keep_a_precision_that_can_be_ranked(given: str, kept: str) -> None:
    assert check_similarities(np.ones((2, 3), dtype=given), (2, 3)).dtype == kept


@pytest.mark.parametrize(
    "rows", [np.asfortranarray(GALLERY), WIDE[:, ::2], np.ascontiguousarray(GALLERY[::-1])[::-1]]
)
def test_layout_in_memory_changes_no_bit(rows: Any) -> None:
    assert average_precision(QUERIES, rows, WANTED, OFFERED).tobytes() == PLAIN.tobytes()


def test_inputs_are_left_as_they_are() -> None:
    given = QUERIES, GALLERY, WANTED, OFFERED, QUERIES @ GALLERY.T
    copies = [value.copy() for value in given]
    average_precision(*given[:4])
    average_precision_of_similarities(given[4], WANTED, OFFERED)
    for before, after in zip(copies, given, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    "labels",
    [
        (np.eye(3)[WANTED], np.eye(3)[OFFERED]),
        (NAMES[WANTED], NAMES[OFFERED]),
        (WANTED.astype(float), OFFERED),
    ],
    ids=["one-hot", "any numbers", "whole floats"],
)
def test_label_values_are_only_names(labels: Any) -> None:
    np.testing.assert_array_equal(average_precision(QUERIES, GALLERY, *labels), PLAIN)
    one_class = np.ones((6, 1)), np.ones((40, 1))
    np.testing.assert_array_equal(average_precision(QUERIES, GALLERY, *one_class), 1.0)


def test_map_is_the_mean_over_queries_or_over_those_not_skipped() -> None:
    absent = np.where(np.arange(6) < 2, 9, WANTED)
    ap = average_precision(QUERIES, GALLERY, absent, OFFERED)
    assert mean_average_precision(QUERIES, GALLERY, absent, OFFERED) == pytest.approx(ap.mean(), abs=1e-15)
    skipping = mean_average_precision(QUERIES, GALLERY, absent, OFFERED, empty="skip")
    assert skipping == pytest.approx(ap[2:].mean(), abs=1e-15)
    assert np.isnan(mean_average_precision(QUERIES, GALLERY, np.full(6, 9), OFFERED, empty="skip"))


@pytest.mark.parametrize(
    ("change", "noun"),
    [
        ({"queries": QUERIES[0]}, "matrix"),
        ({"queries": QUERIES[:0]}, "n, d"),
        ({"gallery": GALLERY[:, :4]}, "columns"),
        ({"queries": QUERIES.astype(complex)}, "real"),
        ({"query_labels": WANTED[:-1]}, "query labels"),
        ({"gallery_labels": OFFERED + 0.5}, "whole"),
        ({"gallery_labels": OFFERED.astype(str)}, "whole"),
        ({"gallery_labels": np.eye(3)[OFFERED]}, r"\(n, 3\)"),
        ({"query_labels": 2 * np.eye(3)[WANTED], "gallery_labels": np.eye(3)[OFFERED]}, "0 and 1"),
        ({"query_labels": np.eye(4)[WANTED], "gallery_labels": np.eye(3)[OFFERED]}, r"\(n, 4\)"),
        ({"query_labels": np.ones((6, 0)), "gallery_labels": np.ones((40, 0))}, "column"),
        ({"k": 0}, "at least 1"),
        ({"denominator": "all"}, "denominator"),
        ({"dtype": "float16"}, "float32"),
        ({"threads": 0}, "threads"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], noun: str) -> None:
    names = ("queries", "gallery", "query_labels", "gallery_labels")
    given: dict[str, Any] = dict(zip(names, (QUERIES, GALLERY, WANTED, OFFERED), strict=True))
    with pytest.raises(UsageError, match=noun):
        average_precision(**(given | change))


def test_measures_check_their_arguments() -> None:
    with pytest.raises(UsageError, match="rank"):
        precision_at_k(QUERIES, GALLERY, WANTED, OFFERED, [5, 0])
    with pytest.raises(UsageError, match="between 0 and 1"):
        precision_recall(QUERIES, GALLERY, WANTED, OFFERED, [0.5, 1.5])
    with pytest.raises(RefusedEmbeddings, match="NaN"):
        average_precision_of_similarities(np.full((6, 40), np.nan), WANTED, OFFERED)
    for ids in (np.arange(5), np.arange(6.0)):
        with pytest.raises(UsageError, match="6 integers"):
            rank_embeddings(
                QUERIES, GALLERY, WANTED, OFFERED, query_ids=ids, gallery_ids=np.arange(len(GALLERY))
            )


def _spoilt(value: float) -> Any:
    rows = GALLERY.copy()
    rows[7, 2] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "noun"),
    [
        (_spoilt(np.nan), "NaN.*row 7"),
        (_spoilt(np.inf), "infinite.*row 7"),
        (GALLERY[:-1], "39 rows"),
        (GALLERY[0], "matrix"),
        (GALLERY.astype(str), "matrix"),
        (GALLERY[:, :0], "columns"),
        (np.ones((40, 5)), "collapsed"),
        (np.ones((40, 5)) * (np.arange(40) > 0)[:, None], "collapsed.*1 rows of zeros"),
    ],
)
def test_embeddings_of_a_method_are_refused_with_the_modality_named(rows: Any, noun: str) -> None:
    with pytest.raises(RefusedEmbeddings, match=f"'text' .*{noun}"):
        check_embeddings("text", rows, 40)
    if "row 7" in noun:
        with pytest.raises(RefusedEmbeddings, match=noun):
            average_precision(QUERIES, rows, WANTED, OFFERED)


@pytest.mark.parametrize(
    "rank",
    [
        lambda *labels: rank_embeddings(np.eye(4), np.eye(4), *labels),
        lambda *labels: rank_similarities(np.eye(4), *labels),
    ],
)
def test_class_numbers_are_not_compared_with_label_matrices(rank: Any) -> None:
    several = np.eye(3, dtype=int)[[0, 1, 2, 0]]
    with pytest.raises(UsageError, match="labels"):
        rank([0, 1, 2, 0], several)
    with pytest.raises(UsageError, match="labels"):
        rank(several, np.pad(several, ((0, 0), (0, 1))))


def test_a_row_of_zeros_is_an_ordinary_row_under_distances() -> None:
    rows = [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    assert check_embeddings("text", rows, 3, "euclidean").shape == (3, 2)
    with pytest.raises(RefusedEmbeddings, match="collapsed"):
        check_embeddings("text", rows, 3)


def test_one_row_cannot_be_collapsed() -> None:
    assert check_embeddings("text", [[1.0, 2.0]], 1).shape == (1, 2)
