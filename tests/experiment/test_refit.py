"""Records of the present code can be fitted again; those of other code are stale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.contract import BenchError
from bench.evaluation import Protocol
from bench.experiment.refit import RefitFailed, StaleRecord, cell_of, refit, source_of_record
from bench.experiment.stale import made_by_other_code, newest, sentences, stale_records, versions_apart
from bench.records import Record
from bench.registry import Versions
from tests.experiment.running import context, done, run
from tests.grid import cells_of, write_bundle
from tests.records import making
from tests.wording import mentions

pytestmark = pytest.mark.usefixtures("faults")


DEFAULTS: dict[str, Any] = {"seconds": 30.0, "widths": [3, 2], "rates": None, "word": "a"}


@pytest.mark.parametrize(("method", "overrides"), [("plain", {}), ("sdml", {"epochs": 2})])
def test_a_cell_fitted_again_gives_the_numbers_of_its_record(
    small: Path, method: str, overrides: dict[str, Any]
) -> None:
    record = run(method, small, **overrides).record
    cell, result, rule = cell_of(record, None), done(record), Protocol.parse("map@all")
    assert cell.identity == record.identity
    again = refit(cell, context(), result.selection)
    assert again.audit == result.audit
    for metric in result.metrics:
        if (metric.protocol, metric.selection) == (rule.id, result.selection):
            ap, _ = again.retrieval.ranking(metric.query, metric.gallery).evaluate([rule])
            assert float(ap[rule.id].mean()) == metric.value


def test_a_bundle_is_found_by_the_command_of_its_record(small: Path) -> None:
    record = run("plain", small).record
    assert source_of_record(record) == str(small)
    unfinished = msgspec.structs.replace(record.environment, command="python -m bench run 'unfinished")
    with pytest.raises(BenchError, match="data of small"):
        source_of_record(msgspec.structs.replace(record, environment=unfinished))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"method": "gone"}, "method 'gone'"),
        ({"settings": {"seconds": 1.0}}, "plain ... setting"),
        ({"settings": {"zeal": 1}}, "plain ... setting 'zeal'"),
        ({"settings": {**DEFAULTS, "seconds": "x"}}, "plain: seconds"),
        ({"fingerprint": "0" * 64}, "data of small"),
        ({"data_kind": "look-alike"}, "data of small"),
        ({"modalities": ("image", "smell")}, "modality 'smell'"),
    ],
)
def test_what_is_gone_or_another_by_now_is_one_sentence(
    small: Path, fields: dict[str, Any], reason: str
) -> None:
    record = run("plain", small).record
    identity = msgspec.structs.replace(record.identity, **fields)
    with pytest.raises(BenchError) as caught:
        cell_of(msgspec.structs.replace(record, identity=identity), None)
    assert mentions(str(caught.value), reason)
    assert "\n" not in str(caught.value)


def test_a_bundle_that_is_gone_and_a_cell_that_fails_now_are_named(small: Path, tmp_path: Path) -> None:
    record = run("plain", write_bundle(tmp_path / "short.npz")).record
    (tmp_path / "short.npz").unlink()
    with pytest.raises(BenchError, match=r"short\.npz"):
        cell_of(record, None)
    (cell,) = cells_of(["raises"], small)
    with pytest.raises(RefitFailed, match="ValueError"):
        refit(cell, context(), "none")


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


def test_a_record_is_stale_if_other_code_made_it_and_says_whether_it_was_made_again() -> None:
    fresh, old, lone = made(), made(code="drcl 0"), made(code="drcl 0", seed=5)
    found = {stale.record.digest: stale for stale in stale_records([fresh, old, lone])}
    assert found.keys() == {old.digest, lone.digest}
    assert found[old.digest].again
    assert not found[lone.digest].again
    (sentence,) = sentences([*found.values()])
    assert mentions(sentence, "2 records ... stale ... drcl")
    assert "for 1 of them" in sentence
    # a record of another device is of another cell
    assert [
        stale_records([fresh, made(code="drcl 0", device=device)])[0].again for device in ("cuda", "cpu")
    ] == [False, True]
    # a method that is gone is stale by the harness alone
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
    with pytest.raises(StaleRecord, match=r"data 0 → .*--retry stale"):
        cell_of(made(harness=", ".join(["data 0", *NOW.harness.split(", ")[2:]])), None)


def test_trials_of_other_code_are_counted() -> None:
    mine, old = making.identity(**HERE), making.identity(**{**HERE, "code": "drcl 0"})
    assert made_by_other_code([mine], [old]) == 1
    assert made_by_other_code([mine], [old, mine]) == 0
    assert made_by_other_code([mine], [making.identity(seed=3, **{**HERE, "code": "drcl 0"})]) == 0
