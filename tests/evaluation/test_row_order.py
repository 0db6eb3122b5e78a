"""A method gets its rows in an order unrelated to labels, so that positions carry no information."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest

from bench.contract import Array, Modality, Split
from bench.evaluation import (
    Protocol,
    average_precision_of_similarities,
    evaluate,
    expected_random_map,
    validation_map,
)
from bench.evaluation.conventions import AVERAGE, readings
from bench.evaluation.independence import compare_rows
from bench.evaluation.order import row_order
from bench.evaluation.retrieval import Retrieval
from tests.evaluation.samples import AsGiven, Embeds

CLASSES = 6
NEAR_CHANCE = 0.02
"""Of random rankings; a method that knew labels from positions would be .3 to .8 above."""
Rule = Callable[[Array, Array], Array]
RULES: dict[str, Rule] = {
    "distance": lambda i, j: -np.abs(i - j),
    "same": lambda i, j: (np.abs(i - j) < 1e-9) * 1.0,
    "item": lambda i, j: j + 0 * i,
}


class Positions(AsGiven):
    """Compares rows by their positions alone; ``rule`` gets positions as shares of their number."""

    continued = False

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self._rule = rule
        self._before: dict[str, int] = {}

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        start = self._before.get(query_modality, 0) if self.continued else 0
        self._before[query_modality] = start + len(queries)
        left = np.arange(start, start + len(queries))[:, None]
        right = np.arange(len(gallery))[None] / len(gallery)
        return np.asarray(self._rule(left / len(gallery if self.continued else queries), right))


class Seen(Positions):
    """The same, where positions go on from one block of queries to the next."""

    continued = True
    mutual = False


class MutualSeen(Seen):
    mutual = True


def on_a_circle(rows: Array) -> Array:
    angle = np.pi * np.arange(len(rows)) / len(rows)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def at_random(rows: Array) -> Array:
    return np.random.default_rng(0).standard_normal((len(rows), 64))


def _split(rows: int, order: str, multi: bool = False) -> Split:
    """Return pairs with random features, in which the classes are sorted or alternate."""
    rng = np.random.default_rng(1)
    labels = np.arange(rows) * CLASSES // rows if order == "sorted" else np.arange(rows) % CLASSES
    labels = np.eye(CLASSES, dtype=np.int64)[labels] if multi else labels
    parts = {name: Modality(rng.standard_normal((rows, 5)), labels) for name in ("image", "text")}
    return Split(parts, CLASSES, "natural")


@pytest.mark.parametrize("kind", [Positions, Seen, MutualSeen])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("rows", "order"), [(600, "turns"), (240, "sorted")])
def test_a_similarity_of_positions_scores_at_chance(
    kind: type[Positions], rule: str, rows: int, order: str
) -> None:
    split = _split(rows, order, multi=kind is Seen)
    found = validation_map(kind(RULES[rule]), split)
    assert found == pytest.approx(expected_random_map(split), abs=NEAR_CHANCE)


def test_positions_of_a_sorted_file_would_carry_information() -> None:
    i, labels = np.arange(600) / 600, _split(600, "sorted")["image"].labels
    ap = average_precision_of_similarities(RULES["distance"](i[:, None], i), labels, labels)
    assert ap.mean() > 0.8


@pytest.mark.parametrize("order", ["sorted", "turns"])
@pytest.mark.parametrize(("rule", "rows"), [(on_a_circle, 600), (at_random, 120)])
def test_an_embedding_of_row_numbers_scores_at_chance(
    order: str, rule: Callable[[Array], Array], rows: int
) -> None:
    split = _split(rows, order)
    found = validation_map(Embeds(rule), split)
    assert found == pytest.approx(expected_random_map(split), abs=NEAR_CHANCE)


class Neighbours(AsGiven):
    """Counts how often a query has the label of the query before it; labels are the first feature."""

    same = total = 0

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        self.same += int((queries[1:, 0] == queries[:-1, 0]).sum())
        self.total += len(queries) - 1
        return np.asarray(queries @ gallery.T)


@pytest.mark.parametrize("mutual", [True, False])
def test_neighbouring_queries_have_equal_labels_as_often_as_by_chance(mutual: bool) -> None:
    blank = _split(600, "sorted")
    rows = {
        name: Modality(np.column_stack([one.labels, one.features[:, 1:]]), one.labels)
        for name, one in blank.items()
    }
    method: Any = type("Asked", (Neighbours,), {"mutual": mutual})()
    validation_map(method, Split(rows, CLASSES, "natural"))
    assert method.total > 500
    assert method.same / method.total == pytest.approx(1 / CLASSES, abs=0.05)


def test_a_part_of_the_gallery_has_no_order_either() -> None:
    retrieval = Retrieval.of_method(Seen(RULES["item"]), _split(600, "sorted"))
    for one in readings(retrieval, cutoffs=[], shares=[Fraction(1, 2)], draws=2):
        if one.direction != AVERAGE and one.protocol.measure in ("map", "precision"):
            assert one.value == pytest.approx(1 / CLASSES, abs=NEAR_CHANCE)


class Watched(AsGiven):
    """Records the first feature of the rows that it gets: their number in the file."""

    def __init__(self) -> None:
        super().__init__()
        self.got: dict[str, list[int]] = {}

    def embed(self, modality: str, features: Array) -> Array:
        self.got[modality] = features[:, 0].astype(int).tolist()
        return features * 1.1


def test_orders_of_modalities_have_nothing_in_common_and_stay_the_same() -> None:
    features = np.random.default_rng(0).standard_normal((500, 4))
    features[:, 0] = np.arange(500)
    part = Modality(features, np.arange(500) % 3)
    split = Split(dict.fromkeys(("image", "text", "audio"), part), 3, "natural")
    method, again = Watched(), Watched()
    result = evaluate(method, split, ["map@all"])
    evaluate(again, split, ["map@all"])
    assert method.got == again.got
    orders = {"file": list(range(500)), **method.got}
    for one, other in combinations(orders.values(), 2):
        assert sorted(one) == sorted(other)
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.15
        assert np.mean(np.equal(one, other)) < 0.02
    for name, rows in result.embeddings.items():
        np.testing.assert_array_equal(rows, split[name].features * 1.1)


@pytest.mark.parametrize("n", [1, 2, 255, 257, 1000])
def test_the_order_is_a_permutation_that_depends_on_name_and_number(n: int) -> None:
    assert sorted(row_order("image", n).tolist()) == list(range(n))
    np.testing.assert_array_equal(row_order("image", n), row_order("image", n))
    assert n < 200 or row_order("image", n).tolist() != row_order("text", n).tolist()


class Learned(AsGiven):
    """A similarity whose value of a pair depends on this pair alone, in exact arithmetic."""

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        return np.asarray(np.abs(queries[:, None] - gallery[None]).sum(axis=2) * -1.0)


@pytest.mark.parametrize("mutual", [True, False])
@pytest.mark.parametrize("rows", [40, 300])
def test_similarities_of_pairs_give_the_same_numbers_in_any_order(rows: int, mutual: bool) -> None:
    rng = np.random.default_rng(rows)
    modalities = {
        name: Modality(rng.integers(0, 4, (rows, 3)).astype(float), rng.integers(0, 5, rows))
        for name in ("image", "text")
    }
    method: Any = type("Asked", (Learned,), {"mutual": mutual})()
    split, rules = Split(modalities, 5), [Protocol(), Protocol(20, "min")]
    result = evaluate(method, split, rules)
    order = rng.permutation(rows)
    shuffled = evaluate(method, Split({name: one.take(order) for name, one in split.items()}, 5), rules)
    for query, gallery in permutations(split):
        left, right = split[query], split[gallery]
        values = method.similarity(query, left.features, gallery, right.features)
        compared = compare_rows(method, query, left.features, gallery, right.features)
        np.testing.assert_array_equal(compared, values)
        for rule in rules:
            labels = left.labels, right.labels
            ap = average_precision_of_similarities(values, *labels, rule.k, rule.denominator)
            found = result[query, gallery].ap[rule.id]
            np.testing.assert_array_equal(found, ap)
            np.testing.assert_array_equal(shuffled[query, gallery].ap[rule.id], found[order])
