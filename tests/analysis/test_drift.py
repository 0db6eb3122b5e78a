"""Two records of one cell: identical, within a tolerance, or different, and what else differs."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from bench.analysis.drift import ELSEWHERE, Recorded, changes, drawn, drift_of
from bench.records import Series
from tests.analysis.making import with_result
from tests.records import making
from tests.wording import mentions

SERIES = Series("best", "map@all", "image", "text")


def recorded(value: float = 0.5, *, ap: float = 0.5, **more: Any) -> Recorded:
    """Return a record; ``more`` are fields of its environment."""
    record = msgspec.structs.replace(
        making.record(), result=making.result(value), environment=making.environment(**more)
    )
    return Recorded(record, {SERIES: np.array([ap, 0.25, 0.75])})


def test_what_varies_from_run_to_run_is_no_drift() -> None:
    drift = drift_of(recorded(), recorded(started="later", seconds={"total": 9.0}, peak_memory=1))
    assert drift.identical
    assert drift.agrees()
    assert (drift.numbers, drift.largest, drift.largest_at) == (4, 0.0, "")


def test_a_number_that_moved_is_named_with_its_size() -> None:
    drift = drift_of(recorded(), recorded(0.504, ap=0.512))
    assert drift.largest == pytest.approx(0.004)
    assert drift.per_query == pytest.approx(0.012)
    assert drift.largest_at == "image→text map@all (best)"
    assert drift.otherwise == ("metrics",)
    assert [drift.agrees(tolerance) for tolerance in (None, 0.005, 0.003)] == [False, True, False]


def test_without_a_tolerance_the_bytes_must_be_the_same() -> None:
    old = recorded()
    drift = drift_of(old, old._replace(record=with_result(old.record, notes={"prior": "text"})))
    assert (drift.largest, drift.otherwise) == (0.0, ("notes",))
    assert not drift.agrees()
    assert drift.agrees(1e-9)


def test_a_query_that_moved_without_its_mean_is_drift() -> None:
    drift = drift_of(recorded(), recorded(ap=0.6))
    assert (drift.largest, drift.identical) == (0.0, False)
    assert drift.per_query == pytest.approx(0.1)


def test_numbers_that_only_one_has_never_agree() -> None:
    old, metrics = recorded(), making.result().metrics
    last = msgspec.structs.replace(metrics[0], selection="last")
    drift = drift_of(old, old._replace(record=with_result(old.record, metrics=[*metrics, last])))
    assert drift.lacking == ("image→text map@all (last)",)
    assert not drift.agrees(1.0)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"versions": {"python": "3.12"}}, ["python 3.11 → 3.12"]),
        ({"host": {"name": "here", "processor": "x"}}, ["processor unknown → x"]),
        ({"device": "cuda:1"}, ["device cpu → cuda"]),
    ],
)
def test_elsewhere_numbers_may_differ_a_little(more: dict[str, Any], words: list[str]) -> None:
    old, new = recorded(), recorded(0.5 + 0.9 * ELSEWHERE, **more)
    drift = drift_of(old, new)
    assert (drift.comparable, drift.agrees(), drift.agrees(0.0)) == (False, True, False)
    assert changes(old.record.environment, new.record.environment) == words
    assert not drift_of(old, recorded(0.5 + 1.1 * ELSEWHERE, **more)).agrees()


def test_another_commit_is_named_but_excuses_nothing() -> None:
    old, new = recorded(commit="a" * 40), recorded(0.505, commit="b" * 40, dirty=True, source="t" * 16)
    assert (drift_of(old, new).comparable, drift_of(old, new).agrees()) == (True, False)
    commit, file = changes(old.record.environment, new.record.environment)
    assert mentions(commit, "commit aaaaaaaa ... bbbbbbbb ... uncommitted")
    assert mentions(file, "method's file")


def test_a_draw_takes_finished_cells_can_be_repeated_and_changes_little_with_the_records() -> None:
    done = [making.record(seed) for seed in range(31)]
    records = [*done[:30], making.record(99, "failed")]
    first = drawn(records, 5, 0)
    assert len(first) == 5
    assert drawn(records[::-1], 5, 0) == first
    assert drawn(records, 5, 1) != first
    assert {record.identity.seed for record in drawn(records, 99, 3)} == {*range(30)}
    digests = [{record.digest for record in drawn(done[:count], 5, 0)} for count in (30, 31)]
    assert len(digests[0] & digests[1]) >= 4
