"""The results frame: one row per number, nothing recorded is left out; one filter selects from it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bench
from bench.analysis import COLUMNS, Filter, tables_of
from bench.analysis.groups import Data
from bench.analysis.results import Results, frame_of
from bench.contract.errors import UsageError
from bench.records import Record
from tests.analysis.making import IT, TI, metric, with_result
from tests.documents import ROOT, blocks
from tests.grid import Grid, run_command
from tests.records import making


def with_rules(record: Record, *rules: str) -> Record:
    metrics = [
        metric(direction, protocol=protocol, selection=rule)
        for rule in rules
        for protocol in ("map@all", "map@50/hits")
        for direction in (IT, TI)
    ]
    return with_result(record, metrics=metrics)


def test_the_columns_are_those_that_others_rely_on() -> None:
    assert ",".join(COLUMNS) == (
        "method,label,variant,dataset,kind,fingerprint,condition,modalities,device,code,harness,profile,seed,"
        "query,gallery,protocol,selection,value,status,record,threads,settings,reason"
    )


def test_a_row_per_direction_and_protocol_and_one_for_a_cell_without_result(grid: Grid) -> None:
    records = list(grid.store.records())
    frame = bench.results(grid.results)
    assert tuple(frame.columns) == COLUMNS
    for record in records:
        rows = frame[frame["record"] == record.digest]
        keys = rows.drop_duplicates(["query", "gallery", "protocol"])
        assert len(rows) == len(keys) == (8 if record.status == "done" else 1)
        assert {*rows["status"]} == {record.status}
        assert {*rows["reason"]} == {"" if record.failure is None else record.failure.reason}
    assert (frame["value"].isna() == (frame["status"] != "done")).all()
    assert {*frame["condition"]} == {"clean"}


def test_the_means_of_the_frame_are_those_of_the_tables(grid: Grid) -> None:
    records = [*grid.store.records()]
    frame = frame_of(records, selection="best")
    found = 0
    for table in tables_of(Results(records), ["map@all", "map@50/hits"]):
        of_data = (frame[[*Data._fields]] == pd.Series(table.data._asdict())).all(axis="columns")
        of_table = frame[of_data & (frame["protocol"] == table.protocol)]
        means = of_table.groupby(["label", "query", "gallery"])["value"].mean()
        for row in table.rows:
            for direction in table.directions:
                mean = row.entries[direction].mean
                assert mean == (None if mean is None else pytest.approx(means[(row.label, *direction)]))
                found += mean is not None
    taken = frame[frame["protocol"].isin(["map@all", "map@50/hits"])]
    assert found == taken.groupby(["label", "fingerprint", "query", "gallery", "protocol"]).ngroups > 0


def test_the_order_of_records_does_not_matter(grid: Grid) -> None:
    records = list(grid.store.records())
    shuffled = random.Random(0).sample(records, len(records))
    assert frame_of(shuffled).equals(frame_of(records))


def test_a_selection_has_its_numbers_and_those_of_closed_forms() -> None:
    every = ("best", "last", "oracle")
    deep = with_rules(making.record(), *every)
    closed = with_result(with_rules(making.record(seed=1), "none"), selection="none")
    for selection, rules in ((None, {"best"}), *((rule, {rule}) for rule in every), ("every", {*every})):
        frame = frame_of([deep, closed], selection=selection)
        assert {*frame[frame["seed"] == 0]["selection"]} == rules
        assert [*frame[frame["seed"] == 1]["selection"]] == ["none"] * 4


RECORDS = [
    making.record(),
    making.record(seed=1, variant="without_fa", fingerprint="0" * 16),
    making.record(method="mcca", dataset="pets", data_kind="look-alike", profile="paper", device="cuda"),
    making.record(method="mrl", modalities=("image", "text", "audio"), status="failed"),
]


@pytest.mark.parametrize(
    ("chosen", "kept"),
    [
        ({}, {0, 1, 2, 3}),
        ({"methods": ["m*"]}, {2, 3}),
        ({"methods": ["drcl", "mrl"]}, {0, 1, 3}),
        ({"datasets": ["emoji@0"]}, {1}),
        ({"datasets": ["pets", "emoji@f"]}, {0, 2, 3}),
        ({"variants": ["full"], "methods": ["drcl"]}, {0}),
        ({"kinds": ["look-alike"]}, {2}),
        ({"profiles": ["paper"]}, {2}),
        ({"seeds": [1, 2]}, {1}),
        ({"modalities": ["text", "image", "audio"]}, {3}),
        ({"fingerprints": ["00"]}, {1}),
        ({"records": [RECORDS[2].digest[:6]]}, {2}),
    ],
)
def test_a_filter_admits_what_fits_every_field_that_is_given(chosen: dict[str, Any], kept: set[int]) -> None:
    wanted = Filter(**chosen)
    assert {index for index, record in enumerate(RECORDS) if wanted.admits(record)} == kept
    assert wanted.of(RECORDS) == [RECORDS[index] for index in sorted(kept)]
    wanted.require_known(RECORDS)


def test_a_name_that_fits_no_record_is_refused_with_a_suggestion() -> None:
    for field, known in (("methods", "drcl"), ("datasets", "emoji"), ("variants", "without_fa")):
        words: dict[str, Any] = {field: [f"{known}x"]}
        with pytest.raises(UsageError, match=known):
            Filter(**words).require_known(RECORDS)
    with pytest.raises(UsageError, match="protocol"):
        frame_of(RECORDS, protocols=["map@al"])


@pytest.mark.parametrize(
    ("chosen", "noun"),
    [
        ({"kinds": "nonsense"}, "kind"),
        ({"profiles": "papr"}, "quick"),
        ({"modalities": "image+sound"}, "modalities"),
        ({"seeds": [99]}, "seed"),
        ({"seeds": "first"}, "seeds"),
        ({"selection": "bst"}, "best"),
        ({"methods": ["sm", 3]}, "name"),
    ],
)
def test_an_argument_that_fits_no_record_is_refused(grid: Grid, chosen: dict[str, Any], noun: str) -> None:
    with pytest.raises(UsageError, match=noun):
        bench.results(grid.results, **chosen)


def test_seeds_are_numbers_of_any_kind_and_modalities_are_written_as_in_the_frame(grid: Grid) -> None:
    everything = bench.results(grid.results, methods="mcca")
    sets = {*everything["modalities"]}
    given: list[Any] = [0, "0", np.int64(0), np.arange(1), [0]]
    for seeds in given:
        found = bench.results(grid.results, methods="mcca", seeds=seeds)
        assert {*found["seed"]} == {0}
    for together in sets:
        found = bench.results(grid.results, methods="mcca", modalities=together)
        assert {*found["modalities"]} == {together}


def test_labels_differ_also_from_those_that_a_filter_leaves_out() -> None:
    settings = {**making.identity().settings, "epochs": 5}
    records = [making.record(), making.record(settings=settings)]
    labels = {*frame_of(records)["label"]}
    assert len(labels) == 2
    assert {*frame_of(records, Filter(records=[records[1].digest]))["label"]} < labels


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no records"):
        bench.results(tmp_path)


def test_the_command_prints_the_frame(grid: Grid) -> None:
    printed = run_command("results", "--results", grid.results, "--format", "csv", "--methods", "mcca")
    frame = bench.results(grid.results, methods="mcca")
    assert printed.status == 0
    assert printed.out == frame.to_csv(index=False, lineterminator="\n")


def test_a_damaged_record_is_left_out_with_a_warning(grid: Grid, tmp_path: Path) -> None:
    shutil.copytree(grid.results, tmp_path / "results")
    folder = sorted((tmp_path / "results" / "runs").iterdir())[0]
    (folder / "record.json").write_text("{", encoding="utf-8")
    with pytest.warns(UserWarning, match="left out"):
        frame = bench.results(tmp_path / "results")
    assert folder.name not in {*frame["record"]}


def test_the_cells_of_the_docs_run_on_records(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").symlink_to(grid.results)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks(ROOT / "docs" / "results.md"):
        if block.language == "python":
            exec(block.text, names)
    shown = capsys.readouterr().out
    assert "DRCL" in shown
    assert names["frame"]["protocol"].isin(["map@all", ""]).all()
    assert names["means"].index.names == ["dataset", "label"]
