"""Selection optimism: oracle minus best, seed by seed, of like with like, and nothing where nobody looked."""

from __future__ import annotations

import statistics
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
    one, other = changes.get("modalities", ("image", "text"))
    metrics = [
        metric(direction, value, protocol, selection=rule)
        for rule, level in levels.items()
        for direction, value in (((one, other), level - 0.1), ((other, one), level + 0.1))
    ]
    return with_result(making.record(seed=seed, **changes), metrics=metrics)


def optimism(records: list[Record], *protocols: str) -> list[Optimism]:
    return optimism_of(Results(records, LABELS), protocols or ["map@all"])


def parts(records: list[Record]) -> list[Part]:
    return topic.parts(ReportData(records, labels=LABELS, protocols=["map@all"]))


def only(records: list[Record]) -> Optimism:
    (found,) = optimism(records)
    return found


def test_it_is_the_mean_and_deviation_over_seeds_of_oracle_minus_best() -> None:
    found = only([traced(seed) for seed in (2, 0, 1)])
    gains = [0.02, 0.0, 0.06]
    assert found.gain.mean == pytest.approx(statistics.fmean(gains))
    assert found.gain.deviation == pytest.approx(statistics.stdev(gains))
    assert found.range == pytest.approx((0.0, 0.06))
    assert found.best.mean == pytest.approx(0.5)
    assert found.last is not None
    assert found.last.mean == pytest.approx(0.45)
    assert found.oracle.mean == pytest.approx(statistics.fmean(ORACLE.values()))
    assert found.seeds == (0, 1, 2)
    assert len(found.records) == 3


def test_only_seeds_with_a_test_oracle_count_for_any_of_the_rules() -> None:
    found = only([traced(0), traced(1), traced(2, only=("best", "last"))])
    assert found.seeds == (0, 1)
    assert found.best.mean == pytest.approx(0.55)
    assert found.gain.mean == pytest.approx(0.01)


def test_one_seed_has_no_deviation() -> None:
    found = only([traced(0)])
    assert (found.gain.deviation, found.best.deviation) == (None, None)
    assert "A number from one seed has no deviation" in page_of(parts([traced(0)]))


def test_records_without_a_trace_and_closed_forms_have_none() -> None:
    assert optimism([traced(only=("best", "last")), making.record(seed=1)]) == []
    assert optimism([making.record(status="failed")]) == []


def test_each_protocol_is_its_own() -> None:
    found = optimism([traced(0), traced(1, protocol="map@50/hits")], "map@all", "map@50/hits")
    assert [(one.protocol, one.seeds) for one in found] == [("map@all", (0,)), ("map@50/hits", (1,))]


def test_pairs_of_modalities_are_averaged_only_where_a_seed_has_all_of_them() -> None:
    assert optimism([traced(0), traced(0, modalities=("image", "audio"))]) == []


def test_the_page_has_a_table_per_data_and_protocol_and_csv_the_numbers_in_full() -> None:
    records = [traced(seed, data_kind=kind) for seed in range(3) for kind in ("real", "look-alike")]
    found = optimism(records)
    page = page_of(parts(records))
    assert page.count("\n## ") == 2
    assert page.count("LOOK-ALIKE") == 1
    assert "| 0.500 ± 0.100 | 0.450 ± 0.100 | 0.527 ± 0.070 | +0.027 ± 0.031  | +0.000  | +0.060 | 3" in page
    rows = csv_of(parts(records))
    assert [row["data_kind"] for row in rows] == ["real", "look-alike"]
    assert float(rows[0]["gain"]) == found[0].gain.mean
    assert rows[0]["seeds"] == "0 1 2"
    assert set(rows[0]["records"].split()) == set(found[0].records)


def test_without_a_trace_the_page_says_what_to_run() -> None:
    assert r"python -m bench run --trace-test" in page_of(parts([]))
