"""Cells that differ in any field of their identity never meet: in no row, mean, test, rank or comparison."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from bench.analysis import AVERAGE, tables_of
from bench.analysis.ablations import ablations_of
from bench.analysis.across_datasets import blocks_of, summary_tables_of
from bench.analysis.comparisons import all_pairs
from bench.analysis.convergence import curves_of
from bench.analysis.costs import costs_of, shares_of
from bench.analysis.groups import Data, MixedCells, by_data, data_of, row_groups
from bench.analysis.labels import Labels
from bench.analysis.ledger import Meaning, Value, ledger_of
from bench.analysis.optimism import optimism_of
from bench.analysis.per_query import per_query_tables
from bench.analysis.results import ROW_KEYS, Results
from bench.analysis.sensitivity import sensitivities_of
from bench.analysis.settings import tunings_of
from bench.analysis.tables import seed_values, values_of_row
from bench.records import Identity, Record
from bench.records.trials import Trial
from tests.analysis.cells_apart import BASE, OTHERWISE, SETTINGS, add, changes
from tests.analysis.making import Shelf, with_result

LABELS = Labels(
    title=str.upper,
    order=lambda method: (len(method), method),
    role=lambda _: "baseline",
    usual=lambda _: SETTINGS,
    modalities=lambda _: (),
    reference="drcl",
    variants=lambda _: {"without_fa": {"fa": False}},
)
ALL = ["map@all"]


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    """Cells that differ from one another in one field or two, each with a value of its own."""
    found, seen = Shelf(), set[str]()
    for place, change in enumerate(changes()):
        if Identity(**{**BASE, **change}).digest not in seen:
            seen.add(add(found, 0.1 + place / 2_000, **change).digest)
    return found


def values(shelf: Shelf) -> dict[str, float]:
    return {record.digest: record.result.metrics[0].value for record in shelf.records if record.result}


def test_every_field_of_an_identity_is_varied() -> None:
    assert set(OTHERWISE) == set(Identity.__struct_fields__)


def unmixed(records: Iterable[Record]) -> None:
    """Check that records differ in nothing but their seeds and pairs of modalities, and never meet."""
    members = list(records)
    apart = {msgspec.structs.replace(one.identity, seed=0, modalities=()).digest for one in members}
    assert len(apart) == 1
    met = Counter(
        (direction, one.identity.seed)
        for one in members
        for direction in permutations(one.identity.modalities, 2)
    )
    assert max(met.values()) == 1
    if len(members) > 1:  # of several modalities only pairs may be put together
        assert len({one.identity.modalities for one in members}) == 1 or all(
            len(one.identity.modalities) == 2 for one in members
        )


def test_no_two_cells_meet_in_a_row_of_a_table(shelf: Shelf) -> None:
    grouped = by_data(shelf.records).items()
    rows = [(data, line) for data, members in grouped for line in row_groups(members, LABELS)]
    assert sum(len(line.records) for _, line in rows) == len(shelf.records)
    for data, line in rows:
        unmixed(line.records)
        assert {data_of(record) for record in line.records} == {data}
    labels = Counter((data, line.label) for data, line in rows)
    assert max(labels.values()) == 1


def test_every_number_of_a_table_is_the_mean_of_its_own_records(shelf: Shelf) -> None:
    known, digests = values(shelf), set[str]()
    for table in tables_of(Results(shelf.records, LABELS), ALL):
        for row in table.rows:
            for direction, entry in row.entries.items():
                own = {digest: known[digest] for digest in entry.records}
                digests |= own.keys()
                if entry.mean is not None and direction != AVERAGE:
                    assert entry.seeds == len(own)
                    assert entry.mean == pytest.approx(sum(own.values()) / len(own))
    assert digests == known.keys()


def test_values_per_query_and_comparisons_hold_one_cell_per_direction_and_seed(shelf: Shelf) -> None:
    arrays = {id(array): digest for digest, own in shelf.arrays.items() for array in own.values()}
    records = {record.digest: record for record in shelf.records}
    seen = 0
    for field in per_query_tables(Results(shelf.records, LABELS), ALL, "best", shelf.per_query):
        for member in field.rows:
            own = {arrays[id(one)] for by_seeds in member.values.values() for one in by_seeds.values()}
            unmixed(records[digest] for digest in own)
            assert {data_of(records[digest]) for digest in own} == {field.data}
            seen += len(own)
        for one in all_pairs(field, 10).comparisons:
            assert one.first != one.second
    assert seen == len(records)


def test_the_frame_groups_by_its_keys_into_the_tables(shelf: Shelf) -> None:
    results = Results(shelf.records, LABELS)
    frame = results.frame[results.frame["selection"] == "best"]
    keys = [*ROW_KEYS, "query", "gallery"]
    assert not frame.duplicated([*keys, "seed"]).any()
    means = frame.groupby(keys, sort=False)["value"].mean()
    entries = {
        (*table.data, row.label, *direction): row.entries[direction].mean
        for table in tables_of(results, ALL)
        for row in table.rows
        for direction in table.directions
        if row.entries[direction].mean is not None
    }
    assert means.to_dict() == pytest.approx(entries)


def test_values_by_seed_are_those_of_the_rows_records(shelf: Shelf) -> None:
    results = Results(shelf.records, LABELS)
    for groups in results.groups.values():
        for group in groups:
            directions = list(permutations(group.identity.modalities, 2))
            values, _ = seed_values(results, data_of(group.records[0]), directions, "map@all", "best")
            found = values_of_row(values, group.label)[directions]
            sizes = [len(record.identity.modalities) for record in group.records]
            assert found.count().sum() == sum(size**2 - size for size in sizes)


def digests_of_rows(found: Iterable[Any]) -> list[set[str]]:
    return [{digest for entry in row.entries.values() for digest in entry.records} for row in found]


def test_ablations_settings_optimism_costs_and_curves_mix_nothing(shelf: Shelf) -> None:
    records = {record.digest: record for record in shelf.records}
    rows: list[set[str]] = []
    for ablation in ablations_of(Results(shelf.records, LABELS), ALL):
        rows += digests_of_rows([ablation.full, *(one.row for one in ablation.components)])
        parts = (ablation.full, *(one.row for one in ablation.components))
        family = [records[digest] for own in digests_of_rows(parts) for digest in own]
        assert {data_of(record) for record in family} == {ablation.data}
        assert len({(record.identity.code, record.identity.threads) for record in family}) == 1
    for one in sensitivities_of(Results(shelf.records, LABELS), ALL):
        rows += digests_of_rows(point.row for point in one.points)
        fixed = {
            msgspec.structs.replace(records[digest].identity, seed=0, modalities=(), settings={}).digest
            for own in digests_of_rows(point.row for point in one.points)
            for digest in own
        }
        assert len(fixed) == 1
    rows += [set(one.records) for one in optimism_of(Results(shelf.records, LABELS), ALL)]
    for own in rows:
        unmixed(records[digest] for digest in own)
    costs = costs_of(Results(shelf.records, LABELS))
    traced = curves_of(Results(shelf.records, LABELS), lambda _: [{"validation_map": 0.5}])
    for data, members in by_data(shelf.records).items():
        lines = row_groups(members, LABELS)
        counts = {line.label: len(line.records) for line in lines}
        assert {cost.label: cost.cells for cost in costs[data]} == counts
        assert {curve.label: curve.cells for curve in traced[data]} == counts
    assert {key[1:] for key in shares_of(Results(shelf.records, LABELS))} == {
        (data.device, data.harness) for data in by_data(shelf.records)
    }


def test_ranks_and_the_overall_table_mix_nothing(shelf: Shelf) -> None:
    records = {record.digest: record for record in shelf.records}
    tables = tables_of(Results(shelf.records, LABELS), ALL)
    blocks = blocks_of(tables, "drcl")
    for block in blocks:
        for own in block.records:
            assert len({_but_for_data(records[digest].identity) for digest in own}) == 1
            assert {data_of(records[digest]) for digest in own} == set(block.data)
    for overall in summary_tables_of(tables, blocks):
        for line in overall.lines:
            behind = {digest for entry in line.entries.values() for digest in entry.records}
            assert len({_but_for_data(records[digest].identity) for digest in behind}) <= 1


def _but_for_data(who: Identity) -> tuple[Any, ...]:
    how = who.method, who.variant, who.threads, who.code
    return *how, who.profile, who.data_kind, who.device, who.harness, who.condition


def test_the_ledger_holds_a_published_value_against_one_row_of_each_data(shelf: Shelf) -> None:
    papers = [record for record in shelf.records if record.identity.profile == "paper"]
    value = Value("DRCL", "emoji", "average", "mAP", 0.5, "a paper")
    meaning = Meaning("drcl", "emoji", ("image", "text"), AVERAGE, "map@all", "", "")
    published: Any = SimpleNamespace(values=[value], meaning=lambda _: meaning)
    records = {record.digest: record for record in shelf.records}
    seen = Counter[Data]()
    for line in ledger_of(Results(papers, LABELS), published):
        assert line.ours is not None
        unmixed(records[digest] for digest in line.ours.entry.records)
        assert not any(records[digest].identity.condition for digest in line.ours.entry.records)
        seen[line.ours.data] += 1
    assert max(seen.values()) == 1


def test_trials_of_different_cells_are_not_averaged(shelf: Shelf) -> None:
    trials, groups = [], defaultdict[str, list[float]](list)
    for number, record in enumerate(shelf.records):
        who, value = record.identity, number / len(shelf.records)
        fields: dict[str, Any] = {
            "identity": who,
            "changes": {},
            "status": "done",
            "reason": "",
            "seconds": 1.0,
        }
        trials.append(Trial(**fields, validation_map=value))
        together = who.modalities if len(who.modalities) > 2 else ()
        alike = msgspec.structs.replace(who, seed=0, modalities=together)
        groups[alike.digest].append(value)
    means = [sum(values) / len(values) for values in groups.values()]
    attempts = [one.value for tuning in tunings_of(trials) for one in tuning.attempts]
    assert attempts
    assert all(any(value == pytest.approx(mean) for mean in means) for value in attempts)


def test_two_records_of_one_cell_are_an_error_and_never_one_value(shelf: Shelf) -> None:
    record = shelf.records[0]
    with pytest.raises(MixedCells, match=record.digest):
        row_groups([record, record], LABELS)
    assert record.result is not None
    doubled = with_result(record, metrics=[*record.result.metrics] * 2)
    with pytest.raises(MixedCells, match="image→text"):
        tables_of(Results([doubled], LABELS), ALL)


def test_sets_of_modalities_of_one_size_are_rows_of_their_own() -> None:
    found = Shelf()
    audio = add(found, 0.2, modalities=("image", "text", "audio"))
    video = add(found, 0.6, modalities=("image", "text", "video"))
    (table,) = tables_of(Results(found.records, LABELS), ALL)
    rows = {row.label: row.entries["image", "text"] for row in table.rows}
    assert {label: (entry.mean, entry.records) for label, entry in rows.items()} == {
        "DRCL [image+text+audio]": (0.2, (audio.digest,)),
        "DRCL [image+text+video]": (0.6, (video.digest,)),
    }


def test_pairs_that_make_up_one_row_stay_together_beside_a_set() -> None:
    found = Shelf()
    for pair in (("image", "text"), ("image", "audio"), ("text", "audio")):
        add(found, 0.2, modalities=pair)
    add(found, 0.6, modalities=("image", "text", "audio"))
    (table,) = tables_of(Results(found.records, LABELS), ALL)
    means = {row.label: row.entries[AVERAGE].mean for row in table.rows}
    assert means == pytest.approx({"DRCL [in pairs]": 0.2, "DRCL [image+text+audio]": 0.6})


def test_labels_name_the_code_that_differs() -> None:
    found = Shelf()
    add(found, 0.2, code="training 1, drcl 1")
    last = add(found, 0.6, code="training 1, drcl 2")
    run = msgspec.structs.replace(last.environment, started="2027-01-01T00:00:00.000+00:00")
    found.records[-1] = msgspec.structs.replace(last, environment=run)
    (table,) = tables_of(Results(found.records, LABELS), ALL)
    labels = [(row.label, row.usual) for row in table.rows]
    assert labels == [("DRCL", True), ("DRCL [earlier code: drcl 1]", False)]
    assert table.rows[0].entries[AVERAGE].mean == pytest.approx(0.6)


def test_a_record_without_a_kind_of_device_has_that_which_it_ran_on() -> None:
    found = Shelf()
    first = add(found, 0.2, device="", harness="", code="")
    run = msgspec.structs.replace(first.environment, device="cuda:1")
    assert data_of(first).device == "cpu"
    assert data_of(msgspec.structs.replace(first, environment=run)).device == "cuda"
