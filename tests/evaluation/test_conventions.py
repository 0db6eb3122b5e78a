"""Every convention of mean average precision on one set of embeddings: each says what the library says."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from bench.contract import Array, Modality, Split
from bench.evaluation import Protocol, average_precision_of_similarities, mean_average_precision
from bench.evaluation.conventions import AVERAGE, WHOLE, Reading, conventions, near, readings
from bench.evaluation.retrieval import Retrieval
from tests.evaluation.samples import Cubes

HALF = Fraction(1, 2)


def _items(seed: int, n: int, classes: int = 4) -> tuple[Array, Array]:
    """Return rows of which many are tied and three are zero, and labels."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, 3, (n, 3)) + np.array([1.0, 0, 0])
    rows[[2, 5, 11]] = 0
    return rows, random.integers(0, classes, n)


@pytest.fixture(scope="module")
def items() -> dict[str, tuple[Array, Array]]:
    # The second has no item of class 3: some queries of the first have no hits.
    return {"image": _items(0, 30), "text": _items(1, 44, classes=3), "audio": _items(2, 25)}


@pytest.fixture(scope="module")
def retrieval(items: dict[str, tuple[Array, Array]]) -> Retrieval:
    return Retrieval.of_embeddings(
        {name: rows for name, (rows, _) in items.items()}, {name: own for name, (_, own) in items.items()}
    )


@pytest.fixture(scope="module")
def found(retrieval: Retrieval) -> list[Reading]:
    return readings(retrieval, cutoffs=[5], shares=[HALF], draws=3)


def test_every_rule_is_there_once() -> None:
    rules = conventions([5, 50])
    assert len({rule.id for rule in rules}) == len(rules) == 4 * 2 * (1 + 2 * 3)
    assert rules[0] == Protocol()


def test_with_the_whole_gallery_each_says_what_the_library_says(
    items: dict[str, tuple[Array, Array]], found: list[Reading]
) -> None:
    whole = [one for one in found if one.share == WHOLE and one.direction != AVERAGE]
    assert len(whole) == 6 * len(conventions([5]))
    for one in whole:
        (queries, wanted), (gallery, offered) = items[one.query], items[one.gallery]
        rule = one.protocol
        expected = mean_average_precision(
            queries, gallery, wanted, offered, rule.k, rule.denominator, rule.ties, empty=rule.empty
        )
        assert one.value == one.low == one.high == pytest.approx(expected, abs=1e-12)
        assert (one.queries, one.items) == (len(queries), len(gallery))


def test_conventions_differ_where_they_should(found: list[Reading]) -> None:
    def value(name: str) -> float:
        (one,) = (
            one
            for one in found
            if (one.direction, one.share, one.protocol.id) == (("image", "text"), WHOLE, name)
        )
        assert one.value is not None
        return one.value

    assert value("map@all/pessimistic") < value("map@all") < value("map@all/optimistic")
    assert value("map@5/relevant") < value("map@5/min") < value("map@5/hits") < value("map@5/hits/skip")


def test_a_part_of_the_gallery_is_ranked_as_if_there_were_no_more(
    items: dict[str, tuple[Array, Array]], found: list[Reading]
) -> None:
    (queries, wanted), (gallery, offered) = items["image"], items["text"]
    parts = [np.sort(np.random.default_rng(draw).permutation(44)[:22]) for draw in range(3)]
    own = [one for one in found if one.direction == ("image", "text") and one.share == HALF]
    assert {one.protocol.ties for one in own} == {"expected"}
    for one in own:
        rule = one.protocol
        values = [
            mean_average_precision(
                queries, gallery[part], wanted, offered[part], rule.k, rule.denominator, empty=rule.empty
            )
            for part in parts
        ]
        assert one.low == pytest.approx(min(values))
        assert one.high == pytest.approx(max(values))
        assert one.value == pytest.approx(np.mean(values))
        assert one.items == 22


def test_the_same_embeddings_give_the_same_readings(retrieval: Retrieval, found: list[Reading]) -> None:
    assert readings(retrieval, cutoffs=[5], shares=[HALF], draws=3) == found


def test_the_average_is_over_all_directions(found: list[Reading]) -> None:
    for mean in [one for one in found if one.direction == AVERAGE]:
        own = [
            one.value
            for one in found
            if one.direction != AVERAGE and (one.protocol, one.share) == (mean.protocol, mean.share)
        ]
        assert len(own) == 6
        assert mean.value == pytest.approx(np.mean([value for value in own if value is not None]))


def test_queries_without_hits_are_counted_and_where_all_are_there_is_no_number() -> None:
    rows = np.eye(3)
    labels = {"a": np.array([0, 0, 1]), "b": np.array([0, 2, 2]), "c": np.array([7, 7, 7])}
    found = readings(Retrieval.of_embeddings(dict.fromkeys(labels, rows), labels), shares=[])
    by_name = {(one.direction, one.protocol.id): one for one in found}
    assert by_name[("a", "b"), "map@all/skip"].skipped == 1
    assert by_name[("a", "b"), "map@all"].skipped == 0
    nothing = by_name[("a", "c"), "map@all/skip"]
    assert (nothing.value, nothing.low, nothing.high, nothing.skipped) == (None, None, None, 3)
    assert by_name[("a", "c"), "map@all"].value == 0
    assert by_name[AVERAGE, "map@all/skip"].value is None


def test_a_printed_number_names_its_conventions_nearest_first(found: list[Reading]) -> None:
    target = next(one for one in found if one.protocol.id == "map@5/min")
    assert target.value is not None
    matches = near(found, round(target.value, 4))
    assert any(match.reading == target for match in matches)
    gaps = [abs(match.difference) for match in matches]
    assert gaps == sorted(gaps)
    assert gaps[-1] <= 5e-4
    percent = near(found, round(100 * target.value, 2))
    assert [match.reading for match in percent] == [match.reading for match in matches]
    assert near(found, 0.0) == []


def test_a_learned_similarity_ranks_parts_of_the_gallery_too(items: dict[str, tuple[Array, Array]]) -> None:
    modalities = {name: Modality(*items[name]) for name in ("image", "text")}
    retrieval = Retrieval.of_method(Cubes(), Split(modalities, 4))
    for query, gallery in permutations(modalities):
        (rows, wanted), (others, offered) = items[query], items[gallery]
        part = np.arange(0, len(others), 2)
        ap, _ = retrieval.ranking(query, gallery, part).evaluate([Protocol()])
        similarities = (rows @ others[part].T) ** 3
        expected = average_precision_of_similarities(similarities, wanted, offered[part])
        np.testing.assert_allclose(ap["map@all"], expected, rtol=1e-12, atol=0)
