"""One cell: what its record says when it works, and when it fails in any way short of the process's end."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.contract import Dataset, Split
from bench.data import load_dataset
from bench.experiment.cell import lost
from bench.records import Failure
from tests.experiment.running import context, done, run
from tests.grid import cells_of, write_bundle

pytestmark = pytest.mark.usefixtures("faults")


def test_a_finished_cell_says_everything_about_itself_and_nothing_escapes(
    small: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    finished = run("plain", small)
    assert capfd.readouterr() == ("", "")
    for words in ("a word from fit\n", "RuntimeWarning: divide by zero", "test split opened after fit"):
        assert words in finished.log
    record, result = finished.record, done(finished)
    assert record.status == "done"
    assert (result.selection, result.selected, result.pairing) == ("none", [], "natural")
    assert result.rows["image"].train == 60
    assert result.rows["text"].dimension == 8
    protocols = {metric.protocol for metric in result.metrics}
    assert protocols == {"map@all", "map@50/hits", "map@50/min", "map@50/relevant"}
    directions = {(metric.query, metric.gallery) for metric in result.metrics}
    assert directions == {("image", "text"), ("text", "image")}
    assert "(closed form)" in result.audit
    seconds = record.environment.seconds
    assert seconds["total"] >= seconds["load"] + seconds["fit"] + seconds["evaluate"] - 1e-5
    assert result.notes["word"] == "a"
    for metric in result.metrics:
        ap = finished.per_query[metric.selection, metric.protocol, metric.query, metric.gallery]
        assert len(ap) == metric.queries == 30
        assert float(ap.mean()) == pytest.approx(metric.value, abs=1e-12)


def test_two_methods_get_the_same_draws_and_other_seeds_get_others(small: Path) -> None:
    def draws(method: str, seed: int) -> Any:
        return done(run(method, small, seed=seed)).notes["draws"]

    assert draws("plain", 0) == draws("twin", 0)
    assert draws("plain", 1) == draws("twin", 1) != draws("plain", 0)


@pytest.mark.parametrize(
    ("method", "status", "kind", "reason"),
    [
        ("raises", "failed", "ValueError", "the matrix is singular"),
        ("nan", "refused", "RefusedEmbeddings", "NaN"),
        ("peeks", "failed", "SealedTestError", "test split"),
        ("sneaks", "failed", "SealedTestError", "hid the refusal"),
        ("hungry", "out-of-memory", "memory", "MemoryError"),
        ("mute", "failed", "_MuteError", "_MuteError"),
        ("unwritable", "failed", "TypeError", "JSON"),
        ("only_last", "failed", "PluginError", "'best'"),
        ("single", "skipped", "declared", "one class"),
    ],
)
def test_a_cell_that_fails_says_why_in_one_sentence_and_keeps_its_trace(
    small: Path, tmp_path: Path, method: str, status: str, kind: str, reason: str
) -> None:
    multi = method == "single"
    finished = run(method, write_bundle(tmp_path / "multi.npz", multi_label=True) if multi else small)
    record, failure = finished.record, finished.record.failure
    assert (record.status, record.result) == (status, None)
    assert failure is not None
    assert failure.kind == kind
    assert reason in failure.reason
    assert "\n" not in failure.reason
    assert bool(failure.traceback) == (status in ("failed", "out-of-memory"))
    assert f"{status}: {failure.reason}" in finished.log
    assert finished.trace == ([{"stage": "fit", "epoch": 1, "loss": 1.0}] if method == "raises" else [])


def test_pairs_that_are_missing_are_made_by_class_and_recorded(tmp_path: Path) -> None:
    unpaired = write_bundle(tmp_path / "unpaired.npz", paired=False)
    pairings = [done(run(method, unpaired)).pairing for method in ("paired", "plain")]
    assert pairings == ["class-matched", "none"]


def test_a_method_that_watches_its_deadline_stops_by_itself(small: Path) -> None:
    finished = run("watches", small, context(seconds=0.3))
    assert finished.record.status == "timeout"
    assert finished.trace
    assert finished.record.environment.seconds["total"] < 20.0  # it would go on for 30


def test_the_oracle_is_traced_on_request_only_and_changes_nothing_else(small: Path) -> None:
    usual = run("sdml", small, epochs=3)
    traced = run("sdml", small, context(trace_test=True), epochs=3)
    before, after = done(usual), done(traced)
    assert {metric.selection for metric in after.metrics} == {"best", "last", "oracle"}
    assert [metric for metric in after.metrics if metric.selection != "oracle"] == before.metrics
    assert ("oracle" in before.audit, "oracle" in after.audit) == (False, True)
    without = [{key: value for key, value in row.items() if key != "oracle_map"} for row in traced.trace]
    assert without == usual.trace
    assert all("oracle_map" in row for row in traced.trace)
    (oracle,) = (point for point in after.selected if point.rule == "oracle")
    values = [row["oracle_map"] for row in traced.trace]
    assert oracle.value == max(values, key=lambda value: float(value or 0))


def test_the_test_split_is_opened_only_after_the_selection_is_written_down(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bool] = []

    def load(*arguments: Any, **more: Any) -> Dataset:
        """Load a dataset that notes the state of the log when its test split is opened."""
        dataset = load_dataset(*arguments, **more)

        def open_test() -> Split:
            written.append("the selection was written down" in sys.stdout.getvalue())  # type: ignore[union-attr]
            return dataset.open_test()

        return replace(dataset, open_test=open_test)

    monkeypatch.setattr("bench.experiment.cell.load_dataset", load)
    assert run("plain", small).record.status == "done"
    assert written
    assert all(written)


def test_a_lost_cell_is_recorded_with_what_is_known_of_it(small: Path) -> None:
    (cell,) = cells_of(["plain"], small)
    failure = Failure(reason="it was killed", kind="signal")
    finished = lost(cell, context(), "failed", failure, 12.5, "last words")
    environment = finished.record.environment
    assert finished.record.identity == cell.identity
    assert (environment.seconds, environment.peak_memory) == ({"total": 12.5}, None)
    assert finished.log == "last words\nfailed: it was killed\n"


def test_threads_are_part_of_the_settings_and_change_no_other_thread_count(small: Path) -> None:
    from threadpoolctl import threadpool_info

    before = [library["num_threads"] for library in threadpool_info()]
    run("mcca", small)
    assert [library["num_threads"] for library in threadpool_info()][: len(before)] == before
