"""Embeddings and similarities of rows that a method gets in an order unrelated to labels.

In a file, rows may be sorted by class, and row i may be the same thing in every modality: a method that looks
at positions would be rewarded for it. So each modality's rows are shuffled before the method gets them.
"""

from __future__ import annotations

import numpy as np

from bench.contract import Array, Method
from bench.contract.data import read_only
from bench.evaluation.arrays import check_embeddings, to_array
from bench.evaluation.order import row_order
from bench.evaluation.similarity import check_similarities


def embed_rows(method: Method, modality: str, features: Array) -> Array:
    """Return the embeddings ``(n, d)`` of features ``(n, d_v)``, in the order of the features.

    Raises:
        RefusedEmbeddings: as `check_embeddings`.
    """
    order = row_order(modality, len(features))
    embedded = to_array(method.embed(modality, read_only(features[order])))
    if embedded.ndim != 2 or len(embedded) != len(order):
        return check_embeddings(modality, embedded, len(order))
    rows = np.empty_like(embedded)
    rows[order] = embedded
    return check_embeddings(modality, rows, len(order))


def compare_rows(method: Method, query: str, queries: Array, gallery: str, items: Array) -> Array:
    """Return a method's similarities ``(n_queries, n_items)`` of features, in the order of the features.

    Args:
        method: fitted.
        query: modality of the queries.
        queries: ``(n_queries, d_query)``.
        gallery: modality of the items.
        items: ``(n_items, d_gallery)``.

    Raises:
        RefusedEmbeddings: for similarities of a wrong shape, or NaN.
    """
    asked, offered = row_order(query, len(queries)), row_order(gallery, len(items))
    shape = len(asked), len(offered)
    left, right = read_only(queries[asked]), read_only(items[offered])
    values = check_similarities(method.similarity(query, left, gallery, right), shape)
    similarities = np.empty_like(values)
    similarities[np.ix_(asked, offered)] = values
    return similarities
