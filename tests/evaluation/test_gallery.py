"""A separate gallery: test rows rank its rows, and nothing else changes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from bench.contract import Method, Modality, RefusedEmbeddings, Split, UsageError
from bench.evaluation import Protocol, evaluate, rank_embeddings, rank_similarities, standard_protocols
from bench.evaluation.conventions import readings
from bench.evaluation.retrieval import Embedded, Retrieval
from tests.evaluation.samples import AsGiven, Cubes

NAMES = ("image", "text", "audio")


class MutualCubes(Cubes):
    """The same similarity, which holds from either side."""

    mutual = True


def _split(seed: int, n: int, names: tuple[str, ...] = NAMES) -> Split:
    numbers = np.random.default_rng(seed)
    return Split(
        {
            name: Modality(
                numbers.integers(-2, 3, (n + i, 4)).astype(float),
                numbers.integers(0, 3, n + i),
                numbers.integers(0, 20, n + i),
            )
            for i, name in enumerate(names)
        },
        3,
    )


@pytest.mark.parametrize("method", [AsGiven(), Cubes(), MutualCubes()])
def test_queries_rank_the_rows_of_the_gallery(method: Method) -> None:
    test, gallery = _split(0, 20), _split(1, 50, ("audio", "text", "image", "unused"))
    rules = standard_protocols(test, gallery)
    assert all(rule.id == f"{rule.base}/gallery" for rule in rules)
    result = evaluate(method, test, rules, gallery=gallery)
    assert len(result.directions) == 6
    for direction in result.directions:
        left, right = test[direction.query], gallery[direction.gallery]
        labels = left.labels, right.labels
        ids: dict[str, Any] = {"query_ids": left.ids, "gallery_ids": right.ids}
        if isinstance(method, Cubes):
            exact = rank_similarities((left.features @ right.features.T) ** 3, *labels, **ids)
        else:
            exact = rank_embeddings(left.features, right.features, *labels, **ids)
        for rule, values in exact.evaluate(rules)[0].items():
            np.testing.assert_allclose(direction.ap[rule], values, rtol=1e-12)


def test_the_test_rows_as_gallery_give_the_same_bits() -> None:
    test = _split(0, 30)
    without, with_ = evaluate(AsGiven(), test), evaluate(AsGiven(), test, gallery=test)
    for here, there in zip(without.directions, with_.directions, strict=True):
        for rule, ap in here.ap.items():
            np.testing.assert_array_equal(there.ap[rule], ap)


def test_a_gallery_that_does_not_fit_is_refused() -> None:
    test = _split(0, 20)
    with pytest.raises(UsageError, match="gallery"):
        evaluate(AsGiven(), test, ["map@all/gallery"])
    with pytest.raises(UsageError, match="audio"):
        evaluate(AsGiven(), test, gallery=_split(1, 20, ("image", "text")))
    same = Split({name: Modality(np.ones((9, 4)), np.arange(9) % 3) for name in NAMES}, 3)
    with pytest.raises(RefusedEmbeddings, match="collapsed"):
        evaluate(AsGiven(), test, gallery=same)
    unlabelled = Split({name: Modality(m.features, m.labels - 1) for name, m in test.items()}, 3)
    with pytest.raises(UsageError, match=r"gallery.*label"):
        evaluate(AsGiven(), test, gallery=unlabelled)


def test_conventions_draw_parts_of_the_gallery_and_not_of_the_queries() -> None:
    test, gallery = _split(0, 20, ("image", "text")), _split(1, 50, ("image", "text"))
    parts = [
        Embedded({n: m.features for n, m in split.items()}, {n: m.labels for n, m in split.items()})
        for split in (test, gallery)
    ]
    retrieval = Retrieval.of_embeddings(*parts)
    values = readings(retrieval, cutoffs=[], shares=[Fraction(1, 2)])
    sizes = {(r.queries, r.items) for r in values if r.direction == ("image", "text")}
    assert sizes == {(20, 51), (20, 26)}
    whole = next(reading for reading in values if reading.direction == ("image", "text"))
    expected = evaluate(AsGiven(), test, gallery=gallery)["image", "text"].map()
    assert whole.protocol == Protocol()
    assert whole.value == pytest.approx(expected)
