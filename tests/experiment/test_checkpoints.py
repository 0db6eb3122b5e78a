"""What a run makes of methods that look at positions, that fail in one state, or that fail on test rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.results import frame_of
from bench.data import load_dataset
from bench.evaluation import expected_random_ap
from bench.experiment.cell import Finished
from bench.experiment.refit import RefitFailed, refit
from tests.experiment.running import context, done, run, seen
from tests.grid import cells_of, only_plugins, write_bundle

PLUGIN = Path(__file__).with_name("evaluated.py")
EPOCHS = 4


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with only_plugins(PLUGIN):
        yield


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of pairs, sorted by class, with features that say nothing."""
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, rows in (("train", 60), ("validation", 60), ("test", 600)):
        for name in ("image", "text"):
            arrays[f"{part}_{name}"] = random.normal(size=(rows, 5)).astype(np.float32)
            arrays[f"{part}_{name}_labels"] = np.arange(rows) * 6 // rows
    path = tmp_path_factory.mktemp("blank") / "blank.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle whose test rows have larger features."""
    path = write_bundle(tmp_path_factory.mktemp("marked") / "marked.npz")
    with np.load(path) as file:
        arrays = dict(file)
    for name in ("image", "text"):
        arrays[f"test_{name}"] = arrays[f"test_{name}"] + np.float32(100)
    np.savez(path, **arrays)
    return path


def below(bundle: Path, rows: int) -> float:
    """Return a limit below which the first feature of so many test rows of the texts lies."""
    values = np.sort(load_dataset(bundle).test["text"].features[:, 0])
    return float(values[rows - 1 : rows + 1].astype(np.float64).mean())


@pytest.mark.parametrize("method", ["positions", "numbers"])
def test_positions_earn_nothing_in_a_run(blank: Path, method: str) -> None:
    finished = run(method, blank)
    result = done(finished)
    assert result.chance == pytest.approx({"image>text": 1 / 6, "text>image": 1 / 6}, abs=0.02)
    for metric in result.metrics:
        if metric.protocol == "map@all":
            assert metric.value == pytest.approx(result.chance[f"{metric.query}>{metric.gallery}"], abs=0.02)
    relevant = np.mean([gallery.relevant.mean() for gallery in seen(finished).galleries])
    assert relevant == pytest.approx(1 / 6, abs=0.12)  # of 120 or 240 shown results


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_record_says_what_a_random_ranking_reaches(tmp_path: Path, multi_label: bool) -> None:
    bundle = write_bundle(
        tmp_path / "three.npz", ("image", "text", "audio"), multi_label=multi_label, paired=False
    )
    result, test = done(run("states", bundle)), load_dataset(bundle).test
    assert len(result.chance) == 6
    for direction, value in result.chance.items():
        query, gallery = direction.split(">")
        counts = (test.targets(query) @ test.targets(gallery).T > 0).sum(axis=1)
        assert value == pytest.approx(np.mean(expected_random_ap(counts, len(test[gallery]))), abs=1e-12)


def test_rows_of_zeros_are_counted_by_rule_and_modality(small: Path) -> None:
    result = done(run("states", small, best=below(small, 4), oracle=below(small, 15)))
    assert result.zero_rows == {"best": {"text": 4}, "oracle": {"text": 15}}
    assert result.refused == {}
    assert {metric.selection for metric in result.metrics} == {"best", "last", "oracle"}


def test_rows_of_zeros_are_drawn_as_one_point_and_raise_no_warning(small: Path) -> None:
    finished = run("states", small, best=below(small, 15))
    assert "RuntimeWarning" not in finished.log
    space = seen(finished).space
    assert space is not None
    first = np.flatnonzero(load_dataset(small).test["text"].features[:, 0] < below(small, 15))
    points, zeros = space.points["text"], np.isin(space.rows["text"], first)
    assert np.isfinite(points).all()
    assert len(np.unique(points[zeros].round(5), axis=0)) == 1
    for gallery in seen(finished).galleries:
        assert np.isfinite(gallery.ap).all()
        tied = np.isin(gallery.rows, first) & (gallery.query == "text")
        assert (gallery.results[tied] == np.arange(10)).all()  # in the order of the file


def test_a_refusal_costs_its_rule_alone(small: Path) -> None:
    limits: dict[str, Any] = {"best": below(small, 4), "oracle": below(small, 16)}
    plain = run("states", small, best=limits["best"])
    finished = run("states", small, **limits, unrankable=("last",))
    result = done(finished)
    assert list(result.refused) == ["last", "oracle"]
    assert "NaN" in result.refused["last"]
    assert "zero in 16 of 30" in result.refused["oracle"]
    assert result.zero_rows == {"best": {"text": 4}}
    assert result.metrics == [one for one in done(plain).metrics if one.selection == "best"]
    for key, ap in finished.per_query.items():
        assert key[0] == "best"
        np.testing.assert_array_equal(ap, plain.per_query[key])
    assert seen(finished).galleries


@pytest.mark.parametrize(
    "changes", [{"unrankable": ("best",)}, {}, {"unrankable": ("best", "last"), "together": True}]
)
def test_a_cell_whose_shown_state_cannot_be_ranked_is_refused(small: Path, changes: dict[str, Any]) -> None:
    record = run("states", small, **{"best": below(small, 16), **changes}).record
    assert (record.status, record.result) == ("refused", None)
    assert record.failure is not None
    assert "'text'" in record.failure.reason


def test_a_state_that_two_rules_chose_counts_for_both(small: Path) -> None:
    result = done(run("states", small, best=below(small, 3), unrankable=("last",), together=True))
    assert result.zero_rows == {"best": {"text": 3}, "last": {"text": 3}}
    assert result.refused == {}


def test_a_refused_rule_has_a_row_without_a_number_in_listings(small: Path) -> None:
    record = run("states", small, unrankable=("last",)).record
    (row,) = frame_of([record], selection="last").to_dict("records")
    assert (row["status"], row["selection"], row["query"]) == ("refused", "last", "")
    assert np.isnan(row["value"])
    assert row["reason"]
    assert frame_of([record])["value"].notna().all()
    assert (frame_of([record], selection="every")["status"] == "refused").sum() == 1


def test_fitting_again_for_a_refused_rule_says_why(small: Path) -> None:
    (cell,) = cells_of(["states"], small, unrankable=("last",))
    with pytest.raises(RefitFailed, match=r"refused now: .*NaN"):
        refit(cell, context(), "last")
    assert refit(cell, context(), "best").retrieval.modalities == ("image", "text")


def _without_oracle(finished: Finished) -> tuple[Any, ...]:
    result = done(finished)
    result = msgspec.structs.replace(
        result,
        selected=[one for one in result.selected if one.rule != "oracle"],
        metrics=[one for one in result.metrics if one.selection != "oracle"],
        zero_rows={rule: counts for rule, counts in result.zero_rows.items() if rule != "oracle"},
        refused={rule: why for rule, why in result.refused.items() if rule != "oracle"},
        audit="",
    )
    per_query = {key: ap.tobytes() for key, ap in finished.per_query.items() if key[0] != "oracle"}
    trace = [{key: one for key, one in row.items() if key != "oracle_map"} for row in finished.trace]
    return msgspec.json.encode(result, order="sorted"), per_query, trace


@settings(max_examples=5, deadline=None)
@given(at=st.frozensets(st.integers(1, EPOCHS), min_size=1))
def test_the_same_bytes_with_and_without_a_trace_of_test_rows(marked: Path, at: frozenset[int]) -> None:
    """The method collapses on test rows only, after some of its epochs."""
    changes: dict[str, Any] = {"at": tuple(sorted(at)), "epochs": EPOCHS}
    plain, traced = (run("collapsing", marked, context(trace_test=on), **changes) for on in (False, True))
    assert _without_oracle(traced) == _without_oracle(plain)
    oracle = [row["oracle_map"] is None for row in traced.trace]
    assert oracle == [epoch in at for epoch in range(1, EPOCHS + 1)]
    assert all("oracle_map" not in row for row in plain.trace)
