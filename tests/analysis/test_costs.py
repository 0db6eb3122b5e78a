"""Time and memory: summed per method, never over profiles."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from bench.analysis.costs import costs_of, shares_of
from bench.analysis.groups import Data
from bench.analysis.labels import registry_labels
from bench.analysis.results import Results
from bench.records import Record
from bench.report import ReportData
from bench.report.topics import costs
from tests.records import making
from tests.report.making import page_of

LABELS = replace(registry_labels(), usual=lambda identity: identity.settings)


def _record(method: str, seed: int, fit: float, memory: int | None, profile: str = "quick") -> Record:
    record = making.record(seed, method=method, profile=profile, dataset="pets")
    seconds = {"load": 0.5, "fit": fit, "evaluate": 0.25, "total": fit + 0.75}
    environment = msgspec.structs.replace(record.environment, seconds=seconds, peak_memory=memory)
    return msgspec.structs.replace(record, environment=environment)


RECORDS = [
    _record("sdml", 0, 1.0, 3 << 20),
    _record("sdml", 1, 3.0, 5 << 20),
    _record("mcca", 0, 0.25, None),
    _record("mcca", 0, 99.0, None, profile="paper"),
    making.record(5, "failed", method="mcca", dataset="pets"),
]


def test_a_methods_share_is_of_its_own_profiles_time() -> None:
    shares = shares_of(Results(RECORDS, LABELS))
    assert [(line.label, line.cells, line.seconds) for line in shares["quick", "cpu", ""]] == [
        ("SDML", 2, 5.5),
        ("MCCA", 1, 1.0),
    ]
    assert [line.share for line in shares["quick", "cpu", ""]] == pytest.approx([5.5 / 6.5, 1 / 6.5])
    assert [line.share for line in shares["paper", "cpu", ""]] == [1.0]


def test_a_row_has_the_median_time_and_the_largest_memory() -> None:
    tables = costs_of(Results(RECORDS, LABELS))
    (quick,) = [costs for data, costs in tables.items() if data.profile == "quick"]
    mcca, sdml = quick
    assert (sdml.fit, sdml.evaluate, sdml.total, sdml.memory) == (2.0, 0.25, 5.5, 5 << 20)
    assert (mcca.cells, mcca.memory, mcca.device_memory) == (1, None, None)
    assert all(isinstance(data, Data) for data in tables)


def test_the_page_has_shares_and_a_table_per_data() -> None:
    page = page_of(costs.parts(ReportData(RECORDS, LABELS)))
    assert "## Share of time, paper profile" in page
    assert "84.6%" in page
    assert page.count("## pets") == 2
    assert "| SDML" in page
