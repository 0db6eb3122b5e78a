"""Records that other code made are told from those of the code at hand, and the difference is named."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bench.experiment.refit import StaleRecord, cell_of
from bench.experiment.stale import made_by_other_code, newest, sentences, stale_records, versions_apart
from bench.records import Record
from bench.registry import Versions
from tests.records import making

NOW = Versions()
HERE: dict[str, Any] = {"harness": NOW.harness, "code": NOW.code("drcl"), "device": "cpu"}


def made(started: str = "2026-01-02", **fields: Any) -> Record:
    record = making.record(**{**HERE, **fields})
    environment = msgspec.structs.replace(record.environment, started=started)
    return msgspec.structs.replace(record, environment=environment)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (("data 1, evaluation 1", "mine 2"), ("data 1, evaluation 1", "mine 2"), ()),
        (("data 1, evaluation 1", "mine 2"), ("data 1, evaluation 2", "mine 2"), ("evaluation 1 → 2",)),
        (("data 1", "training 1, mine 1"), ("data 1", "training 1, mine 1+ab"), ("mine 1 → 1+ab",)),
        (("data 1", "training 1, mine 1"), ("data 1", "mine 1"), ("training 1 → gone",)),
        (("data 1", "mine 1"), ("data 1", "training 2, mine 1"), ("training unknown → 2",)),
        (("data 1", "mine 1"), ("data 2", "mine 3"), ("data 1 → 2", "mine 1 → 3")),
        (("", ""), ("data 1", "mine 1"), ("made before code had versions",)),
    ],
)
def test_what_changed_is_named(old: tuple[str, str], new: tuple[str, str], words: tuple[str, ...]) -> None:
    identities = [making.identity(harness=harness, code=code) for harness, code in (old, new)]
    assert versions_apart(*((each.harness, each.code) for each in identities)) == words


def test_a_record_is_stale_if_other_code_made_it_and_is_told_from_one_made_again() -> None:
    fresh, old, lone = made(), made(code="drcl 0"), made(code="drcl 0", seed=5)
    found = {one.record.digest: one for one in stale_records([fresh, old, lone])}
    assert found.keys() == {old.digest, lone.digest}
    assert found[old.digest].again
    assert not found[lone.digest].again
    (sentence,) = sentences([*found.values()])
    assert sentence.startswith("2 records are stale (drcl): ")
    assert "1 of these cells were made again since" in sentence


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_a_record_of_another_device_is_of_another_cell(device: str) -> None:
    old = made(code="drcl 0", device=device)
    assert stale_records([made(), old])[0].again == (device == "cpu")


def test_a_method_that_is_gone_is_stale_by_the_harness_alone() -> None:
    assert stale_records([made(method="gone", code="gone 1")]) == []
    assert stale_records([made(method="gone", code="gone 1", harness="data 0")]) != []


def test_of_each_cell_the_record_of_the_code_at_hand_counts_or_else_the_newest() -> None:
    fresh = made("2026-01-01")
    first, second = made("2026-01-02", code="drcl 0"), made("2026-01-03", code="drcl 00")
    other = made("2026-01-02", seed=5, harness="")
    records = [first, fresh, other, second]
    assert newest(records) == [fresh, other]
    assert newest(records, earlier=True) == [other, second]
    assert newest([fresh], earlier=True) == []


def test_a_stale_record_is_not_run_again_as_if_its_numbers_had_to_come_out() -> None:
    with pytest.raises(StaleRecord, match=r"stale \(data 0 → .*--retry stale"):
        cell_of(made(harness=", ".join(["data 0", *NOW.harness.split(", ")[2:]])), None)


def test_trials_of_other_code_are_counted() -> None:
    mine, old = making.identity(**HERE), making.identity(**{**HERE, "code": "drcl 0"})
    assert made_by_other_code([mine], [old]) == 1
    assert made_by_other_code([mine], [old, mine]) == 0
    assert made_by_other_code([mine], [making.identity(seed=3, **{**HERE, "code": "drcl 0"})]) == 0
