"""A recorded cell is planned and fitted again, or one sentence says why it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.contract import BenchError
from bench.evaluation import Protocol
from bench.experiment.refit import RefitFailed, cell_of, refit, source_of_record
from bench.records import Record
from tests.experiment.running import context, done, run
from tests.grid import cells_of, write_bundle

pytestmark = pytest.mark.usefixtures("faults")


def changed(record: Record, **fields: Any) -> Record:
    return msgspec.structs.replace(record, identity=msgspec.structs.replace(record.identity, **fields))


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
    nowhere = msgspec.structs.replace(record.environment, command="python -m bench run 'unfinished")
    with pytest.raises(BenchError, match="does not say where the data of small is"):
        source_of_record(msgspec.structs.replace(record, environment=nowhere))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"method": "gone"}, "unknown method 'gone'"),
        ({"settings": {"seconds": 1.0}}, "plain has by now a setting"),
        ({"settings": {"zeal": 1}}, "plain has no setting 'zeal'"),
        ({"fingerprint": "0" * 64}, "the data of small is not what the record was made with"),
        ({"data_kind": "look-alike"}, "the data of small is not what the record was made with"),
        ({"modalities": ("image", "smell")}, "small has no modality 'smell' any more"),
    ],
)
def test_what_is_gone_or_another_by_now_is_one_sentence(
    small: Path, fields: dict[str, Any], sentence: str
) -> None:
    record = run("plain", small).record
    with pytest.raises(BenchError) as caught:
        cell_of(changed(record, **fields), None)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_of_another_type_and_a_bundle_that_is_gone_are_refused(tmp_path: Path) -> None:
    record = run("plain", write_bundle(tmp_path / "short.npz")).record
    with pytest.raises(BenchError, match="settings of plain: seconds: Expected"):
        cell_of(changed(record, settings={**record.identity.settings, "seconds": "x"}), None)
    (tmp_path / "short.npz").unlink()
    with pytest.raises(BenchError, match=r"there is no file .*short\.npz"):
        cell_of(record, None)


def test_a_cell_that_fails_now_says_why(small: Path) -> None:
    (cell,) = cells_of(["raises"], small)
    with pytest.raises(RefitFailed, match="ValueError"):
        refit(cell, context(), "none")
