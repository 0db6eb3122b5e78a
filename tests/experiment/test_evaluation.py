"""Evaluation of a cell: further protocols, methods that use positions, states that cannot be ranked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.labels import registry_labels
from bench.analysis.results import Results, frame_of
from bench.analysis.tables import AVERAGE, tables_of
from bench.contract import UsageError
from bench.data import load_dataset
from bench.evaluation import expected_random_ap
from bench.evaluation.protocols import FURTHER_PROTOCOLS, further_protocols
from bench.execution.grid_runner import remaining
from bench.experiment.cell import Finished
from bench.experiment.oracle import OracleRun
from bench.experiment.refit import RefitFailed, refit
from bench.experiment.run_context import RunContext, has_all, keeping
from bench.experiment.running import run_cell
from bench.records.encoding import decode_per_query, encode_per_query
from bench.records.schema import check_record
from bench.records.store import Store
from bench.report.cells import tops_of
from tests.analysis.making import with_result
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
    """Return a bundle of pairs, sorted by class, with features of noise."""
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
    """Return a limit that the first feature of so many test texts is below."""
    values = np.sort(load_dataset(bundle).test["text"].features[:, 0])
    return float(values[rows - 1 : rows + 1].astype(np.float64).mean())


@pytest.mark.parametrize("method", ["positions", "numbers"])
def test_a_method_that_uses_positions_is_at_chance(blank: Path, method: str) -> None:
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


def test_rows_of_zeros_are_counted_by_rule_and_modality_and_drawn_as_one_point(small: Path) -> None:
    finished = run("states", small, best=below(small, 15), oracle=below(small, 4))
    result = done(finished)
    assert (result.zero_rows, result.refused) == ({"best": {"text": 15}, "oracle": {"text": 4}}, {})
    assert {metric.selection for metric in result.metrics} == {"best", "last", "oracle"}
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


def test_a_snapshot_shows_the_selected_state_of_a_similarity(small: Path) -> None:
    test = load_dataset(small).test
    for shown in seen(run("signs", small)).galleries:
        queries, items = test[shown.query].features[shown.rows, :4], test[shown.gallery].features[:, :4]
        order = np.argsort(-(queries @ items.T), axis=1, kind="stable")
        np.testing.assert_array_equal(shown.results, order[:, :10])


def test_a_state_that_two_rules_chose_counts_for_both(small: Path) -> None:
    result = done(run("states", small, best=below(small, 3), unrankable=("last",), together=True))
    assert result.zero_rows == {"best": {"text": 3}, "last": {"text": 3}}
    assert result.refused == {}


def test_a_refused_rule_has_a_row_without_a_number_in_listings_and_cannot_be_fitted_again(
    small: Path,
) -> None:
    record = run("states", small, unrankable=("last",)).record
    (row,) = frame_of([record], selection="last").to_dict("records")
    assert (row["status"], row["selection"], row["query"]) == ("refused", "last", "")
    assert np.isnan(row["value"])
    assert row["reason"]
    assert frame_of([record])["value"].notna().all()
    assert (frame_of([record], selection="every")["status"] == "refused").sum() == 1
    (cell,) = cells_of(["states"], small, unrankable=("last",))
    with pytest.raises(RefitFailed, match="NaN"):
        refit(cell, context(), "last")
    assert refit(cell, context(), "best").retrieval.modalities == ("image", "text")


def _without_oracle(finished: Finished) -> tuple[Any, ...]:
    result = done(finished)
    changes = {
        "selected": [point for point in result.selected if point.rule != "oracle"],
        "metrics": [metric for metric in result.metrics if metric.selection != "oracle"],
        "zero_rows": {rule: counts for rule, counts in result.zero_rows.items() if rule != "oracle"},
        "refused": {rule: why for rule, why in result.refused.items() if rule != "oracle"},
        "audit": "",
    }
    per_query = {key: ap.tobytes() for key, ap in finished.per_query.items() if key[0] != "oracle"}
    trace = [{key: value for key, value in row.items() if key != "oracle_map"} for row in finished.trace]
    return msgspec.json.encode(msgspec.structs.replace(result, **changes), order="sorted"), per_query, trace


@settings(max_examples=3, deadline=None)
@given(at=st.frozensets(st.integers(1, EPOCHS), min_size=1))
def test_the_same_bytes_with_and_without_a_trace_of_test_rows(marked: Path, at: frozenset[int]) -> None:
    """The method collapses on test rows only, after some of its epochs."""
    changes: dict[str, Any] = {"at": tuple(sorted(at)), "epochs": EPOCHS}
    plain, traced = (run("collapsing", marked, context(trace_test=on), **changes) for on in (False, True))
    assert _without_oracle(traced) == _without_oracle(plain)
    oracle = [row.get("oracle_map") is None for row in traced.trace]
    assert oracle == [epoch in at for epoch in range(1, EPOCHS + 1)]
    assert all("oracle_map" not in row for row in plain.trace)


@pytest.mark.parametrize("way", ["", "gradient", "default", "closure", "environment"])
def test_nothing_that_a_method_keeps_of_test_rows_changes_its_result(marked: Path, way: str) -> None:
    changes: dict[str, Any] = {"way": way, "epochs": EPOCHS}
    plain, traced = (run("disturbed", marked, context(trace_test=on), **changes) for on in (False, True))
    result = done(traced)
    check_record(traced.record)
    assert _without_oracle(traced) == _without_oracle(plain)
    assert ("oracle" in result.refused) == bool(way)
    assert ("oracle" in {metric.selection for metric in result.metrics}) == (not way)
    assert keeping(context(), result).trace_test
    assert "oracle_map" in str(traced.trace) or way


def test_without_a_test_map_of_any_epoch_there_is_no_oracle(marked: Path) -> None:
    every = tuple(range(1, EPOCHS + 1))
    result = done(run("collapsing", marked, context(trace_test=True), epochs=EPOCHS, at=every))
    assert "no epoch" in result.refused["oracle"]
    assert {point.rule for point in result.selected} == {"best", "last"}


def test_a_second_fit_that_would_not_end_in_time_is_left_out_until_there_is_more(
    marked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OracleRun, "seconds", lambda _: {"total": 1000.0})
    finished = run("collapsing", marked, context(trace_test=True, seconds=1000.0), epochs=EPOCHS)
    assert "time limit" in finished.log
    assert not has_all(done(finished), (), trace_test=True)


@pytest.mark.parametrize(
    ("way", "noun"), [("random", "repeatable"), ("own loop", "evaluate an oracle"), ("ends", "ended")]
)
def test_a_method_without_an_oracle_keeps_its_result_and_states_why(
    marked: Path, way: str, noun: str
) -> None:
    result = done(run("unrepeatable", marked, context(trace_test=True), way=way))
    assert noun in result.refused["oracle"]
    assert {metric.selection for metric in result.metrics} == {"best", "last"}


@pytest.fixture(scope="module")
def with_ids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle whose test rows have ids, and rank a gallery."""
    path = write_bundle(tmp_path_factory.mktemp("ids") / "ids.npz")
    with np.load(path) as file:
        arrays: dict[str, Any] = dict(file)
    for name in ("image", "text"):
        arrays[f"test_{name}_ids"] = np.arange(30) + 1000
        arrays[f"gallery_{name}"] = np.concatenate([arrays[f"test_{name}"], arrays[f"train_{name}"]])
        labels = arrays[f"test_{name}_labels"], arrays[f"train_{name}_labels"]
        arrays[f"gallery_{name}_labels"] = np.concatenate(labels)
        arrays[f"gallery_{name}_ids"] = np.concatenate([np.arange(30) + 1000, np.arange(60)])
    np.savez(path, **arrays)
    return path


def finished(bundle: Path, *protocols: str) -> Finished:
    return run("sm", bundle, context(protocols=further_protocols(protocols)))


def test_standard_protocols_are_recorded_with_their_values_per_query(with_ids: Path) -> None:
    made = finished(with_ids, "standard")
    result = done(made)
    check_record(made.record)
    assert {f"{name}/gallery" for name in FURTHER_PROTOCOLS} < {metric.protocol for metric in result.metrics}
    values = decode_per_query(encode_per_query(made.per_query), result)
    ranks = [values[metric.series] for metric in result.metrics if metric.protocol == "medr/gallery"]
    assert all(rank.min() >= 1 and rank.max() > 1 for rank in ranks)
    assert "recall@10" in made.record.environment.command


def test_what_the_data_does_not_admit_is_named_and_costs_nothing_else(tmp_path: Path) -> None:
    result = done(finished(write_bundle(tmp_path / "plain.npz", paired=False), "mrr", "ndcg@5"))
    assert result.unavailable.keys() == {"mrr"}
    assert {metric.protocol for metric in result.metrics} >= {"map@all", "ndcg@5"}


def test_a_finished_cell_that_lacks_a_protocol_is_made_again_and_keeps_its_numbers(
    with_ids: Path, tmp_path: Path
) -> None:
    store, made = Store(tmp_path), finished(with_ids, "mrr")
    store.write(made.record, made.per_query, made.trace, made.log, made.view)
    cells = cells_of(["sm"], with_ids)
    assert remaining(cells, store, protocols=["mrr"]) == remaining(cells, store) == []
    assert remaining(cells, store, protocols=["mrr", "recall@5"]) == cells
    again = run_cell(cells[0], keeping(RunContext(protocols=("recall@5",)), done(made)))
    before, after = ({metric.series: metric.value for metric in done(one).metrics} for one in (made, again))
    assert before.items() < after.items()
    assert remaining(cells, store, trace_test=True) == []  # a closed form has no trace


def test_tables_choose_a_protocol_by_its_base_and_numbers_of_one_are_bounded(with_ids: Path) -> None:
    record = finished(with_ids, "medr").record
    results = Results([record], registry_labels([record]))
    main, ranks = tables_of(results, ["map@all", "medr"])
    assert (main.protocol, ranks.protocol) == ("map@all/gallery", "medr/gallery")
    assert (main.lower_is_better, ranks.lower_is_better) == (False, True)
    entries = [replace(ranks.rows[0].entries[AVERAGE], mean=mean) for mean in (12.0, 9.5, 100.0)]
    rows = [{AVERAGE: entry} for entry in entries]
    assert tops_of([AVERAGE], rows, "medr/gallery") == {AVERAGE: ["9.500", "12.000"]}
    assert tops_of([AVERAGE], rows, "map@all") == {AVERAGE: ["100.000", "12.000"]}
    for protocol, value in (("medr/gallery", 0.5), ("medr/gallery", 92.0), ("map@all/gallery", 1.5)):
        metrics = [
            msgspec.structs.replace(metric, value=value) if metric.protocol == protocol else metric
            for metric in done(record).metrics
        ]
        with pytest.raises(ValueError, match="between"):
            check_record(with_result(record, metrics=metrics))


@pytest.mark.parametrize("word", ["map@50", "recall@all", "map@all/skip", "bleu"])
def test_words_that_name_no_protocol_of_records_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"protocol|divide|cut-off|queries"):
        further_protocols([word])
