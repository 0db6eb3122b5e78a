"""Cells that are evaluated by more protocols than those of mAP, also once they are finished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bench.analysis.labels import registry_labels
from bench.analysis.results import Results
from bench.analysis.tables import AVERAGE, tables_of
from bench.contract import UsageError
from bench.evaluation.protocols import FURTHER_PROTOCOLS, further_protocols
from bench.execution.grid_runner import remaining
from bench.experiment.cell import Finished, run_cell
from bench.experiment.run_context import RunContext, keeping
from bench.records.encoding import decode_per_query, encode_per_query
from bench.records.schema import check_record
from bench.records.store import Store
from bench.report.cells import top_two
from tests.experiment.running import context, done, run
from tests.grid import cells_of, write_bundle

METHOD = "sm"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    return run(METHOD, bundle, context(protocols=further_protocols(protocols)))


def test_standard_protocols_are_recorded_with_their_values_per_query(bundle: Path) -> None:
    made = finished(bundle, "standard")
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
    bundle: Path, tmp_path: Path
) -> None:
    store, made = Store(tmp_path), finished(bundle, "mrr")
    store.write(made.record, made.per_query, made.trace, made.log, made.view)
    cells = cells_of([METHOD], bundle)
    assert remaining(cells, store, protocols=["mrr"]) == remaining(cells, store) == []
    assert remaining(cells, store, protocols=["mrr", "recall@5"]) == cells
    again = run_cell(cells[0], keeping(RunContext(protocols=("recall@5",)), done(made)))
    before, after = ({metric.series: metric.value for metric in done(one).metrics} for one in (made, again))
    assert before.items() < after.items()
    assert remaining(cells, store, trace_test=True) == []  # a closed form has no trace


def test_tables_choose_a_protocol_by_its_base_and_know_which_way_is_better(bundle: Path) -> None:
    record = finished(bundle, "medr").record
    results = Results([record], registry_labels([record]))
    main, ranks = tables_of(results, ["map@all", "medr"])
    assert (main.protocol, ranks.protocol) == ("map@all/gallery", "medr/gallery")
    assert (main.lower_is_better, ranks.lower_is_better) == (False, True)
    entry = ranks.rows[0].entries[AVERAGE]
    assert entry.mean is not None
    entries = [replace(entry, mean=mean) for mean in (12.0, 9.5, 100.0)]
    assert top_two(entries, "medr/gallery") == ["9.500", "12.000"]
    assert top_two(entries, "map@all") == ["100.000", "12.000"]


def test_ranks_below_one_and_shares_above_it_are_no_numbers(bundle: Path) -> None:
    record = finished(bundle, "medr").record
    for protocol, value in (("medr/gallery", 0.5), ("medr/gallery", 92.0), ("map@all/gallery", 1.5)):
        metrics = [
            msgspec.structs.replace(metric, value=value) if metric.protocol == protocol else metric
            for metric in record.result.metrics  # type: ignore[union-attr]
        ]
        changed = msgspec.structs.replace(record.result, metrics=metrics)  # type: ignore[type-var]
        with pytest.raises(ValueError, match="between"):
            check_record(msgspec.structs.replace(record, result=changed))


@pytest.mark.parametrize("word", ["map@50", "recall@all", "map@all/skip", "bleu"])
def test_words_that_name_no_protocol_of_records_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"protocol|divide|cut-off|queries"):
        further_protocols([word])
