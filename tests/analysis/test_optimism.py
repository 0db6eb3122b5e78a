"""Selection optimism: oracle minus best by seed, and none without a test-oracle trace."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import pytest

from bench.analysis.optimism import Optimism, optimism_of
from bench.analysis.results import Results
from bench.records import Record
from bench.report import ReportData
from bench.report.exhibit import Part
from bench.report.topics import optimism as topic
from tests.analysis.making import metric, with_result
from tests.analysis.test_tables import LABELS
from tests.records import making
from tests.report.making import csv_of, page_of

BEST, ORACLE = {0: 0.5, 1: 0.6, 2: 0.4}, {0: 0.52, 1: 0.6, 2: 0.46}


def traced(seed: int = 0, protocol: str = "map@all", **changes: Any) -> Record:
    """Return a record of all three rules; the two directions differ from their mean by .1."""
    levels = {"best": BEST[seed], "last": BEST[seed] - 0.05, "oracle": ORACLE[seed]}
    if "only" in changes:
        levels = {rule: levels[rule] for rule in changes.pop("only")}
    pair = changes.get("modalities", ("image", "text"))
    metrics = [
        metric(direction, value, protocol, selection=rule)
        for rule, level in levels.items()
        for direction, value in ((pair, level - 0.1), (pair[::-1], level + 0.1))
    ]
    return with_result(making.record(seed=seed, **changes), metrics=metrics)


def optimism(*records: Record, protocols: Sequence[str] = ("map@all",)) -> list[Optimism]:
    return optimism_of(Results(records, LABELS), protocols)


def parts(*records: Record, protocols: Sequence[str] = ("map@all",)) -> list[Part]:
    return topic.parts(ReportData(list(records), labels=LABELS, protocols=protocols))


def test_it_is_the_mean_and_deviation_over_seeds_of_oracle_minus_best() -> None:
    (found,) = optimism(*(traced(seed) for seed in (2, 0, 1)))
    gains = [0.02, 0.0, 0.06]
    assert found.gain == pytest.approx((statistics.fmean(gains), statistics.stdev(gains), 3))
    assert found.range == pytest.approx((0.0, 0.06))
    assert found.last is not None
    assert (found.best.mean, found.last.mean) == pytest.approx((0.5, 0.45))
    assert found.oracle.mean == pytest.approx(statistics.fmean(ORACLE.values()))
    assert (found.seeds, len(found.records)) == ((0, 1, 2), 3)


def test_only_seeds_with_a_test_oracle_count_for_any_of_the_rules() -> None:
    (found,) = optimism(traced(0), traced(1), traced(2, only=("best", "last")))
    assert found.seeds == (0, 1)
    assert found.best.mean == pytest.approx(0.55)
    assert found.gain.mean == pytest.approx(0.01)


def test_one_seed_has_no_deviation() -> None:
    (found,) = optimism(traced(0))
    assert (found.gain.deviation, found.best.deviation) == (None, None)
    assert "no deviation" in page_of(parts(traced(0)))


def test_cells_without_an_oracle_in_every_direction_have_none() -> None:
    failed = making.record(status="failed", seed=2)
    assert optimism(traced(only=("best", "last")), making.record(seed=1), failed) == []
    assert optimism(traced(0), traced(0, modalities=("image", "audio"))) == []
    assert "--trace-test" in page_of(parts())


def test_protocols_are_not_mixed() -> None:
    protocols = ["map@all", "map@50/hits"]
    found = optimism(traced(0), traced(1, protocol="map@50/hits"), protocols=protocols)
    assert [(one.protocol, one.seeds) for one in found] == [("map@all", (0,)), ("map@50/hits", (1,))]


def test_ranks_are_said_to_be_better_where_they_are_lower() -> None:
    ranked = [traced(seed, protocol="medr") for seed in range(2)]
    assert "oracle is worse" in page_of(parts(*ranked, protocols=["medr"]))
    assert "oracle is worse" not in page_of(parts(traced(0), traced(1)))


def test_the_page_has_a_table_per_data_and_protocol_and_csv_the_numbers_in_full() -> None:
    records = [traced(seed, data_kind=kind) for seed in range(3) for kind in ("real", "look-alike")]
    found = optimism(*records)
    page = page_of(parts(*records))
    assert page.count("\n## ") == 2
    assert page.count("LOOK-ALIKE") == 1
    assert "| 0.500 ± 0.100 | 0.450 ± 0.100 | 0.527 ± 0.070 | +0.027 ± 0.031  | 0.000   | +0.060 | 3" in page
    rows = csv_of(parts(*records))
    assert [row["data_kind"] for row in rows] == ["real", "look-alike"]
    assert float(rows[0]["gain"]) == found[0].gain.mean
    assert rows[0]["seeds"] == "0 1 2"
    assert set(rows[0]["records"].split()) == set(found[0].records)
