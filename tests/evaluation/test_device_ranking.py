"""The torch kernel equals the NumPy kernel, here on the CPU: ties, protocols, refusals."""

from __future__ import annotations

from itertools import permutations
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import Modality, RefusedEmbeddings, Similarity, Split
from bench.evaluation import (
    STANDARD_PROTOCOLS,
    Precision,
    Protocol,
    Ranking,
    average_precision,
    check_embeddings,
    device_side,
    rank_embeddings,
    validation_map,
)
from bench.evaluation.device_ranking import device_maps, evaluate_on_device
from bench.evaluation.device_side import DeviceSide, check_on_device, scale_of
from bench.evaluation.inputs import Matrix, cuda_device_of, label_sets
from bench.evaluation.measures import interpolated_precision_measure, measure_of, precision_at_measure
from bench.evaluation.scale import Scale
from bench.evaluation.similarity import Side, embedded_side
from bench.evaluation.ties import Ranks
from tests.evaluation.samples import AsGiven, side

EXPECTED = [
    *("map@all", "map@3/hits", "map@3/min", "map@5/relevant", "map@2/first", "map@all/skip", "ndcg@4", "mrr"),
    *("map@4/hits/skip", "precision@3", "precision@1/skip", "recall@2/class", "recall@100/class", "ndcg@all"),
    *("mrr/class", "medr/class", "meanr/class/skip", "recall@1", "recall@5", "medr", "meanr"),
]
ALWAYS = {"map@all", "map@3/hits", "map@3/min", "precision@3", "recall@2/class", "medr", "medr/class"}
OTHERS = ["map@3/hits/optimistic", "map@all/pessimistic", "mrr/pessimistic"]
PROTOCOLS = [*map(Protocol.parse, [*EXPECTED, *OTHERS])]


def rows_of(rng: np.random.Generator, n: int, spread: int, similarity: Similarity) -> Any:
    """Return whole-numbered rows, whose products are exact; some are repeated, some are zero."""
    if similarity == "hamming":
        return rng.integers(0, 2, (n, 5)).astype(np.float64)
    rows = rng.integers(-spread, spread + 1, (n, 3)).astype(np.float64)
    rows[rng.random(n) < 0.1] = 0
    return rows


@settings(max_examples=75, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.tuples(st.integers(2, 12), st.integers(2, 40)),
    spread=st.sampled_from([1, 2, 50]),
    multi=st.booleans(),
    similarity=st.sampled_from(["cosine", "dot", "euclidean", "hamming"]),
    from_rows=st.booleans(),
)
def test_every_protocol_equals_the_numpy_kernels(
    seed: int, sizes: tuple[int, int], spread: int, multi: bool, similarity: Similarity, from_rows: bool
) -> None:
    rng = np.random.default_rng(seed)
    rows = [rows_of(rng, n, spread, similarity) for n in sizes]
    labels = [rng.integers(0, 2, (n, 3)) if multi else rng.integers(0, 4, n) for n in sizes]
    ids = [rng.integers(0, 15, n) for n in sizes]
    sets = [label_sets(given, len(given), "labels") for given in labels]
    scale = Scale.of(similarity, rows)
    sides = [
        embedded_side(part, known, "float32", "rows", ids=which, scale=scale)
        for part, known, which in zip(rows, sets, ids, strict=True)
    ]
    usual = Ranking.of_sides(*sides).evaluate(PROTOCOLS)[0]
    if from_rows:
        tensors = [torch.as_tensor(part) for part in rows]
        there = scale_of(similarity, tensors)
        assert there.exponent == scale.exponent
        queries, gallery = (DeviceSide.of_rows(*one, there) for one in zip(tensors, sets, strict=True))
        assert sorted(gallery.squares.tolist()) == sorted(sides[1].squares.tolist())
        found = evaluate_on_device(queries, gallery, [rule for rule in PROTOCOLS if rule.level == "class"])
    else:
        ranking = Ranking.of_sides(*sides, device="cpu")
        assert ranking.on_device is not None
        found = ranking.on_device(PROTOCOLS)
        assert found.keys() >= ALWAYS
        found |= ranking.on_device([rule for rule in PROTOCOLS if rule.level == "instance"])
        everything = ranking.evaluate(PROTOCOLS)[0]
        assert list(everything) == [rule.id for rule in PROTOCOLS]
        for rule in PROTOCOLS:
            np.testing.assert_allclose(everything[rule.id], usual[rule.id], atol=1e-12, rtol=1e-12)
    assert not {*OTHERS} & found.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, usual[name], atol=1e-12, rtol=1e-12, err_msg=name)


def sides_on(rows: list[Any], labels: list[Any], device: str = "cpu") -> tuple[DeviceSide, DeviceSide]:
    """Return float32 rows with labels as the two sides of a comparison by the cosine."""
    tensors = [torch.as_tensor(part, device=device) for part in rows]
    sets = [label_sets(known, len(known), "labels") for known in labels]
    first, second = (DeviceSide.of_rows(*one, Scale()) for one in zip(tensors, sets, strict=True))
    return first, second


def floats() -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 5, n) + (1 << 24) for n in (60, 700)]  # float32 cannot tell them apart
    centres = rng.standard_normal((5, 64))
    rows = [(rng.standard_normal((len(part), 64)) + centres[part % 8]).astype(np.float32) for part in labels]
    return rows, labels


DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])


@DEVICES
def test_floats_without_ties_agree_within_a_millionth_and_need_no_host_values(device: str) -> None:
    rows, labels = floats()
    rules = [rule for rule in PROTOCOLS if rule.level == "class" and rule.id in EXPECTED]
    found = evaluate_on_device(*sides_on(rows, labels, device), rules)
    assert set(found) == {rule.id for rule in rules}
    ranking = rank_embeddings(*rows, *labels)
    for name, values in ranking.evaluate(rules)[0].items():
        assert np.nanmean(found[name]) == pytest.approx(np.nanmean(values), abs=1e-6)


@DEVICES
def test_small_distances_far_from_the_origin_are_distinguished(device: str) -> None:
    rng = np.random.default_rng(0)
    rows = [
        (rng.standard_normal((n, 40)) * 1e-3 + np.linspace(0.1, 300, 40)).astype(np.float32)
        for n in (20, 300)
    ]
    labels = [rng.integers(0, 4, len(part)) for part in rows]
    tensors = [torch.as_tensor(part, device=device) for part in rows]
    scale, sets = (
        scale_of("euclidean", tensors),
        [label_sets(known, len(known), "labels") for known in labels],
    )
    queries, gallery = (DeviceSide.of_rows(*one, scale) for one in zip(tensors, sets, strict=True))
    found = evaluate_on_device(queries, gallery, [Protocol()])["map@all"]
    exact = average_precision(rows[0], rows[1], labels[0], labels[1], similarity="euclidean")
    np.testing.assert_allclose(found, exact, atol=1e-6, rtol=0)


@pytest.mark.parametrize("offered", [[0, 0, 0, 1], [0, 1, 1, 1]])
def test_ties_that_leave_a_value_linear_need_no_host_values(offered: list[int]) -> None:
    rows = np.repeat(np.eye(2, dtype=np.float32), 2, axis=0)
    rules = [Protocol.parse("map@2/first"), Protocol.parse("mrr/class")]
    found = evaluate_on_device(*sides_on([rows[:1], rows], [np.zeros(1, int), np.array(offered)]), rules)
    assert set(found) == {rule.id for rule in rules}


@DEVICES
def test_equal_rows_are_tied_in_any_order(device: str) -> None:
    (queries, gallery), labels = floats()
    gallery = np.concatenate([gallery, gallery[:300]])
    queries = np.concatenate([queries, queries])
    wanted, offered = np.tile(labels[0], 2), np.concatenate([labels[1], labels[1][:300][::-1]])
    shuffle, mix = (np.random.default_rng(1).permutation(n) for n in (len(queries), len(gallery)))
    rules = [Protocol.parse("map@all")]
    usual = evaluate_on_device(*sides_on([queries, gallery], [wanted, offered], device), rules)["map@all"]
    moved = [queries[shuffle], gallery[mix]], [wanted[shuffle], offered[mix]]
    np.testing.assert_array_equal(
        usual[shuffle], evaluate_on_device(*sides_on(*moved, device), rules)["map@all"]
    )
    np.testing.assert_array_equal(usual[:60], usual[60:])


def test_rows_whose_hashes_are_equal_stay_distinct(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(set(device_side._hashes(torch.eye(64)).tolist())) == 64  # one entry makes a difference
    rows, labels = floats()
    assert sides_on(rows, labels)[1].member is None
    rows[1][5:9] = rows[1][0]
    rules = [Protocol.parse("map@all")]
    usual = evaluate_on_device(*sides_on(rows, labels), rules)["map@all"]
    monkeypatch.setattr(device_side, "_hashes", lambda part: torch.zeros(len(part), dtype=torch.int64))
    side = sides_on(rows, labels)
    assert len(side[1].rows) == 696
    np.testing.assert_allclose(evaluate_on_device(*side, rules)["map@all"], usual, atol=1e-6)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize(
    "rows",
    [
        *(np.ones((4, 2)), np.ones((1, 2)), np.zeros((3, 2)), np.empty((3, 0))),
        *(np.array([[1.0, 2], [0, 0], last]) for last in ([1, 2], [0, 0])),
        np.array([[0.0, 0], [1, 2], [1, 2]]),
        *(np.array([[1.0, 2], [value, 0], [2, 1]]) for value in (np.nan, np.inf)),
        np.array([[1.0, 2], [2, 1], [0, 0]]),
    ],
)
def test_what_cannot_be_ranked_is_refused_as_on_the_host_and_nothing_else_goes_there(
    rows: Any, similarity: Similarity, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes, there = [], Mock(side_effect=check_embeddings)
    monkeypatch.setattr(device_side, "check_embeddings", there)
    for check in (
        lambda: check_on_device("text", torch.as_tensor(rows), similarity),
        lambda: check_embeddings("text", rows, len(rows), similarity),
    ):
        try:
            check()
            outcomes.append("")
        except RefusedEmbeddings as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]
    assert there.called == bool(outcomes[0])


def groups_of_ties(ranks: Ranks) -> Matrix:
    """Return how many groups each query has."""
    return np.bincount(ranks.ties.row, minlength=len(ranks.above))[:, None].astype(np.float64)


MEASURES = [
    *map(measure_of, STANDARD_PROTOCOLS),
    precision_at_measure([1, 7, 200]),
    interpolated_precision_measure([0.0, 0.35, 1.0]),
    groups_of_ties,
]


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("spread", [2, 1000])  # many ties, none
def test_torch_ranks_as_numpy_does(spread: int, precision: Precision, multi: bool) -> None:
    rng = np.random.default_rng(0)
    sides = []
    for n in (70, 333):
        rows = rng.integers(-spread, spread, (n, 6)) + 0.5
        rows[rng.random(n) < 0.1] = 0
        sides.append(side(rows, rng.integers(0, 2, (n, 4)) if multi else rng.integers(0, 4, n), precision))
    by_numpy, by_torch = (Ranking.of_sides(*sides, device=one).measure(MEASURES) for one in (None, "cpu"))
    for ours, theirs in zip(by_numpy, by_torch, strict=True):
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours, theirs, atol=1e-12, rtol=0)


def test_validation_on_a_gpu_is_ranked_there(monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[str] = []
    of_side = DeviceSide.of_side

    def on_cpu(side: Side, device: str) -> DeviceSide:
        devices.append(device)
        return of_side(side, "cpu")

    monkeypatch.setattr(DeviceSide, "of_side", on_cpu)
    rng = np.random.default_rng(0)
    parts = {name: Modality(rng.standard_normal((50, 4)), np.arange(50) % 3) for name in ("image", "text")}
    here = validation_map(AsGiven(), Split(parts, 3))
    assert devices == []
    assert validation_map(AsGiven(), Split(parts, 3), device="cuda:0") == pytest.approx(here, abs=1e-12)
    assert devices == ["cuda:0"] * 4  # two sides of two directions
    assert cuda_device_of(np.eye(2), torch.eye(2)) is cuda_device_of([[1.0]]) is None


@pytest.mark.parametrize(("similarity", "least"), [("cosine", None), ("hamming", -1), ("hamming", 0)])
def test_maps_of_embeddings_on_a_device_are_those_of_the_host_and_need_one_width(
    similarity: Similarity, least: int | None
) -> None:
    rng, names = np.random.default_rng(0), ("image", "text", "audio")
    rows = {name: rng.standard_normal((40, 4)) for name in names}
    if least is not None:
        rows = {name: np.where(values > 0, 1.0, least) for name, values in rows.items()}
    classes = {name: rng.integers(0, 3, 40) for name in names}
    labels = {name: label_sets(classes[name], 40, name) for name in names}
    there = {name: torch.tensor(values, dtype=torch.float32) for name, values in rows.items()}
    maps = device_maps(there, labels, similarity)
    for a, b in permutations(names, 2):
        host = average_precision(rows[a], rows[b], classes[a], classes[b], similarity=similarity)
        assert maps[f"{a}>{b}"] == pytest.approx(host.mean(), abs=1e-6)
    with pytest.raises(RefusedEmbeddings, match=r"'text': 3"):
        device_maps({**there, "text": there["text"][:, :3]}, labels, similarity)


@pytest.mark.cuda
def test_tensors_on_a_cuda_device_are_ranked_there() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = rng.standard_normal((300, 32)), rng.standard_normal((2000, 32))
    labels = rng.integers(0, 4, 300), rng.integers(0, 4, 2000)
    there = torch.tensor(queries, device="cuda"), torch.tensor(gallery, device="cuda")
    assert cuda_device_of(*there) == "cuda:0"
    here = average_precision(queries, gallery, *labels, dtype="float64")
    np.testing.assert_allclose(average_precision(*there, *labels, dtype="float64"), here, atol=1e-12)
