"""A recorded cell is planned and fitted again, or one sentence says why it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.contract import BenchError
from bench.evaluation import Protocol
from bench.experiment.cell import run_cell
from bench.experiment.refit import RefitFailed, cell_of, refit, source_of_record
from bench.experiment.run_context import RunContext
from bench.records import Record
from tests.grid import FAULTS, cells_of, write_bundle

PLACE = RunContext(plugins=(str(FAULTS),))


pytestmark = pytest.mark.usefixtures("faults")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("again") / "small.npz")


def recorded(bundle: Path, method: str = "plain", **overrides: Any) -> Record:
    (cell,) = cells_of([method], bundle, **overrides)
    return run_cell(cell, PLACE).record


def changed(record: Record, **fields: Any) -> Record:
    return msgspec.structs.replace(record, identity=msgspec.structs.replace(record.identity, **fields))


@pytest.mark.parametrize(("method", "overrides"), [("plain", {}), ("sdml", {"epochs": 2})])
def test_a_cell_fitted_again_gives_the_numbers_of_its_record(
    bundle: Path, method: str, overrides: dict[str, Any]
) -> None:
    record = recorded(bundle, method, **overrides)
    assert record.result is not None
    cell = cell_of(record, None)
    assert cell.identity == record.identity
    again = refit(cell, PLACE, record.result.selection)
    assert again.audit == record.result.audit
    rule = Protocol.parse("map@all")
    for metric in record.result.metrics:
        if (metric.protocol, metric.selection) == (rule.id, record.result.selection):
            ap, _ = again.retrieval.ranking(metric.query, metric.gallery).evaluate([rule])
            assert float(ap[rule.id].mean()) == metric.value


def test_a_bundle_is_found_by_the_command_of_its_record(bundle: Path) -> None:
    record = recorded(bundle)
    assert source_of_record(record) == str(bundle)
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
    bundle: Path, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BenchError) as caught:
        cell_of(changed(recorded(bundle), **fields), None)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_of_another_type_and_a_bundle_that_is_gone_are_refused(tmp_path: Path) -> None:
    record = recorded(write_bundle(tmp_path / "short.npz"))
    with pytest.raises(BenchError, match="settings of plain: seconds: Expected"):
        cell_of(changed(record, settings={**record.identity.settings, "seconds": "x"}), None)
    (tmp_path / "short.npz").unlink()
    with pytest.raises(BenchError, match=r"there is no file .*short\.npz"):
        cell_of(record, None)


def test_a_cell_that_fails_now_says_why(bundle: Path) -> None:
    (cell,) = cells_of(["raises"], bundle)
    with pytest.raises(RefitFailed, match=r"failed now: ValueError: the matrix is singular"):
        refit(cell, PLACE, "none")
