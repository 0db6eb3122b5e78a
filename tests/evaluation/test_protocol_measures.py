"""Every protocol's measure against its definition over all orders of tied items, and against other tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby, permutations, product
from math import isnan, log2
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import Array, Modality, Split, UsageError
from bench.evaluation import (
    Protocol,
    Ranking,
    average_precision,
    evaluate,
    rank_embeddings,
    rank_similarities,
    standard_protocols,
)
from bench.evaluation.inputs import label_sets
from bench.evaluation.measures import interpolated_precision_measure
from bench.evaluation.protocols import FURTHER_PROTOCOLS, MeasureName, further_protocols
from bench.evaluation.similarity import embedded_side
from bench.evaluation.ties import first_hits
from tests.evaluation.samples import AsGiven, Cubes

CLOSE: dict[str, Any] = {"atol": 1e-9, "rtol": 0.0}
TIES = ("expected", "optimistic", "pessimistic")
IDS = [
    *("map@all", "map@1/first", "map@2/first", "map@9/first", "map@2/min"),
    *("recall@1", "recall@3", "recall@9", "recall@2/class", "precision@1", "precision@3", "precision@9"),
    *("ndcg@all", "ndcg@2", "ndcg@9", "mrr", "mrr/class", "medr", "medr/class", "meanr"),
]


def _orders(keys: Sequence[int], items: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield the ranked items once for every order of tied ones."""
    ranked = sorted(zip(keys, items, strict=True), key=lambda pair: -pair[0])
    groups = [[item for _, item in group] for _, group in groupby(ranked, key=lambda pair: pair[0])]
    for parts in product(*(permutations(group) for group in groups)):
        yield [item for part in parts for item in part]


def _value(rule: Protocol, gains: Sequence[int]) -> float:
    """Return a measure of one ranking by its definition; ``gains`` are 0 for what is not relevant."""
    n, k, total = len(gains), rule.k or len(gains), sum(gain > 0 for gain in gains)
    ranks = [rank for rank, gain in enumerate(gains, start=1) if gain]
    if not ranks:
        return 0.0 if rule.bounded else n + 1.0
    if rule.measure == "map":
        precisions = [(hit / rank, rank) for hit, rank in enumerate(ranks, start=1)]
        if rule.denominator == "first":
            return sum(value for value, _ in precisions[:k]) / min(k, total)
        return sum(value for value, rank in precisions if rank <= k) / min(k, total)

    def dcg(ordered: Sequence[int]) -> float:
        return sum(gain / log2(rank + 1) for rank, gain in enumerate(ordered[:k], start=1))

    found = sum(rank <= k for rank in ranks)
    values: dict[MeasureName, float] = {
        "recall": float(found > 0) if rule.level == "instance" else found / total,
        "precision": found / k,
        "ndcg": dcg(gains) / dcg(sorted(gains, reverse=True)),
        "mrr": 1 / ranks[0],
    }
    return values.get(rule.measure, float(ranks[0]))


BOUNDED = ("map@all", "map@5/hits", "map@5/min", "map@9/first", "ndcg@all", "ndcg@100", "ndcg@5", "mrr/class")
SHARES = tuple(map(Protocol.parse, (*BOUNDED, "recall@5/class", "precision@5", "precision@10")))


@pytest.mark.parametrize("device", [None, "cpu"], ids=["NumPy", "torch"])
def test_no_rounding_error_takes_a_value_above_one(device: str | None) -> None:
    """A record is refused that holds such a value; a perfect ranking is a usual one."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        queries, items = rng.integers(0, 3, 20), rng.integers(0, 3, int(rng.integers(5, 110)))
        shared = np.equal.outer(queries, items) * 1.0
        tied = shared * rng.integers(0, 2) + rng.integers(0, 4, shared.shape) * 0.1
        for given_ in (shared, tied):
            sets = [label_sets(labels, len(labels), "labels") for labels in (queries, items)]
            ranking = rank_similarities(given_, queries, items) if device is None else None
            if ranking is None:
                rows = [np.eye(3)[labels] for labels in (queries, items)]
                sides = [embedded_side(*one, "float32", "rows") for one in zip(rows, sets, strict=True)]
                ranking = Ranking.of_sides(*sides, device=device)
            for name, values in ranking.evaluate(SHARES)[0].items():
                assert values.max() <= 1.0, name


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Array, ...]:
    """Similarities of 3 queries with up to 6 items, many of them tied; labels of either kind; ids."""
    n = draw(st.integers(1, 5))
    numbers = np.random.default_rng(draw(st.integers(0, 10**6)))
    shape = (3,) if draw(st.booleans()) else (3, 4)
    labels = (numbers.integers(0, 2, (size, *shape[1:])) for size in (3, n))
    ids = numbers.integers(0, 3, 3), numbers.integers(0, 3, n)
    return numbers.integers(0, draw(st.integers(1, 4)), (3, n)), *labels, *ids


@settings(deadline=None, max_examples=25)
@given(_cases())
def test_every_measure_is_its_definition_over_all_orders_of_tied_items(case: tuple[Array, ...]) -> None:
    similarities, wanted, offered, query_ids, item_ids = case
    rules = [Protocol.parse(f"{name}/{ties}") for name in IDS for ties in TIES]
    skipping = [Protocol.parse(f"{name}/skip") for name in IDS]
    ranking = rank_similarities(
        similarities, wanted, offered, query_ids=query_ids, gallery_ids=item_ids, threads=1
    )
    values, _ = ranking.evaluate([*rules, *skipping])
    for i, keys in enumerate(similarities.tolist()):
        shared = wanted[i] == offered if wanted.ndim == 1 else (wanted[i] & offered).sum(axis=1)
        gains = {"class": shared.astype(int).tolist(), "instance": (item_ids == query_ids[i]).astype(int)}
        for rule in rules:
            every = [_value(rule, order) for order in _orders(keys, list(gains[rule.level]))]
            best, worst = (max(every), min(every)) if rule.bounded else (min(every), max(every))
            exact = {"expected": float(np.mean(every)), "optimistic": best, "pessimistic": worst}[rule.ties]
            np.testing.assert_allclose(values[rule.id][i], exact, atol=1e-12, rtol=0, err_msg=rule.id)
        for rule in skipping:
            value = values[rule.id][i]
            assert isnan(value) if sum(gains[rule.level]) == 0 else value == values[rule.base[:-5]][i]


@pytest.mark.parametrize(("size", "relevant", "count"), [(7, 3, 2), (9, 9, 4), (400, 30, 30), (5000, 4, 3)])
def test_the_ranks_of_the_first_hits_of_a_tie_follow_the_negative_hypergeometric_law(
    size: int, relevant: int, count: int
) -> None:
    chances, hits = first_hits(size, relevant, count)
    ranks = np.arange(1, size + 1)
    np.testing.assert_allclose(chances.sum(), count, rtol=1e-13)
    np.testing.assert_allclose(hits.sum(), count * (count + 1) / 2, rtol=1e-13)
    expected = sum(i * (size + 1) / (relevant + 1) for i in range(1, count + 1))
    np.testing.assert_allclose((chances * ranks).sum(), expected, rtol=1e-12)


def test_standard_stands_for_the_further_protocols_and_other_words_for_themselves() -> None:
    assert further_protocols(["recall@5"]) == ("recall@5",)
    assert further_protocols(["standard"]) == further_protocols(FURTHER_PROTOCOLS)
    assert set(further_protocols(["standard", "medr"])) == {*FURTHER_PROTOCOLS, "medr"}


def test_a_cut_off_of_first_relevant_items_beyond_their_number_changes_nothing() -> None:
    numbers = np.random.default_rng(0)
    rows, labels = numbers.integers(0, 3, (60, 4)) + np.eye(4)[0], numbers.integers(0, 3, 60)
    whole = average_precision(rows, rows, labels, labels)
    np.testing.assert_allclose(average_precision(rows, rows, labels, labels, 60, "first"), whole, rtol=1e-13)


def test_an_id_names_measure_level_and_gallery() -> None:
    same = ["map@50/first/optimistic/gallery", "medr/skip", "ndcg@all"]
    spelt = {"RECALL@10/class/skip": "recall@10/class/skip", "map@all/first/gallery": "map@all/gallery"}
    for text, id_ in (spelt | dict(zip(same, same, strict=True))).items():
        rule = Protocol.parse(text)
        assert Protocol.parse(rule.id) == rule
        assert (rule.id, rule.base) == (id_, id_.removesuffix("/gallery"))
        assert (rule.gallery, rule.bounded) == (id_.endswith("/gallery"), not text.startswith("medr"))
    for text in ("recall", "recall@all", "precision@all", "mrr@5", "medr@all", "ndcg@5/min", "ndcg@5/class"):
        with pytest.raises(UsageError, match=text.partition("@")[0]):
            Protocol.parse(text)


def test_the_median_rank_is_the_median_over_queries_and_the_others_are_means() -> None:
    rows, similarities = np.eye(4), np.array([[4, 3, 2, 1]] * 3)
    ranking = rank_similarities(similarities, [0] * 3, [0] * 4, query_ids=[0, 1, 3], gallery_ids=np.arange(4))
    rules = [Protocol.parse(name) for name in ("medr", "meanr")]
    values, _ = ranking.evaluate(rules)
    assert [rule.aggregate(values[rule.id]) for rule in rules] == pytest.approx([2.0, 7 / 3])
    split = Split({"a": Modality(rows, np.arange(4)), "b": Modality(rows[::-1], np.arange(4))}, 4, "natural")
    result = evaluate(AsGiven(), split, ["medr", "recall@1", "map@all"])
    assert result["a", "b"].map("medr") == 3.0
    assert result.mean("recall@1") == 0.0


def test_standard_protocols_hold_the_instance_level_where_all_modalities_share_ids() -> None:
    rows, labels = np.eye(3), np.arange(3)
    paired = Split({name: Modality(rows, labels) for name in "abc"}, 3, "natural")
    apart = Split({**paired.modalities, "c": Modality(rows, labels, labels + 9)}, 3)
    always = ["map@all", "map@50/hits", "map@50/min", "map@50/relevant", "precision@10", "ndcg@100"]
    by_ids = ["recall@1", "recall@5", "recall@10", "mrr", "medr"]
    assert [rule.id for rule in standard_protocols(paired)] == [*always, *by_ids]
    assert [rule.id for rule in standard_protocols(apart)] == always
    assert [rule.id for rule in standard_protocols(apart, paired)][:1] == ["map@all/gallery"]
    with pytest.raises(UsageError, match="recall@1 needs ids"):
        evaluate(AsGiven(), Split({name: Modality(rows, labels) for name in "ab"}, 3), ["recall@1"])


def test_other_measures_beside_them_move_no_map_nor_does_a_learned_similarity_lose_ids() -> None:
    numbers = np.random.default_rng(1)
    rows = [numbers.integers(-3, 4, (600, 5)).astype(float) for _ in range(2)]
    rows[1][300:] = rows[1][:300]
    labels, ids = numbers.integers(0, 5, 600), numbers.permutation(600) // 2
    split = Split({n: Modality(r, labels, ids) for n, r in zip("ab", rows, strict=True)}, 5)
    rules = standard_protocols(split)
    assert "mrr" in [rule.id for rule in rules]
    for method in (AsGiven(), Cubes()):
        few, many = evaluate(method, split, rules[:1]), evaluate(method, split, rules)
        for direction in few.directions:
            pair = direction.query, direction.gallery
            np.testing.assert_array_equal(direction.ap["map@all"], many[pair].ap["map@all"])
    similarities = (rows[0] @ rows[1].T) ** 3
    ours = many["a", "b"].ap["mrr"]
    exact = rank_similarities(similarities, labels, labels, query_ids=ids, gallery_ids=ids)
    np.testing.assert_allclose(ours, exact.evaluate([Protocol.parse("mrr")])[0]["mrr"], atol=1e-12, rtol=0)


@pytest.fixture(scope="module")
def graded() -> tuple[Any, dict[str, dict[str, int]], dict[str, dict[str, float]], Array]:
    """Random embeddings without ties and several labels, and their judgements and scores as dictionaries."""
    numbers = np.random.default_rng(0)
    queries, items = numbers.standard_normal((12, 6)), numbers.standard_normal((90, 6))
    wanted, offered = numbers.integers(0, 2, (12, 5)), numbers.integers(0, 2, (90, 5))
    wanted[:, 0] = offered[::2, 0] = 1  # every query has hits
    cosines = (queries @ items.T) / np.linalg.norm(items, axis=1)
    shared = wanted @ offered.T
    judgements = {f"q{i}": {f"d{j}": int(gain) for j, gain in enumerate(row)} for i, row in enumerate(shared)}
    run = {f"q{i}": {f"d{j}": float(value) for j, value in enumerate(row)} for i, row in enumerate(cosines)}
    ranking = rank_embeddings(queries, items, wanted, offered, dtype="float64")
    return ranking, judgements, run, shared


def test_trec_eval_agrees(graded: Any) -> None:
    import pytrec_eval

    ranking, judgements, run, shared = graded
    names = {"ndcg@all": "ndcg", "map@all": "map", "mrr/class": "recip_rank", "recall@10/class": "recall_10"}
    for k in (5, 10, 100):
        names |= {
            f"ndcg@{k}": f"ndcg_cut_{k}",
            f"map@{k}/relevant": f"map_cut_{k}",
            f"precision@{k}": f"P_{k}",
        }
    families = {"map", "map_cut", "ndcg", "ndcg_cut", "recall", "P", "recip_rank", "iprec_at_recall"}
    theirs = pytrec_eval.RelevanceEvaluator(judgements, families).evaluate(run)
    ours, _ = ranking.evaluate([Protocol.parse(name) for name in names])
    for name, other in names.items():
        np.testing.assert_allclose(ours[name], [theirs[f"q{i}"][other] for i in range(12)], **CLOSE)
    for i, total in enumerate((shared > 0).sum(axis=1).tolist()):
        curve = [theirs[f"q{i}"][f"iprec_at_recall_{tenth / 10:.2f}"] for tenth in range(11)]
        # trec_eval looks from trunc(level R + .9) hits on, where the definition has ceil(level R).
        levels = [int(tenth / 10 * total + 0.9) / total for tenth in range(11)]
        interpolated = ranking.measure([interpolated_precision_measure(levels)])[0]
        np.testing.assert_allclose(interpolated[i], curve, **CLOSE)


@pytest.mark.slow
def test_ranx_agrees(graded: Any) -> None:
    """In another process, where numba does not compile, which would take a minute."""
    ranking, judgements, run, _ = graded
    names = {"ndcg@10": "ndcg@10", "recall@7/class": "recall@7", "mrr/class": "mrr", "ndcg@all": "ndcg"}
    names |= {"map@all": "map", "map@10/relevant": "map@10", "precision@10": "precision@10"}
    script = f"""
import json, sys, ranx
judgements, run = json.load(sys.stdin)
qrels = ranx.Qrels({{q: {{d: r for d, r in docs.items() if r}} for q, docs in judgements.items()}})
results = ranx.evaluate(qrels, ranx.Run(run), {[*names.values()]}, return_mean=False, make_comparable=True)
json.dump({{name: list(map(float, values)) for name, values in results.items()}}, sys.stdout)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps([judgements, run]),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    order = [int(name[1:]) for name in sorted(run)]  # ranx sorts query ids as text
    ours, _ = ranking.evaluate([Protocol.parse(name) for name in names])
    for name, other in names.items():
        np.testing.assert_allclose(ours[name][order], json.loads(done.stdout)[other], **CLOSE)


@pytest.mark.parametrize("k", [1, 2, 7, 30])
@pytest.mark.parametrize("levels", [3, 40, 0], ids=["many ties", "some ties", "no ties"])
def test_measures_with_a_cut_off_are_the_same_bytes_whether_the_whole_gallery_is_ranked(
    k: int, levels: int
) -> None:
    rng = np.random.default_rng(k)
    values = rng.standard_normal((40, 90)).astype(np.float32)
    similarities = np.round(values * levels) / levels if levels else values
    wanted, offered = ((rng.random((n, 4)) < 0.35).astype(int) for n in (40, 90))
    kinds = product(("hits", "min", "relevant", "hits/skip"), ("", "/pessimistic"))
    ids = [f"map@{k}/{rule}{ties}" for rule, ties in kinds]
    ids += [f"precision@{k}", f"recall@{k}/class", f"ndcg@{k}"]
    rules = [Protocol.parse(rule) for rule in ids]
    ranking = rank_similarities(similarities, wanted, offered)
    cut, whole = ranking.evaluate(rules)[0], ranking.evaluate([*rules, Protocol()])[0]
    for rule in ids:
        np.testing.assert_array_equal(cut[rule], whole[rule], err_msg=rule)
    first = Protocol.parse(f"map@{k}/first")  # counts relevant items wherever they rank
    alone, beside = ranking.evaluate([first])[0], ranking.evaluate([first, Protocol()])[0]
    np.testing.assert_array_equal(alone[first.id], beside[first.id])
