"""Tables: means over seeds of like with like, and a reason wherever a number is missing."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis import AVERAGE, Labels, Row, Table, tables_of
from bench.analysis.results import Results
from bench.records import Identity, Record
from tests.analysis.making import IT, TI, metric, with_result
from tests.records import making


def usual(identity: Identity) -> Mapping[str, Any] | None:
    return None if identity.method == "gone" else making.identity().settings


LABELS = Labels(
    title=str.upper,
    order=lambda method: (len(method), method),
    role=lambda method: "reference" if method == "sm" else "baseline",
    usual=usual,
    modalities=lambda dataset: ("image", "text"),
)


def done(
    values: Mapping[tuple[str, str], float] | float = 0.5,
    protocol: str = "map@all",
    selection: str = "best",
    pairing: str = "natural",
    **changes: Any,
) -> Record:
    """Return a finished record with these numbers."""
    numbers = values if isinstance(values, Mapping) else {IT: values, TI: values}
    metrics = [
        metric(direction, value, protocol, selection=selection) for direction, value in numbers.items()
    ]
    return with_result(making.record(**changes), metrics=metrics, pairing=pairing)


def table(records: Sequence[Record], selection: str = "best") -> Table:
    (only,) = tables_of(Results(records, LABELS), ["map@all"], selection)
    return only


def row(records: Sequence[Record], selection: str = "best") -> Row:
    (only,) = table(records, selection).rows
    return only


NUMBERS = st.floats(0.0, 1.0)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_an_entry_is_the_mean_and_sample_deviation_over_seeds_in_any_order(
    pairs: list[tuple[float, float]], random: Any
) -> None:
    records = [done({IT: a, TI: b}, seed=seed) for seed, (a, b) in enumerate(pairs)]
    random.shuffle(records)
    found = row(records)
    averages = [(a + b) / 2 for a, b in pairs]
    for column, values in ((IT, [a for a, _ in pairs]), (TI, [b for _, b in pairs]), (AVERAGE, averages)):
        entry = found.entries[column]
        assert entry.seeds == len(pairs)
        assert entry.mean == pytest.approx(statistics.fmean(values), abs=1e-12)
        if len(pairs) == 1:
            assert entry.deviation is None
        else:
            assert entry.deviation == pytest.approx(statistics.stdev(values), abs=1e-9)
        assert set(entry.records) == {record.digest for record in records}


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({"variant": "without_fa"}, "DRCL without_fa"),
        ({"threads": 4}, "DRCL [threads=4]"),
        ({"settings": {**making.identity().settings, "epochs": 5}}, "DRCL [epochs=5]"),
        ({"settings": {"epochs": 20}}, "DRCL [layers=null"),
    ],
)
def test_what_was_run_otherwise_gets_a_row_of_its_own_and_says_how(
    change: dict[str, Any], label: str
) -> None:
    rows = table([done(0.1), done(0.9, seed=1, **change)]).rows
    labels = [found.label for found in rows]
    assert labels[0] == "DRCL"
    assert labels[1].startswith(label)
    assert all(entry.seeds == 1 for found in rows for entry in found.entries.values())


def test_settings_of_a_method_that_is_gone_are_compared_with_each_other() -> None:
    settings = making.identity().settings
    records = [done(0.1, method="gone"), done(0.3, method="gone", seed=1)]
    records.append(done(0.9, method="gone", seed=1, settings={**settings, "epochs": 5}))
    rows = {found.label: found for found in table(records).rows}
    assert set(rows) == {"GONE [epochs=20]", "GONE [epochs=5]"}
    assert rows["GONE [epochs=20]"].entries[IT].mean == pytest.approx(0.2)


def test_methods_of_one_title_can_be_told_apart() -> None:
    same = replace(LABELS, title=lambda _: "Same")
    (found,) = tables_of(Results([done(method="a"), done(method="b")], same), ["map@all"])
    assert [line.label for line in found.rows] == ["Same (a)", "Same (b)"]


def test_settings_that_differ_only_in_what_a_label_cannot_show_still_get_two_rows() -> None:
    settings = making.identity().settings
    rows = table([done(), done(seed=1, settings={**settings, "new": None})]).rows
    assert len({found.label for found in rows}) == len(rows) == 2


def test_a_method_that_took_all_modalities_is_not_mixed_with_its_pairs() -> None:
    three = ("image", "text", "audio")
    joint = done({("image", "text"): 0.9, ("text", "image"): 0.9}, modalities=three)
    pair = done({("image", "text"): 0.1, ("text", "image"): 0.1})
    rows = table([joint, pair]).rows
    assert sorted(found.entries[IT].mean or 0 for found in rows) == [0.1, 0.9]
    assert {found.label for found in rows} == {"DRCL [image+text+audio]", "DRCL [image+text]"}
    assert [found.usual for found in rows] == [True, False]  # that of most modalities stands for the method


def test_pairs_of_modalities_make_up_one_row_whose_average_needs_all_of_them() -> None:
    names = ("image", "text", "audio")
    pairs = [("image", "text"), ("image", "audio"), ("text", "audio")]
    records = [done({p: 0.2, p[::-1]: 0.4}, modalities=p) for p in pairs]
    full = row(records)
    assert full.entries[AVERAGE].mean == pytest.approx(0.3)
    assert len(full.entries) == 7
    assert set(full.entries) - {AVERAGE} == {(a, b) for a in names for b in names if a != b}
    failed = making.record(status="failed", reason="singular", modalities=pairs[2])
    partial = row([*records[:2], failed])
    assert partial.entries["text", "audio"].reason == "failed: singular"
    assert partial.entries[AVERAGE].mean is None
    assert partial.entries[AVERAGE].reason == "failed: singular"
    assert partial.entries["image", "text"].mean == pytest.approx(0.2)
    assert row(records[:2]).entries["audio", "text"].reason == "not run"


def test_an_average_uses_the_seeds_that_have_all_directions() -> None:
    pairs = [("image", "text"), ("image", "audio"), ("text", "audio")]
    records = [done({p: 0.2, p[::-1]: 0.2}, modalities=p, seed=0) for p in pairs]
    extra = done({pairs[0]: 0.8, pairs[0][::-1]: 0.8}, modalities=pairs[0], seed=1)
    found = row([*records, extra])
    assert found.entries[IT].seeds == 2
    assert found.entries[AVERAGE].seeds == 1
    assert found.entries[AVERAGE].mean == pytest.approx(0.2)
    assert extra.digest not in found.entries[AVERAGE].records
    scattered = [done({p: 0.2, p[::-1]: 0.2}, modalities=p, seed=n) for n, p in enumerate(pairs)]
    assert row(scattered).entries[AVERAGE].reason == "no seed has all directions"


@pytest.mark.parametrize("status", ["failed", "timeout", "out-of-memory", "refused", "skipped"])
def test_a_row_without_numbers_says_why(status: Any) -> None:
    found = row([making.record(status=status, reason="this and that\nmore")])
    assert {entry.reason for entry in found.entries.values()} == {f"{status}: this and that"}
    assert found.lacking == (f"{status}: this and that",)


def test_a_row_with_some_numbers_counts_the_cells_that_have_none() -> None:
    failed = [making.record(seed=seed, status="failed", reason="x") for seed in (1, 2)]
    found = row([done(seed=0), *failed])
    assert found.entries[IT].seeds == 1
    assert found.lacking == ("2 of 3 cells failed: x",)


def test_numbers_under_another_rule_are_not_borrowed() -> None:
    record = done(0.5)
    (other,) = tables_of(Results([record], LABELS), ["map@50/hits"])
    assert {entry.reason for entry in other.rows[0].entries.values()} == {"not evaluated under map@50/hits"}
    assert row([record], "oracle").entries[IT].reason == "nothing was selected by the rule oracle"
    assert row([done(0.5, selection="none")], "oracle").entries[IT].mean == 0.5


def test_real_data_come_first_and_rows_in_the_rosters_order() -> None:
    records = [done(data_kind="look-alike", dataset="a"), done(dataset="z"), done(dataset="b")]
    records += [done(dataset="z", method="sm"), done(dataset="z", variant="x")]
    tables = tables_of(Results(records, LABELS), ["map@all"])
    found = [(one.data.kind, one.data.dataset) for one in tables]
    assert found == [("real", "b"), ("real", "z"), ("look-alike", "a")]
    assert [found.label for found in tables[1].rows] == ["SM", "DRCL", "DRCL x"]
    assert tables[1].rows[0].role == "reference"


def test_columns_follow_the_datasets_order_or_that_of_the_widest_record() -> None:
    joint = done({("b", "a"): 0.1}, modalities=("b", "c", "a"))
    pair = done({("a", "b"): 0.1}, modalities=("a", "b"))
    unknown = replace(LABELS, modalities=lambda _: ())
    known = replace(LABELS, modalities=lambda _: ("c", "a", "b"))
    for labels, first in ((unknown, ("b", "c")), (known, ("c", "a"))):
        (found,) = tables_of(Results([pair, joint], labels), ["map@all"])
        assert found.columns[0] == first
        assert found.columns[-1] == AVERAGE
        assert len(found.columns) == 7


def test_pseudo_pairs_mark_the_whole_row() -> None:
    assert row([done(pairing="natural"), done(pairing="class-matched", seed=1)]).pairing == "class-matched"
    assert row([done(pairing="none")]).pairing == ""


def test_a_missing_number_names_the_records_that_say_why() -> None:
    failed, other = making.record(status="failed", method="bad"), done(method="good")
    rows = {row.method: row for row in table([failed, other]).rows}
    assert {entry.records for entry in rows["bad"].entries.values()} == {(failed.digest,)}
    unselected = row([done(selection="last")])
    assert all(entry.records for entry in unselected.entries.values())
    assert all(entry.mean is None for entry in unselected.entries.values())
