"""`evaluate`: every direction, every protocol, one embedding per modality."""

from __future__ import annotations

from collections import Counter
from threading import get_ident
from typing import Any

import numpy as np
import pytest

from bench.contract import Array, Modality, RefusedEmbeddings, Split, UsageError
from bench.evaluation import (
    Protocol,
    average_precision,
    evaluate,
    precision_at_k,
    precision_recall,
    validation_map,
)
from bench.evaluation.measures import interpolated_precision_measure, precision_at_measure
from tests.evaluation.samples import AsGiven

PAIR = ("image", "text")
DIMENSIONS = {"image": 7, "text": 5, "audio": 6}


def _split(names: tuple[str, ...] = PAIR, *, multi: bool = False, times: int = 1) -> Split:
    rng = np.random.default_rng(0)
    modalities = {}
    for count, name in enumerate(names):
        n = 60 + 300 * count
        labels = rng.integers(0, 2, (n, 4)) if multi else rng.integers(0, 4, n)
        modality = Modality(rng.standard_normal((n, DIMENSIONS[name])), labels)
        modalities[name] = modality.take(np.tile(np.arange(n), times))
    return Split(modalities, 4)


class _Projection(AsGiven):
    """Maps every modality to its first five columns and counts the calls."""

    def __init__(self, spoil: Any = None) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.threads: set[int] = set()
        self.spoil = spoil

    def embed(self, modality: str, features: Array) -> Array:
        self.calls[modality] += 1
        rows = features[:, :5].copy()
        return self.spoil(modality, rows) if self.spoil else rows


class _Distance(_Projection):
    """Has a learned similarity: minus the squared distance."""

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        assert len(queries) <= 256
        self.calls[f"{query_modality}>{gallery_modality}"] += len(queries)
        self.threads.add(get_ident())
        left, right = self.embed(query_modality, queries), self.embed(gallery_modality, gallery)
        if self.spoil:
            return left
        return np.asarray(2 * left @ right.T - (left**2).sum(1)[:, None] - (right**2).sum(1))


class _Mutual(_Distance):
    mutual = True


@pytest.mark.parametrize("multi", [False, True])
def test_every_direction_and_protocol_equals_the_single_call(multi: bool) -> None:
    split, method = _split(tuple(DIMENSIONS), multi=multi), _Projection()
    rules = [Protocol(), Protocol(50, "min"), Protocol(5, "hits", empty="skip")]
    result = evaluate(method, split, [rules[0], rules[1].id, rules[2]])
    assert result.protocols == ("map@all", "map@50/min", "map@5/hits/skip")
    assert [direction.name for direction in result.directions] == [
        "image>text", "image>audio", "text>image", "text>audio", "audio>image", "audio>text"
    ]  # fmt: skip
    for direction in result.directions:
        left, right = split[direction.query], split[direction.gallery]
        rows = left.features[:, :5], right.features[:, :5], left.labels, right.labels
        for rule in rules:
            single = average_precision(*rows, rule.k, rule.denominator, empty=rule.empty)
            np.testing.assert_array_equal(direction.ap[rule.id], single)
    assert method.calls == dict.fromkeys(split, 1)


@pytest.mark.parametrize("rules", [["map@all"], ["map@all/argsort"]])
def test_further_measures_come_from_the_same_ranking_and_embeddings_are_kept(rules: list[str]) -> None:
    split, method = _split(), _Projection()
    more = {"p": precision_at_measure([1, 7]), "r": interpolated_precision_measure([0.0, 0.5])}
    result = evaluate(method, split, rules, measures=more)
    for direction in result.directions:
        left, right = split[direction.query], split[direction.gallery]
        rows = left.features[:, :5], right.features[:, :5], left.labels, right.labels
        np.testing.assert_array_equal(direction.measured["p"], precision_at_k(*rows, [1, 7]))
        np.testing.assert_array_equal(direction.measured["r"], precision_recall(*rows, [0.0, 0.5]))
        np.testing.assert_array_equal(result.embeddings[direction.query], rows[0])
        assert list(direction.ap) == rules
    assert method.calls == dict.fromkeys(split, 1)
    learned = evaluate(_Distance(), split, measures={"p": precision_at_measure([1])})
    assert learned.embeddings == {}
    assert learned["text", "image"].measured["p"].shape == (360, 1)


def test_map_is_the_mean_over_queries_and_mean_the_mean_over_directions() -> None:
    result = evaluate(_Projection(), _split())
    there, back = result["image", "text"], result["text", "image"]
    assert there.map() == pytest.approx(there.ap["map@all"].mean(), abs=1e-15)
    assert result.mean() == pytest.approx((there.map() + back.map()) / 2, abs=1e-15)
    assert validation_map(_Projection(), _split()) == {"image>text": there.map(), "text>image": back.map()}


def test_the_table_shows_every_direction_and_protocol() -> None:
    result = evaluate(_Projection(), _split(tuple(DIMENSIONS)))
    table = str(result)
    for direction in result.directions:
        assert f"{direction.name} " in table
        assert f"{direction.map('map@50/min'):.4f}" in table
    assert f"{result.mean():.4f}" in table.splitlines()[-1]
    assert repr(result) == table


def test_unknown_directions_and_protocols_are_named() -> None:
    result = evaluate(_Projection(), _split(), ["map@all"])
    with pytest.raises(KeyError, match="image>text, text>image"):
        result["image", "audio"]
    with pytest.raises(UsageError, match="map@all"):
        result.mean("map@50/hits")
    with pytest.raises(UsageError, match="modalities"):
        evaluate(_Projection(), _split(("image",)))
    with pytest.raises(UsageError, match="protocol"):
        evaluate(_Projection(), _split(), [])


def test_a_learned_similarity_is_computed_in_blocks_and_ranked_as_it_is() -> None:
    split, method = _split(tuple(DIMENSIONS)), _Distance()
    result = evaluate(method, split)
    assert method.calls["audio>text"] == len(split["audio"])
    assert method.threads == {get_ident()}  # a method need not be thread-safe
    left, right = split["audio"], split["text"]
    nearest = ((left.features[:, None, :5] - right.features[None, :, :5]) ** 2).sum(2).argsort(axis=1)
    hits = right.labels[nearest] == left.labels[:, None]
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    exact = (precision * hits).sum(1) / hits.sum(1)
    np.testing.assert_allclose(result["audio", "text"].ap["map@all"], exact, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kept", [True, False])
def test_a_mutual_similarity_is_computed_once_where_memory_allows(
    monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """Rows that occur twice are compared once, and tied."""
    if not kept:
        monkeypatch.setattr("bench.evaluation.retrieval._KEPT_NUMBERS", 10)
    method = _Mutual()
    result, expected = evaluate(method, _split(times=2)), evaluate(_Distance(), _split(times=2))
    assert method.calls["image>text"] == 60
    assert method.calls["text>image"] == (0 if kept else 360)
    for found, other in zip(result.directions, expected.directions, strict=True):
        for protocol, ap in other.ap.items():
            np.testing.assert_allclose(found.ap[protocol], ap, atol=1e-12, rtol=0)
            np.testing.assert_array_equal(ap[: len(ap) // 2], ap[len(ap) // 2 :])


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (_Projection(lambda modality, rows: rows[:-1]), "59 rows"),
        (_Projection(lambda modality, rows: rows[:, :4] if modality == "text" else rows), "widths"),
        (_Distance(lambda modality, rows: rows), "numbers"),
    ],
)
def test_what_cannot_be_ranked_is_refused(method: AsGiven, message: str) -> None:
    with pytest.raises(RefusedEmbeddings, match=message):
        evaluate(method, _split())
