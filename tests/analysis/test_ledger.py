"""The ledger: published values as printed, compared with like records, or why they cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.analysis.ledger import (
    DatasetName,
    LedgerRow,
    MetricName,
    Names,
    Published,
    SourceName,
    Value,
    ledger_of,
    published_folder,
    read_published,
    verdict_of,
)
from bench.analysis.results import Results
from bench.analysis.tables import AVERAGE
from bench.conditions import parse_conditions
from bench.contract import DataError
from bench.records import Record
from bench.report import ReportData
from bench.report.exhibit import Part
from bench.report.topics import ledger as topic
from tests.analysis.making import IT, TI, with_result
from tests.analysis.test_tables import LABELS as BASE
from tests.analysis.test_tables import done
from tests.records import making
from tests.report.making import csv_of, page_of
from tests.wording import mentions

LABELS = replace(BASE, usual=lambda identity: making.identity().settings)
NAMES = Names(
    metrics={
        "MAP": MetricName("map@all"),
        "MAP@50": MetricName("map@50/hits", remark="hits within 50"),
        "NOISE": MetricName(because="other training data: noise"),
        "NOISE.2": MetricName("map@all", condition="label-noise@0.2"),
    },
    datasets={
        "Wiki": DatasetName("wikipedia"),
        "XNet(I-T)": DatasetName("xmedianet", ("image", "text")),
        "XMedia": DatasetName("xmedia"),
    },
    averages=("Avg",),
    sources=(SourceName("Elsewhere*", "other split: theirs"),),
)
WIKI: dict[str, Any] = {"dataset": "wikipedia", "profile": "paper"}


def value(**changes: Any) -> Value:
    fields: dict[str, Any] = {"method": "DRCL", "dataset": "Wiki", "direction": "I2T", "metric": "MAP"}
    return Value(**({**fields, "value": 0.5, "source": "Log"} | changes))


def on(dataset: str = "wikipedia", values: Any = 0.505, **changes: Any) -> Record:
    """Return a record that has the split of a dataset's card."""
    split = registry.dataset(dataset).card.split
    return with_result(done(values, dataset=dataset, **({"profile": "paper"} | changes)), split=split)


def ledger(records: list[Record], *values: Value) -> list[LedgerRow]:
    return ledger_of(Results(records, LABELS), Published(values or (value(),), NAMES))


def only(records: list[Record], *values: Value) -> LedgerRow:
    (line,) = ledger(records, *values)
    return line


def test_the_verdict_depends_on_the_difference_in_either_direction() -> None:
    verdicts = {
        "reproduced": (0.0, 0.51 - 0.5, -0.01),
        "close": (0.0101, -0.03),
        "not reproduced": (0.0301, -0.2),
    }
    for verdict, differences in verdicts.items():
        assert {*map(verdict_of, differences)} == {verdict}


def test_ours_is_the_mean_over_seeds_and_names_its_records() -> None:
    records = [on(values={IT: level, TI: 0.1}, seed=seed) for seed, level in enumerate((0.5, 0.52))]
    line = only(records)
    assert (line.verdict, line.because, line.command) == ("reproduced", "", "")
    assert line.difference == pytest.approx(0.01)
    assert line.ours is not None
    assert set(line.ours.entry.records) == {record.digest for record in records}


def test_averages_are_compared_with_averages_and_numbers_of_one_protocol() -> None:
    record, other = on(values={IT: 0.4, TI: 0.7}), on(values=0.8, protocol="map@50/hits")
    assert record.result is not None
    assert other.result is not None
    both = with_result(record, metrics=[*record.result.metrics, *other.result.metrics])
    lines = ledger([both], value(direction="Avg"), value(metric="MAP@50"))
    assert [line.difference for line in lines] == pytest.approx([0.05, 0.3])
    assert [line.meaning.remark for line in lines] == ["", "hits within 50"]


def test_contradictory_sources_and_versions_of_the_data_have_a_line_each() -> None:
    lines = ledger([on(values=0.5)], value(value=0.5), value(value=0.6, source="Other log"))
    assert [line.verdict for line in lines] == ["reproduced", "not reproduced"]
    lines = ledger([on(values=0.5), on(values=0.6, fingerprint="0" * 16)])
    assert [line.verdict for line in lines] == ["not reproduced", "reproduced"]


@pytest.mark.parametrize(
    ("record", "because"),
    [
        ({"data_kind": "look-alike"}, "look-alike: generated data, not the benchmark"),
        ({"profile": "quick"}, "other profile: quick"),
        ({"settings": {**making.identity().settings, "epochs": 5}}, "other settings: DRCL [epochs=5]"),
    ],
)
def test_what_was_run_otherwise_is_not_compared_and_the_reason_is_given(
    record: Mapping[str, Any], because: str
) -> None:
    line = only([on(**record)])
    assert (line.verdict, line.because, line.difference) == ("not comparable", because, None)
    assert line.ours is not None
    assert line.command.endswith("--profile paper --datasets wikipedia --methods drcl --seeds 5")


@pytest.mark.parametrize(
    ("record", "verdict", "because"),
    [
        (on(threads=4), "reproduced", ""),
        (on(variant="without_fa"), "not run yet", "no record"),
        (done(0.5, **WIKI), "not comparable", "other split: standard"),
        (making.record(status="timeout", reason="60 s", **WIKI), "no result", "timeout: 60 s"),
    ],
)
def test_threads_are_no_settings_an_ablation_is_no_method_and_a_failure_no_result(
    record: Record, verdict: str, because: str
) -> None:
    line = only([record])
    assert (line.verdict, line.because) == (verdict, because)


def test_the_comparable_is_taken_where_there_is_more_than_one_kind() -> None:
    records = [on(values=0.9, data_kind="look-alike"), on(values=0.9, profile="quick"), on(values=0.5)]
    line = only(records)
    assert (line.verdict, line.difference) == ("reproduced", 0.0)


def test_what_was_not_run_has_the_command_that_runs_it() -> None:
    plain, confined = ledger([], value(), value(dataset="XNet(I-T)", method="MCCA"))
    assert (plain.verdict, plain.because, plain.ours) == ("not run yet", "no record", None)
    assert mentions(confined.because, "record of image+text")
    assert confined.command.endswith("--datasets xmedianet --methods mcca --seeds 5 --modalities image,text")


def test_what_was_printed_under_a_condition_is_compared_with_records_under_it() -> None:
    clean, noisy = on(values=0.5), on(values=0.3, condition="label-noise@0.2")
    values = value(value=0.5), value(metric="NOISE.2", value=0.3)
    lines = ledger([clean, noisy, on(values=0.1, condition="label-noise@0.4")], *values)
    assert [line.verdict for line in lines] == ["reproduced"] * 2
    assert [line.ours and line.ours.data.condition for line in lines] == ["clean", "label-noise@0.2"]
    missing = only([clean], values[1])
    assert missing.verdict == "not run yet"
    assert missing.command.endswith("--seeds 5 --conditions label-noise@0.2")
    assert len(part_of([], values).listings[0].items) == 2


def test_a_method_that_was_trained_on_more_modalities_is_not_the_one_of_two() -> None:
    five = ("image", "text", "video", "audio", "3d")
    joint = on("xmedianet", {IT: 0.5, TI: 0.5}, method="mcca", modalities=five)
    pair = on("xmedianet", {IT: 0.5, TI: 0.5}, method="mcca", modalities=IT)
    printed_value = value(dataset="XNet(I-T)", method="MCCA")
    assert only([joint], printed_value).verdict == "not run yet"
    assert only([joint, pair], printed_value).verdict == "reproduced"


def test_all_modalities_are_taken_at_once_or_by_a_pair_method_pair_by_pair() -> None:
    names = ("image", "text", "audio", "3d", "video")
    printed_values = [value(dataset="XMedia", method=name, direction="Avg") for name in ("MCCA", "ACMR")]
    ways = list(permutations(names, 2))
    joint = on("xmedia", dict.fromkeys(ways, 0.5), method="mcca", modalities=names)
    pairs = [
        on("xmedia", {(a, b): 0.5, (b, a): 0.5}, method="acmr", modalities=(a, b)) for a, b in ways if a < b
    ]
    part = on("xmedia", {IT: 0.9, TI: 0.9}, method="mcca", modalities=IT)
    assert [line.verdict for line in ledger([joint, *pairs, part], *printed_values)] == ["reproduced"] * 2
    lines = ledger([part, *pairs[1:]], *printed_values)
    assert [line.verdict for line in lines] == ["not run yet"] * 2
    assert mentions(lines[1].because, "pairs of modalities")


@pytest.mark.parametrize(
    ("changes", "verdict", "because"),
    [
        ({"metric": "NOISE"}, "not comparable", "other training data: noise"),
        ({"source": "Elsewhere, Table 1"}, "not comparable", "other split: theirs"),
        ({"method": "SCL"}, "not in this project", "this project has no method SCL"),
        ({"dataset": "Pascal"}, "not in this project", "this project has no dataset Pascal"),
    ],
)
def test_what_can_never_be_compared_is_not_looked_for(
    changes: dict[str, str], verdict: str, because: str
) -> None:
    line = only([on()], value(**changes))
    assert (line.verdict, line.because, line.ours, line.command) == (verdict, because, None, "")


def part_of(records: list[Record], values: Sequence[Value]) -> Part:
    published = Published(tuple(values), NAMES)
    (part,) = topic.parts(ReportData(records, labels=LABELS, published=published))
    return part


@pytest.fixture
def part() -> Part:
    """A value of every kind: compared twice, of a look-alike, not run, and never comparable."""
    records = [on(values=0.505), on(values=0.9, method="mcca", data_kind="look-alike")]
    names = [value(method=method) for method in ("MCCA", "SDML", "SCL")]
    others = [value(metric="NOISE"), value(dataset="Pascal")]
    return part_of(records, [value(), value(value=0.9, source="Other"), *names, *others])


def test_the_page_compares_explains_and_states_what_to_run(part: Part) -> None:
    page = page_of([part])
    compared = page.split("wikipedia — paper profile, data ffffffff")[1].split("\n## ")[0]
    for shown in ("| 0.5050 | 1", "+0.0050", "-0.3950", r"\[2\] Other"):
        assert shown in compared
    assert "MCCA" not in compared
    assert "look-alike: generated data" in page
    (command,), absent = (one.items for one in part.listings)
    assert "--datasets wikipedia --methods mcca,sdml --seeds 5" in command
    assert [line.split(": ")[1] for line in absent] == ["SCL (1).", "Pascal (1)."]


def test_look_alikes_and_other_profiles_are_in_no_table_of_numbers() -> None:
    records = [on(values=0.5, data_kind="look-alike"), on(values=0.5, profile="quick", method="mcca")]
    part = part_of(records, [value(), value(method="MCCA")])
    assert [one.name for one in part.tables] == ["ledger_verdicts", "ledger_apart"]


def test_csv_has_every_value(part: Part) -> None:
    rows = csv_of([part])
    assert len(rows) == 7
    keys = ("published", "ours", "difference", "data_kind", "profile", "verdict")
    numbers = ("0.5", "0.505", str(0.505 - 0.5))
    assert tuple(rows[0][key] for key in keys) == (*numbers, "real", "paper", "reproduced")
    other = next(row for row in rows if row["method"] == "MCCA")
    assert (other["data_kind"], other["ours"], other["difference"]) == ("look-alike", "0.9", "")


def test_without_published_values_the_page_names_their_folder() -> None:
    assert "results/published" in page_of([part_of([], [])])


def printed(**changes: str) -> Value:
    """Return a value with names as the project's list has them."""
    fields = {"method": "DRCL", "dataset": "Wikipedia", "direction": "I2T", "metric": "MAP@all"}
    return Value(**(fields | {"source": "DRCL repo logging/wiki.log"} | changes), value=0.5)


@pytest.fixture(scope="module")
def published() -> Published:
    return read_published()


def test_every_value_of_the_project_is_read_and_every_name_is_defined(published: Published) -> None:
    text = (published_folder() / "published_map.csv").read_text(encoding="utf-8")
    assert len(published.values) == len(text.splitlines()) - 1 > 900
    names = published.names
    assert {one.metric for one in published.values} == set(names.metrics)
    assert {one.dataset for one in published.values} - set(names.datasets) == {"PascalSentence"}
    for one in published.values:
        meaning = published.meaning(one)
        assert meaning.direction is not None or not meaning.dataset
        assert bool(meaning.protocol) != bool(names.metrics[one.metric].because)


def test_every_method_and_dataset_that_is_meant_is_registered(published: Published) -> None:
    meant = [published.meaning(one) for one in published.values]
    roster = "acmr algcn dccae drcl drsl dscmr elrcmr gmlda gnn4cmr man mars mcca mrl mvda_vc rono sdml"
    assert {one.method for one in meant} >= {*roster.split()}
    datasets = {name.dataset for name in published.names.datasets.values()}
    assert datasets == {one.dataset for one in meant if one.dataset}


def test_every_condition_of_a_metric_is_one(published: Published) -> None:
    given = [one.condition for one in published.names.metrics.values() if one.condition]
    assert [one.id for one in parse_conditions(given) if one] == given != []


@pytest.mark.parametrize(
    ("dataset", "direction", "meant"),
    [
        ("Wikipedia", "I2T", ("image", "text")),
        ("Wikipedia", "Avg", AVERAGE),
        ("Wikipedia", "I->A", None),
        ("Wikipedia", "I2I", None),
        ("XMediaNet(img-txt)", "T2I", ("text", "image")),
        ("XMedia(5 modalities)", "3D->V", ("3d", "video")),
        ("XMedia(5 modalities)", "Avg20", AVERAGE),
    ],
)
def test_directions_are_read_by_the_modalities_of_the_dataset(
    published: Published, dataset: str, direction: str, meant: tuple[str, str] | None
) -> None:
    meaning = published.meaning(printed(dataset=dataset, direction=direction))
    assert meaning.direction == meant
    assert bool(meaning.because) == (meant is None)


def test_a_method_is_known_by_its_title_in_any_case_or_by_a_given_name() -> None:
    names = Names(methods={"Ours (full)": "drcl", "Gone": "never_heard_of"})
    meaning = Published((), names).meaning
    found = [meaning(printed(method=name)).method for name in ("mvda-vc", "OURS (FULL)", "Gone", "SCL")]
    assert found == ["mvda_vc", "drcl", "", ""]


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"metric": "MAP@all_4000labels"}, "other training data"),
        ({"metric": "NDCG"}, "other protocol: NDCG"),
        ({"source": "JFSE TPAMI Table 4"}, "other split"),
        ({"dataset": "NUS-WIDE(MvLDAN protocol)"}, "other split"),
        ({}, ""),
    ],
)
def test_values_of_another_protocol_have_the_reason(
    published: Published, changes: dict[str, str], because: str
) -> None:
    assert published.meaning(printed(**changes)).because.startswith(because)
    assert bool(published.meaning(printed(**changes)).because) == bool(because)


HEADER = "method,dataset,direction,metric,value,source\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a,b\n", "columns"),
        (HEADER + "DRCL,Wikipedia,I2T,MAP@all,0.5\n", "line 2: 5 columns"),
        *(
            (HEADER + f"DRCL,Wikipedia,I2T,MAP@all,{bad},x\n", f"line 2: '{bad}'")
            for bad in ("high", "56.2", "nan")
        ),
    ],
)
def test_a_damaged_list_is_named_with_the_line(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "published_map.csv").write_text(content)
    with pytest.raises(DataError) as raised:
        read_published(tmp_path)
    assert reason in str(raised.value)
    assert str(tmp_path / "published_map.csv") in str(raised.value)


@pytest.mark.parametrize(
    "content", ["metrics: [1", "metric: {}", "datasets: {X: {modalities: [image]}}", "- 1"]
)
def test_damaged_names_are_named_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "published_map.csv").write_text(HEADER)
    (tmp_path / "names.yaml").write_text(content)
    with pytest.raises(DataError, match=r"^[^\n]*names\.yaml: [^\n]*$"):
        read_published(tmp_path)


def test_a_folder_without_values_has_none(tmp_path: Path) -> None:
    assert read_published(tmp_path).values == ()
