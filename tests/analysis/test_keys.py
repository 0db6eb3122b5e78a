"""Cells that differ in any field of their identity share no row, mean, test, rank or comparison."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from bench.analysis import AVERAGE, Table, tables_of
from bench.analysis.ablations import ablations_of
from bench.analysis.across_datasets import blocks_of, summary_tables_of
from bench.analysis.comparisons import all_pairs
from bench.analysis.convergence import curves_of
from bench.analysis.costs import costs_of, shares_of
from bench.analysis.groups import Data, MixedCells, data_of, row_groups
from bench.analysis.ledger import Meaning, Value, ledger_of
from bench.analysis.optimism import optimism_of
from bench.analysis.per_query import per_query_tables
from bench.analysis.results import ROW_KEYS, Results
from bench.analysis.sensitivity import sensitivities_of
from bench.analysis.settings import tunings_of
from bench.analysis.tables import Row, seed_values
from bench.records import Identity
from bench.records.trials import Trial
from tests.analysis.cells_apart import BASE, OTHERWISE, SETTINGS, add, changes
from tests.analysis.making import Shelf, close
from tests.analysis.test_tables import LABELS as BASE_LABELS

VARIANTS = {"without_fa": {"fa": False}}
LABELS = replace(
    BASE_LABELS,
    usual=lambda _: SETTINGS,
    modalities=lambda _: (),
    reference="drcl",
    variants=lambda _: VARIANTS,
)
ALL = ["map@all"]


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    """Cells that differ from one another in one field or two, each with a value that no other has."""
    shelf, seen = Shelf(), set[str]()
    for index, change in enumerate(changes()):
        if Identity(**{**BASE, **change}).digest not in seen:
            seen.add(add(shelf, 0.1 + index / 2_000, **change).digest)
    return shelf


@pytest.fixture(scope="module")
def results(shelf: Shelf) -> Results:
    return Results(shelf.records, LABELS)


@pytest.fixture(scope="module")
def tables(results: Results) -> list[Table]:
    return tables_of(results, ALL)


def table(shelf: Shelf) -> Table:
    (only,) = tables_of(Results(shelf.records, LABELS), ALL)
    return only


def unmixed(results: Results, digests: Iterable[str]) -> set[Data]:
    """Check that records differ in seeds and pairs of modalities alone; return their data."""
    records = [results.by_digest[digest] for digest in digests]
    cells = [record.identity for record in records]
    assert len({msgspec.structs.replace(cell, seed=0, modalities=()).digest for cell in cells}) == 1
    numbers = Counter((pair, cell.seed) for cell in cells for pair in permutations(cell.modalities, 2))
    assert max(numbers.values()) == 1
    sets = {cell.modalities for cell in cells}  # of several modalities only pairs may be put together
    assert len(sets) == 1 or {len(names) for names in sets} == {2}
    return {data_of(record) for record in records}


def behind(rows: Iterable[Row]) -> list[set[str]]:
    """Return the digests behind each row."""
    return [{digest for entry in row.entries.values() for digest in entry.records} for row in rows]


def test_every_field_of_an_identity_is_varied() -> None:
    assert set(OTHERWISE) == set(Identity.__struct_fields__)


def test_rows_of_tables_mix_no_cells(results: Results) -> None:
    rows = [(data, group) for data, groups in results.groups.items() for group in groups]
    assert sum(len(group.records) for _, group in rows) == len(results.records)
    for data, group in rows:
        assert unmixed(results, [record.digest for record in group.records]) == {data}
    assert max(Counter((data, group.label) for data, group in rows).values()) == 1


def test_every_number_of_a_table_is_the_mean_of_its_records(results: Results, tables: list[Table]) -> None:
    known = {record.digest: record.result.metrics[0].value for record in results.records if record.result}
    digests = set[str]()
    for row in (row for table in tables for row in table.rows):
        for direction, entry in row.entries.items():
            digests |= set(entry.records)
            if entry.mean is not None and direction != AVERAGE:
                assert entry.seeds == len(entry.records)
                assert entry.mean == pytest.approx(sum(known[one] for one in entry.records) / entry.seeds)
    assert digests == known.keys()


def test_values_per_query_hold_one_cell_per_direction_and_seed(shelf: Shelf, results: Results) -> None:
    digest_of = {id(array): digest for digest, arrays in shelf.arrays.items() for array in arrays.values()}
    seen = 0
    for table in per_query_tables(results, ALL, "best", shelf.per_query):
        for row in table.rows:
            digests = {digest_of[id(one)] for by_seed in row.values.values() for one in by_seed.values()}
            assert unmixed(results, digests) == {table.data}
            seen += len(digests)
        assert all(one.first != one.second for one in all_pairs(table, 10).comparisons)
    assert seen == len(results.records)


def test_the_frame_groups_by_its_keys_into_the_tables(results: Results, tables: list[Table]) -> None:
    frame = results.frame[results.frame["selection"] == "best"]
    keys = [*ROW_KEYS, "query", "gallery"]
    assert not frame.duplicated([*keys, "seed"]).any()
    means = frame.groupby(keys, sort=False)["value"].mean()
    entries = {
        (*table.data, row.label, *direction): row.entries[direction].mean
        for table in tables
        for row in table.rows
        for direction in table.directions
        if row.entries[direction].mean is not None
    }
    assert means.to_dict() == pytest.approx(entries)


def test_values_by_seed_are_those_of_the_rows_records(results: Results) -> None:
    for data, groups in results.groups.items():
        directions = list(permutations({name for group in groups for name in group.modalities}, 2))
        recorded = results.numbers(data, "map@all", "best")
        for group in groups:
            values = seed_values(recorded[group.label], directions)
            found = [one for numbers in values.values() for one in numbers.keys() - {AVERAGE}]
            sizes = [len(record.identity.modalities) for record in group.records]
            assert len(found) == sum(size**2 - size for size in sizes)


def test_ablations_sensitivity_and_optimism_mix_nothing(results: Results) -> None:
    cells = {digest: record.identity for digest, record in results.by_digest.items()}
    for ablation in ablations_of(results, ALL):
        rows = behind([ablation.full, *(component.row for component in ablation.components)])
        assert set.union(*(unmixed(results, digests) for digests in rows)) == {ablation.data}
        assert len({(cells[one].code, cells[one].threads) for digests in rows for one in digests}) == 1
    for sensitivity in sensitivities_of(results, ALL):
        rows = behind(point.row for point in sensitivity.points)
        assert set.union(*(unmixed(results, digests) for digests in rows)) == {sensitivity.data}
        unlike = {"seed": 0, "modalities": (), "settings": {}}
        fixed = {msgspec.structs.replace(cells[one], **unlike).digest for digests in rows for one in digests}
        assert len(fixed) == 1
    for optimism in optimism_of(results, ALL):
        assert unmixed(results, optimism.records) == {optimism.data}


def test_costs_and_curves_mix_nothing(results: Results) -> None:
    costs, curves = costs_of(results), curves_of(results, lambda _: [{"validation_map": 0.5}])
    for data, groups in results.groups.items():
        counts = {group.label: len(group.records) for group in groups}
        assert {cost.label: cost.cells for cost in costs[data]} == counts
        assert {curve.label: curve.cells for curve in curves[data]} == counts
    assert {key[1:] for key in shares_of(results)} == {(data.device, data.harness) for data in results.groups}


@pytest.mark.parametrize("losses", [(math.inf, -math.inf), (1.7e308, 1.7e308), (10**400, 1), (math.nan, 1.0)])
def test_a_loss_that_cannot_be_summed_has_no_sum_and_a_map_no_point(
    results: Results, losses: tuple[float, float]
) -> None:
    row = {"validation_map": 0.5, "train_loss/image": losses[0], "train_loss/text": losses[1]}
    for curves in curves_of(results, lambda _: [row, {**row, "validation_map": losses[0]}]).values():
        for curve in curves:
            assert curve.values == (0.5,)
            assert math.isnan(curve.losses[0])


def test_ranks_and_the_summary_table_mix_nothing(results: Results, tables: list[Table]) -> None:
    def rows_but_for_data(digests: Iterable[str]) -> set[str]:
        unlike = {"seed": 0, "modalities": (), "dataset": "", "fingerprint": "", "settings": {}}
        cells = (results.by_digest[digest].identity for digest in digests)
        return {msgspec.structs.replace(cell, **unlike).digest for cell in cells}

    blocks = blocks_of(tables, "drcl")
    for block in blocks:
        for digests in block.records:
            assert len(rows_but_for_data(digests)) == 1
            assert {data_of(results.by_digest[digest]) for digest in digests} == set(block.data)
    for summary in summary_tables_of(tables, blocks):
        for line in summary.lines:
            of_line = {digest for entry in line.entries.values() for digest in entry.records}
            assert len(rows_but_for_data(of_line)) <= 1


def test_the_ledger_compares_a_published_value_with_one_row_of_each_data(results: Results) -> None:
    value = Value("DRCL", "emoji", "average", "mAP", 0.5, "a paper")
    meaning = Meaning("drcl", "emoji", ("image", "text"), AVERAGE, "map@all", "clean", "", "")
    published: Any = SimpleNamespace(values=[value], meaning=lambda _: meaning)
    papers = results.where(lambda record: record.identity.profile == "paper")
    seen = Counter[Data]()
    for line in ledger_of(papers, published):
        assert line.ours is not None
        assert unmixed(results, line.ours.entry.records) == {line.ours.data}
        assert line.ours.data.condition == "clean"
        seen[line.ours.data] += 1
    assert max(seen.values()) == 1


def test_trials_of_different_cells_are_not_averaged(shelf: Shelf) -> None:
    trials, groups = [], defaultdict[str, list[float]](list)
    for number, record in enumerate(shelf.records):
        cell, value = record.identity, number / len(shelf.records)
        fields: dict[str, Any] = {"identity": cell, "changes": {}, "status": "done", "reason": ""}
        trials.append(Trial(**fields, seconds=1.0, validation_map=value))
        together = cell.modalities if len(cell.modalities) > 2 else ()
        groups[msgspec.structs.replace(cell, seed=0, modalities=together).digest].append(value)
    means = [sum(values) / len(values) for values in groups.values()]
    attempts = [attempt.value for tuning in tunings_of(trials) for attempt in tuning.attempts]
    assert attempts
    assert all(any(value == pytest.approx(mean) for mean in means) for value in attempts)


def test_two_records_of_one_cell_are_an_error_and_never_one_value(shelf: Shelf) -> None:
    record = shelf.records[0]
    with pytest.raises(MixedCells, match=record.digest):
        row_groups([record, record], LABELS)
    with pytest.raises(MixedCells, match=record.digest):
        tables_of(Results([record, record], LABELS), ALL)


def test_sets_of_modalities_of_one_size_have_separate_rows() -> None:
    shelf = Shelf()
    for value, third in ((0.2, "audio"), (0.6, "video")):
        add(shelf, value, modalities=("image", "text", third))
    entries = {row.label: row.entries["image", "text"] for row in table(shelf).rows}
    assert {label: (entry.mean, entry.records) for label, entry in entries.items()} == {
        "DRCL [image+text+audio]": (0.2, (shelf.records[0].digest,)),
        "DRCL [image+text+video]": (0.6, (shelf.records[1].digest,)),
    }


def test_pairs_that_make_up_one_row_stay_together_beside_a_set() -> None:
    shelf = Shelf()
    for pair in (("image", "text"), ("image", "audio"), ("text", "audio")):
        add(shelf, 0.2, modalities=pair)
    add(shelf, 0.6, modalities=("image", "text", "audio"))
    means = {row.label: row.entries[AVERAGE].mean for row in table(shelf).rows}
    assert means == pytest.approx({"DRCL [in pairs]": 0.2, "DRCL [image+text+audio]": 0.6})


def test_labels_name_the_code_that_differs() -> None:
    shelf = Shelf()
    add(shelf, 0.2, code="training 1, drcl 1")
    last = add(shelf, 0.6, code="training 1, drcl 2")
    run = msgspec.structs.replace(last.environment, started="2027-01-01T00:00:00.000+00:00")
    shelf.records[-1] = msgspec.structs.replace(last, environment=run)
    rows = [(row.label, row.usual, row.entries[AVERAGE].mean) for row in table(shelf).rows]
    assert rows == [("DRCL", True, close(0.6)), ("DRCL [earlier code: drcl 1]", False, close(0.2))]


def test_a_record_without_a_kind_of_device_has_the_one_that_it_ran_on() -> None:
    record = add(Shelf(), 0.2, device="", harness="", code="")
    run = msgspec.structs.replace(record.environment, device="cuda:1")
    assert data_of(record).device == "cpu"
    assert data_of(msgspec.structs.replace(record, environment=run)).device == "cuda"
