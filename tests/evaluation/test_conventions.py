"""Every convention of mean average precision on one set of embeddings: each equals the library's number."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from bench.contract import Array, Modality, Split
from bench.evaluation import (
    Protocol,
    average_precision_of_similarities,
    mean_average_precision,
    rank_embeddings,
)
from bench.evaluation.conventions import AVERAGE, WHOLE, Reading, conventions, near, readings
from bench.evaluation.retrieval import Embedded, Retrieval
from tests.evaluation.samples import Cubes, coarse

HALF = Fraction(1, 2)
# The second has no item of class 3: some queries of the first have no hits.
ITEMS: dict[str, tuple[Array, Array]] = {
    "image": coarse(0, 30, 4, 0.1),
    "text": coarse(1, 44, 3, 0.1),
    "audio": coarse(2, 25, 4, 0.1),
}


@pytest.fixture(scope="module")
def retrieval() -> Retrieval:
    rows, labels = ({name: item[part] for name, item in ITEMS.items()} for part in (0, 1))
    return Retrieval.of_embeddings(Embedded(rows, labels))


@pytest.fixture(scope="module")
def found(retrieval: Retrieval) -> list[Reading]:
    return readings(retrieval, cutoffs=[5], shares=[HALF], draws=3)


def test_every_rule_is_there_once_and_gives_the_same_readings_again(
    retrieval: Retrieval, found: list[Reading]
) -> None:
    rules = conventions([5, 50])
    assert len({rule.id for rule in rules}) == len(rules) == 4 * 2 * (1 + 2 * 4 + 2 * 3 + 2)
    with_ids = conventions([5, 50], by_id=True)
    assert len(with_ids) == len(rules) + 4 * 2 * (4 + 3)
    assert {rule.k for rule in with_ids if rule.id.startswith("recall")} == {1, 5, 10, 50}
    assert rules[0] == Protocol()
    assert readings(retrieval, cutoffs=[5], shares=[HALF], draws=3) == found


def test_the_documented_cut_off_and_parts_of_the_gallery_are_the_default(retrieval: Retrieval) -> None:
    every = readings(retrieval)
    cutoffs = {one.protocol.k for one in every if one.protocol.id.startswith("map@")}
    assert cutoffs == {None, 50}
    assert {one.share for one in every} == {1, HALF, Fraction(1, 4), Fraction(1, 8)}
    assert every == readings(retrieval, cutoffs=[50], draws=5)


def test_with_the_whole_gallery_each_equals_the_librarys_number(found: list[Reading]) -> None:
    rules = conventions([5])
    every = [one for one in found if one.share == WHOLE and one.direction != AVERAGE]
    assert len(every) == 6 * 3 * len(rules)  # these rows are no codes
    for pair in permutations(ITEMS, 2):
        (queries, wanted), (gallery, offered) = (ITEMS[name] for name in pair)
        for similarity in ("cosine", "dot", "euclidean"):
            here = [one for one in every if (one.direction, one.similarity) == (pair, similarity)]
            ranking = rank_embeddings(queries, gallery, wanted, offered, similarity=similarity)
            exact = ranking.evaluate(rules)[0]
            for one, rule in zip(here, rules, strict=True):
                expected = pytest.approx(rule.aggregate(exact[rule.id]), abs=1e-12)
                assert one.value == one.low == one.high == expected
                assert (one.queries, one.items) == (len(queries), len(gallery))
    whole = [one for one in every if one.similarity == "cosine"]
    values = {one.protocol.id: one.value or 0.0 for one in whole if one.direction == ("image", "text")}
    assert values["map@all/pessimistic"] < values["map@all"] < values["map@all/optimistic"]
    assert values["map@5/relevant"] < values["map@5/min"] < values["map@5/hits"] < values["map@5/hits/skip"]


def test_a_part_of_the_gallery_is_ranked_as_if_there_were_no_more(found: list[Reading]) -> None:
    (queries, wanted), (gallery, offered) = ITEMS["image"], ITEMS["text"]
    parts = [np.sort(np.random.default_rng(draw).permutation(44)[:22]) for draw in range(3)]
    for one in (one for one in found if one.direction == ("image", "text") and one.share == HALF):
        rule = one.protocol
        values = [
            mean_average_precision(
                queries, gallery[part], wanted, offered[part], rule.k, rule.denominator, empty=rule.empty
            )
            for part in parts
        ]
        assert (one.low, one.high) == pytest.approx((min(values), max(values)))
        assert one.value == pytest.approx(np.mean(values))
        assert (one.items, rule.ties) == (22, "expected")


def test_the_average_is_over_all_directions(found: list[Reading]) -> None:
    for mean in [one for one in found if one.direction == AVERAGE]:
        values = [
            one.value or 0.0
            for one in found
            if one.direction != AVERAGE
            and (one.protocol, one.similarity, one.share) == (mean.protocol, mean.similarity, mean.share)
        ]
        assert len(values) == 6
        assert mean.value == pytest.approx(np.mean(values))


def test_queries_without_hits_are_counted_and_where_all_are_there_is_no_number() -> None:
    labels = {"a": np.array([0, 0, 1]), "b": np.array([0, 2, 2]), "c": np.array([7, 7, 7])}
    found = readings(Retrieval.of_embeddings(Embedded(dict.fromkeys(labels, np.eye(3)), labels)), shares=[])
    by_name = {(one.direction, one.protocol.id): one for one in found if one.similarity == "cosine"}
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


def test_a_learned_similarity_ranks_parts_of_the_gallery_too() -> None:
    split = Split({name: Modality(*ITEMS[name]) for name in ("image", "text")}, 4)
    retrieval = Retrieval.of_method(Cubes(), split)
    for query, gallery in permutations(split):
        (rows, wanted), (others, offered) = ITEMS[query], ITEMS[gallery]
        part = np.arange(0, len(others), 2)
        ap, _ = retrieval.ranking(query, gallery, part).evaluate([Protocol()])
        expected = average_precision_of_similarities((rows @ others[part].T) ** 3, wanted, offered[part])
        np.testing.assert_allclose(ap["map@all"], expected, rtol=1e-12, atol=0)


def test_ranks_and_codes_name_their_measure_and_similarity() -> None:
    numbers = np.random.default_rng(0)
    codes = {name: np.sign(numbers.standard_normal((40, 12))) for name in ("image", "text")}
    codes["text"][:20] = codes["image"][:20]
    labels, ids = numbers.integers(0, 4, 40), np.arange(40)
    given = Embedded(codes, dict.fromkeys(codes, labels), dict.fromkeys(codes, ids))
    retrieval = Retrieval.of_embeddings(given, similarity="hamming")
    every = readings(retrieval, cutoffs=[], shares=[])
    assert {one.similarity for one in every} == {"hamming", "cosine", "dot", "euclidean"}
    assert every[0].similarity == "hamming"
    by_id = {one.protocol.id: one for one in every if one.direction == ("image", "text")}
    for name, digits in (("meanr", 1), ("recall@1", 4)):
        value = by_id[name].value
        assert value is not None
        assert name in {match.reading.protocol.id for match in near(every, round(value, digits))}
