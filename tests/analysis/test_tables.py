"""Tables: means over seeds of like cells, a reason for each missing number, and notes on doubtful ones."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import registry
from bench.analysis import AVERAGE, Labels, Row, Table, tables_of
from bench.analysis.chance import NEAR, advice, near_chance
from bench.analysis.results import Results
from bench.records import Identity, Record, Rows
from bench.report.topics.map_tables import table_exhibit
from bench.report.writers import csv, html, latex, markdown
from tests.analysis.making import IT, TI, close, metric, with_result
from tests.records import making
from tests.wording import mentions


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
PAIRS = [("image", "text"), ("image", "audio"), ("text", "audio")]


@settings(max_examples=25)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_an_entry_is_the_mean_and_sample_deviation_over_seeds_in_any_order(
    pairs: list[tuple[float, float]], random: Any
) -> None:
    records = [done({IT: a, TI: b}, seed=seed) for seed, (a, b) in enumerate(pairs)]
    random.shuffle(records)
    entries = row(records).entries
    averages = [(a + b) / 2 for a, b in pairs]
    for column, values in ((IT, [a for a, _ in pairs]), (TI, [b for _, b in pairs]), (AVERAGE, averages)):
        entry = entries[column]
        assert (entry.mean, entry.seeds) == (close(statistics.fmean(values), abs=1e-12), len(pairs))
        deviation = pytest.approx(statistics.stdev(values), abs=1e-9) if len(pairs) > 1 else None
        assert entry.deviation == deviation
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
def test_what_was_run_otherwise_has_a_separate_row_whose_label_names_it(
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


def test_no_two_rows_have_one_label() -> None:
    same = replace(LABELS, title=lambda _: "Same")
    (found,) = tables_of(Results([done(method="a"), done(method="b")], same), ["map@all"])
    assert [line.label for line in found.rows] == ["Same (a)", "Same (b)"]
    unnamed = {**making.identity().settings, "new": None}  # which a label does not show
    assert len({line.label for line in table([done(), done(seed=1, settings=unnamed)]).rows}) == 2


def test_the_row_of_most_modalities_represents_the_method() -> None:
    rows = table([done(0.9, modalities=("image", "text", "audio")), done(0.1)]).rows
    assert [(found.label, found.entries[IT].mean, found.usual) for found in rows] == [
        ("DRCL [image+text+audio]", 0.9, True),
        ("DRCL [image+text]", 0.1, False),
    ]


def test_rows_of_the_modalities_that_most_methods_have_represent_them() -> None:
    wide, shared = ("image", "text", "audio"), ("image", "text", "video")
    records = [done(0.9, modalities=wide), done(0.1, modalities=shared, seed=1)]
    records += [done(method="mrl", modalities=shared), done(method="mars", modalities=shared)]
    usual = {found.label: found.usual for found in table(records).rows if "DRCL" in found.label}
    assert usual == {"DRCL [image+text+audio]": False, "DRCL [image+text+video]": True}


def test_fits_on_other_modalities_at_once_than_most_say_so_and_do_not_compete() -> None:
    wide, shared = ("image", "text", "audio"), ("image", "text", "video")
    records = [done(0.9, modalities=wide), done(method="pls", modalities=("image", "text"))]
    records += [done(method=name, modalities=shared) for name in ("mrl", "mars")]
    found = table(records)
    assert {row.label: row.other_modalities for row in found.rows} == {
        "DRCL [image+text+audio]": True,
        **dict.fromkeys(("MRL", "MARS", "PLS"), False),
    }
    assert {row.method for row in found.competing} == {"mrl", "mars", "pls"}


def test_reference_points_variants_and_failures_do_not_decide_on_which_modalities_most_methods_are() -> None:
    wide, narrow = ("image", "text", "audio", "video"), ("image", "text", "audio")
    records = [done(method=name, modalities=narrow) for name in ("mrl", "mars")]
    records += [
        done(method="sm", modalities=wide),
        making.record(method="drcl", modalities=wide, status="failed"),
    ]
    records += [done(method="pls", modalities=wide)]
    records += [done(method="pls", modalities=wide, variant=name) for name in ("without_fa", "without_mrr")]
    found = table(records)
    assert {row.method for row in found.competing} == {"mrl", "mars"}


def test_pairs_of_modalities_make_up_one_row_whose_average_needs_all_of_them() -> None:
    records = [done({p: 0.2, p[::-1]: 0.4}, modalities=p) for p in PAIRS]
    full = row(records).entries
    assert full[AVERAGE].mean == pytest.approx(0.3)
    assert set(full) == {*permutations(("image", "text", "audio"), 2), AVERAGE}
    failed = making.record(status="failed", reason="singular", modalities=PAIRS[2])
    partial = row([*records[:2], failed]).entries
    assert partial["text", "audio"].reason == "failed: singular"
    assert (partial[AVERAGE].mean, partial[AVERAGE].reason) == (None, "failed: singular")
    assert partial["image", "text"].mean == pytest.approx(0.2)
    assert row(records[:2]).entries["audio", "text"].reason == "not run"


def test_an_average_uses_the_seeds_that_have_all_directions() -> None:
    records = [done({p: 0.2, p[::-1]: 0.2}, modalities=p, seed=0) for p in PAIRS]
    extra = done(0.8, modalities=PAIRS[0], seed=1)
    entries = row([*records, extra]).entries
    assert entries[IT].seeds == 2
    assert (entries[AVERAGE].mean, entries[AVERAGE].seeds) == (close(0.2), 1)
    assert extra.digest not in entries[AVERAGE].records
    scattered = [done({p: 0.2, p[::-1]: 0.2}, modalities=p, seed=n) for n, p in enumerate(PAIRS)]
    assert mentions(row(scattered).entries[AVERAGE].reason, "seed ... directions")


@pytest.mark.parametrize("status", ["failed", "timeout", "out-of-memory", "refused", "skipped"])
def test_missing_numbers_have_the_reason_of_their_cells(status: Any) -> None:
    failed = [making.record(seed=seed, status=status, reason="this and that\nmore") for seed in (1, 2)]
    alone, beside = row(failed[:1]), row([done(seed=0), *failed])
    assert {entry.reason for entry in alone.entries.values()} == {f"{status}: this and that"}
    assert alone.lacking == (f"{status}: this and that",)
    assert (beside.entries[IT].seeds, beside.lacking) == (1, (f"2 of 3 cells {status}: this and that",))
    rows = {found.method: found for found in table([failed[0], done(method="good")]).rows}
    assert {entry.records for entry in rows["drcl"].entries.values()} == {(failed[0].digest,)}


def test_numbers_of_another_rule_are_not_taken() -> None:
    record = done(0.5)
    (other,) = tables_of(Results([record], LABELS), ["map@50/hits"])
    assert all(mentions(entry.reason, "map@50/hits") for entry in other.rows[0].entries.values())
    assert mentions(row([record], "oracle").entries[IT].reason, "selected ... oracle")
    assert row([done(0.5, selection="none")], "oracle").entries[IT].mean == 0.5
    unselected = row([done(selection="last")]).entries.values()
    assert all(entry.mean is None and entry.records for entry in unselected)


def test_real_data_come_first_and_rows_in_the_rosters_order() -> None:
    records = [done(data_kind="look-alike", dataset="a"), done(dataset="z"), done(dataset="b")]
    records += [done(dataset="z", method="sm"), done(dataset="z", variant="x")]
    tables = tables_of(Results(records, LABELS), ["map@all"])
    data = [(found.data.kind, found.data.dataset) for found in tables]
    assert data == [("real", "b"), ("real", "z"), ("look-alike", "a")]
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


SIZES = {name: Rows(train=10, validation=2, test=50, dimension=5) for name in ("image", "text", "audio")}
CHANCE = {"image>text": 0.16, "text>image": 0.18}


def test_entries_name_the_rows_without_a_direction_behind_them() -> None:
    zeros = {"best": {"audio": 3}, "last": {"image": 9}}
    cells = [
        done(dict.fromkeys(permutations(SIZES, 2), 0.5), selection=rule, modalities=tuple(SIZES), seed=seed)
        for seed in range(2)
        for rule in ("best", "last")
    ]
    records = []
    for best, last in (cells[:2], cells[2:]):
        assert best.result is not None
        assert last.result is not None
        records.append(with_result(best, metrics=[*best.result.metrics, *last.result.metrics]))
    records[0] = with_result(records[0], zero_rows=zeros, rows=SIZES)
    entries, last_entries = row(records).entries, row(records, "last").entries
    assert entries[IT].zeros == last_entries["text", "audio"].zeros == ()
    assert [each.words for each in entries["audio", "text"].zeros] == ["3 of 50 audio (seed 0)"]
    assert entries["image", "audio"].zeros == entries["audio", "text"].zeros == entries[AVERAGE].zeros
    assert [each.words for each in last_entries[IT].zeros] == ["9 of 50 image (seed 0)"]


@pytest.mark.parametrize(
    ("write", "sign"), [(markdown.table, "‡"), (html.document, "‡"), (latex.table, r"$\ddagger$")]
)
def test_every_format_marks_rows_without_a_direction_and_explains_the_mark(write: Any, sign: str) -> None:
    record = with_result(done(), zero_rows={"best": {"image": 5}}, rows=SIZES)
    plain, marked = (write(table_exhibit(table([one]))) for one in (done(), record))
    assert sign not in plain
    assert marked.count(sign) == 4  # both directions, the average, and the note
    assert "5 of 50 image (seed 0)" in marked
    assert "".join(csv.files([table_exhibit(table([record]))]).values()).count("5 of 50 image (seed 0)") == 3


def test_zero_rows_of_a_gallery_are_not_called_test_rows() -> None:
    sizes = {name: msgspec.structs.replace(size, gallery=70) for name, size in SIZES.items()}
    for rows, words in (
        (SIZES, "some test rows are"),
        (sizes, "some rows of the test split or the gallery"),
    ):
        record = with_result(done(), zero_rows={"best": {"image": 5}}, rows=rows)
        (note,) = [one for one in table_exhibit(table([record])).notes if "‡" in one]
        assert words in note
    assert "5 of 120 image" in note


def test_a_refused_state_is_the_reason_of_its_rule_only() -> None:
    record = with_result(done(0.5), refused={"last": "all rows are equal\nmore"})
    assert (row([record]).entries[IT].mean, row([record]).lacking) == (0.5, ())
    last = row([record], "last").entries.values()
    assert {(entry.mean, entry.brief) for entry in last} == {(None, "refused")}
    assert all("all rows are equal" in entry.reason and "more" not in entry.reason for entry in last)
    both = row([record, done(0.6, selection="last", seed=1)], "last")
    assert both.entries[IT].seeds == 1
    (lacking,) = both.lacking
    assert mentions(lacking, "1 of 2 cells refused ... last ... all rows are equal")


@pytest.mark.parametrize(
    ("value", "near"), [(0.1, True), (0.17 + NEAR - 0.001, True), (0.17 + NEAR + 0.001, False)]
)
def test_a_result_is_near_chance_up_to_a_fixed_distance(value: float, near: bool) -> None:
    record = with_result(done(value), chance=CHANCE)
    found = near_chance([record])
    assert (found is not None) is near
    if found is not None:
        assert found[:2] == pytest.approx((value, 0.17))
    assert near_chance([with_result(record, chance={})]) is near_chance([]) is None


def test_tables_state_what_to_try_for_a_row_near_chance() -> None:
    low = with_result(done(0.17, settings={"scaling": "none"}), chance=CHANCE)
    high = with_result(done(0.9, method="mcca"), chance=CHANCE)
    text = markdown.table(table_exhibit(table([low, high])))
    assert "of chance (0.170)" in text
    assert "--set drcl.scaling=standard" in text
    assert text.count("of chance") == 1
    both = [with_result(done(value, seed=seed), chance=CHANCE) for seed, value in enumerate((0.16, 0.5))]
    assert row(both).near is None  # the mean over seeds counts


@pytest.mark.parametrize("profile", registry.PROFILES)
@pytest.mark.parametrize("name", registry.method_names())
def test_advice_names_settings_that_the_method_has_with_other_values(name: str, profile: str) -> None:
    settings = registry.resolve_settings(registry.method(name), profile=profile)
    words = advice(making.identity(method=name, settings=settings))
    changes = re.findall(rf"--set {name}\.(\w+)=(\S+)", words)
    assert {key for key, _ in changes} == {"lr", "scaling"} & {
        key for key in settings if (key, settings[key]) != ("scaling", "standard")
    }
    for key, value in changes:
        change: dict[str, Any] = {key: value if key == "scaling" else float(value)}
        assert getattr(registry.create_method(name, **change).settings, key) != settings[key]


def test_advice_names_no_setting_where_there_is_none() -> None:
    assert "--set" not in advice(making.identity(settings={}))
    assert "--set" not in advice(making.identity(settings={"scaling": "standard", "lr": None}))
