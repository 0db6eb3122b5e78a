"""A cell under a condition: its record says what was done, its method meets nothing that was taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import bench
from bench.conditions import conditions, parse_conditions
from bench.conformance.samples import Sample
from bench.contract import Unsupported, UsageError
from bench.experiment.conditions import under_condition
from bench.experiment.grid import Cell, Request, describe_data, plan
from bench.experiment.run_context import RunContext
from bench.experiment.running import run_cell
from bench.records.schema import Record
from tests.experiment.running import done
from tests.grid import write_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("conditions") / "mine.npz"
    dataset = Sample(rows=(80, 80)).dataset()
    arrays: dict[str, Any] = {}
    for part, split in (("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test)):
        for name, modality in split.items():
            arrays |= {f"{part}_{name}": modality.features, f"{part}_{name}_labels": modality.labels}
    np.savez(path, **arrays)
    return path


def _cells(bundle: Path, methods: str, *conditions: str) -> list[Cell]:
    names = [applied.id if applied else "" for applied in parse_conditions(conditions)]
    request = Request(methods=methods.split(","), datasets=[str(bundle)], conditions=names)
    return plan(request, {str(bundle): describe_data(str(bundle), None, "quick", None)})


def _records(bundle: Path, methods: str, *conditions: str) -> list[Record]:
    return [run_cell(cell, RunContext()).record for cell in _cells(bundle, methods, *conditions)]


def _value(record: Record) -> float:
    return float(np.mean([m.value for m in done(record).metrics if m.protocol.startswith("map@all")]))


def test_conditions_are_other_cells_and_clean_ones_stay_as_they_were(bundle: Path) -> None:
    clean, noisy, late = _cells(bundle, "sdml", "clean", "label-noise@.4", "late@text")
    assert len({cell.identity.digest for cell in (clean, noisy, late)}) == 3
    assert clean.identity.condition == ""
    assert clean.identity == _cells(bundle, "sdml", "clean")[0].identity
    assert "conditions" in noisy.identity.harness
    assert "conditions" not in clean.identity.harness
    assert "label-noise@0.4" in noisy.title


def test_the_record_holds_the_level_that_was_reached_and_the_rows(bundle: Path) -> None:
    conditions = "label-noise@.4", "few-labels@.1", "missing@.5"
    noisy, few, missing = map(done, _records(bundle, "mcca", *conditions))
    assert noisy.effective == pytest.approx(0.4)
    assert few.rows["image"].unlabelled == 72
    assert (missing.pairing, missing.rows["image"].train, missing.rows["image"].given) == ("natural", 40, 60)


def test_level_0_gives_the_result_of_clean_data(bundle: Path) -> None:
    single = [name for name in conditions() if name not in ("late", "label-noise-multi")]
    clean, *cells = _cells(bundle, "sm", "clean", *(f"{name}@0" for name in single))
    expected = run_cell(clean, RunContext())
    result = done(expected)
    for cell in cells:
        finished = run_cell(cell, RunContext())
        assert msgspec.structs.replace(done(finished), effective=result.effective) == result, cell.title
        assert {key: values.tobytes() for key, values in finished.per_query.items()} == {
            key: values.tobytes() for key, values in expected.per_query.items()
        }, cell.title


def test_a_method_that_ignores_what_changes_has_the_same_numbers(bundle: Path) -> None:
    clean, unpaired, wrong = _records(bundle, "sdml", "clean", "unpaired@1", "wrong-pairs@.8")
    assert _value(clean) == _value(unpaired) == _value(wrong)
    blind, noisy = _records(bundle, "mcca", "clean", "label-noise@.8")
    assert _value(blind) == _value(noisy)


def test_late_modalities_cost_little_and_joint_methods_are_skipped(bundle: Path, tmp_path: Path) -> None:
    late, joint = (_records(bundle, name, "late@text")[0] for name in ("sdml", "dscmr"))
    assert _value(late) > 0.6
    assert (joint.status, joint.failure is not None) == ("skipped", True)
    three = write_bundle(tmp_path / "three.npz", ("image", "text", "audio"))
    two, last, named = _records(three, "sm", "late@last-2", "late@last-1", "late@audio")
    assert (last.identity.condition, done(last).effective) == ("late@last", "last")
    assert done(last).metrics == done(named).metrics
    assert (two.identity.condition, done(two).effective) == ("late@last-2", "text, audio")
    assert [rows.train for rows in done(two).rows.values()] == [60, 60, 60]
    assert _value(two) > 0.6  # chance is about a third
    with pytest.raises(UsageError, match="audio"):
        _records(bundle, "sm", "late@audio")


@pytest.mark.parametrize(
    ("condition", "reason"), [("late@last-2", "needs 3"), ("label-noise-multi@0.2", "label-noise")]
)
def test_what_cannot_be_made_is_skipped_with_the_reason(bundle: Path, condition: str, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        under_condition(bench.load_dataset(bundle), condition, 0)
    (record,) = _records(bundle, "sm", condition)
    assert (record.status, record.failure is not None) == ("skipped", True)


def test_queries_of_unseen_classes_are_ranked_against_all_rows_if_generalised(bundle: Path) -> None:
    dataset, _ = under_condition(bench.load_dataset(bundle), "unseen/generalised@0.5", 0)
    assert (dataset.n_classes, len(dataset.test["image"])) == (2, 6)
    assert dataset.gallery is not None
    assert len(dataset.gallery["image"]) == 12
    assert len(dataset.select(("text", "image")).gallery or ()) == 2
    result = done(_records(bundle, "sm", "unseen/generalised@.5")[0])
    assert {metric.protocol for metric in result.metrics} >= {"map@all/gallery", "map@50/min/gallery"}
    assert {(metric.queries, metric.items) for metric in result.metrics} == {(6, 12)}
    assert result.rows["image"].gallery == 12
