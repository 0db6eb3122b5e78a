"""Blocks of methods and datasets: complete, of one kind, and whatever is left out is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.analysis import tables_of
from bench.analysis.across_datasets import Block, BlockKey, blocks_of, dataset_tests_of
from bench.analysis.findings import limits_of_datasets, ranking_findings
from bench.analysis.results import Results
from bench.records import Record
from tests.analysis.test_ranking import random_scores
from tests.analysis.test_tables import LABELS, done

NAMES = "abcdefghijklmnop"


def blocks(records: list[Record], reference: str = "drcl") -> list[Block]:
    return blocks_of(tables_of(Results(records, LABELS), ["map@all"]), reference)


def grid(methods: list[str], datasets: list[str], **more: Any) -> list[Record]:
    return [
        done(0.1 * number + 0.01 * place, method=method, dataset=dataset, **more)
        for number, method in enumerate(methods)
        for place, dataset in enumerate(datasets)
    ]


def block(methods: int, datasets: int, kind: str = "real", seeds: int = 3, number: int = 0) -> Block:
    scores = random_scores(methods, datasets, number)
    names = tuple(NAMES[:methods])
    found = tuple(f"d{place}" for place in range(datasets))
    about = BlockKey(kind, "quick", "cpu", "", "map@all", "best")
    return Block(about, names, "a", found, scores, (seeds, seeds), ())


def test_a_block_holds_the_averages_of_methods_with_all_datasets() -> None:
    (found,) = blocks(grid(["drcl", "rono", "mcca"], ["x", "y"]))
    assert found.methods == ("DRCL", "MCCA", "RONO")
    assert found.datasets == ("x", "y")
    assert found.scores == pytest.approx(np.array([[0.0, 0.01], [0.2, 0.21], [0.1, 0.11]]))
    assert (found.reference, found.seeds, found.omitted) == ("DRCL", (1, 1), ())


def test_a_method_that_lacks_a_dataset_and_a_dataset_that_few_have_are_left_out_by_name() -> None:
    records = grid(["drcl", "mcca", "rono"], ["x", "y"])
    records += [done(0.5, dataset="x", method="mars"), done(0.5, dataset="rare")]
    (found,) = blocks(records)
    assert found.methods == ("DRCL", "MCCA", "RONO")
    assert found.datasets == ("x", "y")
    assert "MARS: no number on y" in found.omitted
    assert "rare: only 1 of 4 methods have a number on it" in found.omitted


def test_reference_points_and_ablations_take_no_part() -> None:
    records = [
        *grid(["drcl", "mcca", "sm"], ["x", "y"]),
        *grid(["drcl"], ["x", "y"], variant="without_fa"),
    ]
    (found,) = blocks(records)
    assert found.methods == ("DRCL", "MCCA")
    assert found.omitted == ("ablations and rows with other settings than usual: DRCL without_fa",)


def test_two_versions_of_a_dataset_count_once() -> None:
    records = [*grid(["drcl", "mcca"], ["x", "y"]), *grid(["drcl"], ["x"], fingerprint="0" * 16)]
    (found,) = blocks(records)
    assert found.datasets == ("x", "y")
    assert found.omitted == ("x: its version 00000000, since ffffffff counts already",)


def test_without_the_reference_nothing_is_compared_with_it() -> None:
    (found,) = blocks(grid(["mcca", "rono"], ["x", "y"]))
    standing = dataset_tests_of(found)
    assert found.reference == ""
    assert standing is not None
    assert standing.against == {}


@pytest.mark.parametrize(("methods", "datasets"), [(3, 1), (1, 3), (0, 0)])
def test_one_dataset_or_one_method_has_no_standing(methods: int, datasets: int) -> None:
    assert dataset_tests_of(block(methods, datasets)) is None


def test_a_standing_compares_the_reference_with_every_other_method() -> None:
    standing = dataset_tests_of(block(5, 7))
    assert standing is not None
    assert set(standing.against) == set("bcde")
    assert standing.average_ranks.sum() == pytest.approx(15)
    for one in standing.against.values():
        assert one.adjusted >= one.wilcoxon
        assert one.better + one.equivalent + one.worse == pytest.approx(1)
    assert standing.against["c"].nemenyi == standing.nemenyi[0, 2]


def said(one: Block) -> str:
    return " ".join(limits_of_datasets(one, dataset_tests_of(one)))


def test_the_words_name_what_few_datasets_cannot_show() -> None:
    assert "no test over datasets is possible" in said(block(4, 1))
    assert "nothing to compare" in said(block(1, 4))
    five = said(block(16, 5))
    assert "the smallest two-sided p of Wilcoxon's test is 0.0625" in five
    assert "cannot fall below 0.05" in five
    assert "critical difference of 10.3 in average rank, of 15 at most" in five
    eight = said(block(16, 8))
    assert "after Holm over 15 comparisons none can fall below 0.05 first" in eight
    assert "smallest two-sided" not in said(block(3, 8))
    assert "approximations that 5 datasets are few for" in five
    assert "approximations" not in said(block(3, 10))
    assert "one seed" in said(block(3, 8, seeds=1))
    assert "look-alikes" in said(block(3, 8, kind="look-alike"))


def test_the_omnibus_tests_are_put_in_words() -> None:
    standing = dataset_tests_of(block(5, 7))
    two = dataset_tests_of(block(2, 7))
    assert standing is not None
    assert two is not None
    assert ranking_findings(two) == []
    assert "Friedman: chi-squared" in ranking_findings(standing)[0]
