"""The ledger: like stands beside like, and everything else says why it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
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
    verdict_of,
)
from bench.analysis.results import Results
from bench.records import Record
from bench.report import ReportData
from bench.report.exhibit import Part
from bench.report.topics import ledger as topic
from tests.analysis.making import IT, TI, with_result
from tests.analysis.test_tables import LABELS as BASE
from tests.analysis.test_tables import done
from tests.records import making
from tests.report.making import csv_of, page_of

LABELS = replace(BASE, usual=lambda identity: making.identity().settings)
NAMES = Names(
    metrics={
        "MAP": MetricName("map@all"),
        "MAP@50": MetricName("map@50/hits", remark="hits within 50"),
        "NOISE": MetricName(because="other training data: noise"),
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


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (0.0, "reproduced"),
        (0.51 - 0.5, "reproduced"),
        (-0.01, "reproduced"),
        (0.0101, "close"),
        (-0.03, "close"),
        (0.0301, "not reproduced"),
        (-0.2, "not reproduced"),
    ],
)
def test_the_verdict_goes_by_the_difference_in_either_direction(difference: float, verdict: str) -> None:
    assert verdict_of(difference) == verdict


def test_ours_is_the_mean_over_seeds_and_names_its_records() -> None:
    records = [on(values={IT: level, TI: 0.1}, seed=seed) for seed, level in enumerate((0.5, 0.52))]
    line = only(records)
    assert line.difference == pytest.approx(0.01)
    assert (line.verdict, line.because, line.command) == ("reproduced", "", "")
    assert line.ours is not None
    assert (line.ours.entry.seeds, set(line.ours.entry.records)) == (2, {record.digest for record in records})


def test_an_average_is_held_against_an_average_and_each_protocol_against_its_own() -> None:
    record, other = on(values={IT: 0.4, TI: 0.7}), on(values=0.8, protocol="map@50/hits")
    assert record.result is not None
    assert other.result is not None
    both = with_result(record, metrics=[*record.result.metrics, *other.result.metrics])
    lines = ledger([both], value(direction="Avg"), value(metric="MAP@50"))
    assert [line.difference for line in lines] == pytest.approx([0.05, 0.3])
    assert [line.meaning.remark for line in lines] == ["", "hits within 50"]


def test_contradictory_sources_have_a_line_each() -> None:
    lines = ledger([on(values=0.5)], value(value=0.5), value(value=0.6, source="Other log"))
    assert [line.verdict for line in lines] == ["reproduced", "not reproduced"]


@pytest.mark.parametrize(
    ("record", "because"),
    [
        ({"data_kind": "look-alike"}, "look-alike: generated data, not the benchmark"),
        ({"profile": "quick"}, "other profile: quick"),
        ({"settings": {**making.identity().settings, "epochs": 5}}, "other settings: DRCL [epochs=5]"),
    ],
)
def test_what_is_run_otherwise_stands_beside_nothing_and_says_why(
    record: Mapping[str, Any], because: str
) -> None:
    line = only([on(**record)])
    assert (line.verdict, line.because, line.difference) == ("not comparable", because, None)
    assert line.ours is not None
    assert line.command == (
        "python -m bench run --profile paper --datasets wikipedia --methods drcl --seeds 5"
    )


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


def test_every_version_of_the_real_data_has_a_line_of_its_own() -> None:
    lines = ledger([on(values=0.5), on(values=0.6, fingerprint="0" * 16)])
    assert [line.verdict for line in lines] == ["not reproduced", "reproduced"]
    assert len({line.ours.data for line in lines if line.ours is not None}) == 2


def test_what_nobody_has_run_says_so_with_the_command() -> None:
    plain, confined = ledger([], value(), value(dataset="XNet(I-T)", method="MCCA"))
    assert (plain.verdict, plain.because, plain.ours) == ("not run yet", "no record", None)
    assert confined.because == "no record of image+text alone"
    assert confined.command == (
        "python -m bench run --profile paper --datasets xmedianet --methods mcca --seeds 5 "
        "--modalities image,text"
    )


def test_a_method_that_was_trained_on_more_modalities_is_not_the_one_of_two() -> None:
    five = ("image", "text", "video", "audio", "3d")
    joint = on("xmedianet", {IT: 0.5, TI: 0.5}, method="mcca", modalities=five)
    pair = on("xmedianet", {IT: 0.5, TI: 0.5}, method="mcca", modalities=IT)
    asked = value(dataset="XNet(I-T)", method="MCCA")
    assert only([joint], asked).verdict == "not run yet"
    assert only([joint, pair], asked).verdict == "reproduced"


def test_all_modalities_are_taken_at_once_or_by_a_pair_method_pair_by_pair() -> None:
    names = ("image", "text", "audio", "3d", "video")
    asked = [value(dataset="XMedia", method=name, direction="Avg") for name in ("MCCA", "ACMR")]
    ways = list(permutations(names, 2))
    joint = on("xmedia", dict.fromkeys(ways, 0.5), method="mcca", modalities=names)
    pairs = [
        on("xmedia", {(a, b): 0.5, (b, a): 0.5}, method="acmr", modalities=(a, b)) for a, b in ways if a < b
    ]
    part = on("xmedia", {IT: 0.9, TI: 0.9}, method="mcca", modalities=IT)
    assert [line.verdict for line in ledger([joint, *pairs, part], *asked)] == ["reproduced"] * 2
    lines = ledger([part, *pairs[1:]], *asked)
    assert [line.verdict for line in lines] == ["not run yet"] * 2
    assert lines[1].because == "not all pairs of modalities were run"


@pytest.mark.parametrize(
    ("changes", "verdict", "because"),
    [
        ({"metric": "NOISE"}, "not comparable", "other training data: noise"),
        ({"source": "Elsewhere, Table 1"}, "not comparable", "other split: theirs"),
        ({"method": "SCL"}, "not in this project", "this project has no method SCL"),
        ({"dataset": "Pascal"}, "not in this project", "this project has no dataset Pascal"),
    ],
)
def test_what_can_never_be_compared_is_not_even_looked_for(
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


def test_the_page_counts_compares_explains_and_says_what_to_run(part: Part) -> None:
    page = page_of([part])
    compared = page.split("## Beside ours: wikipedia — paper profile, data ffffffff")[1].split("\n## ")[0]
    assert r"| DRCL     | image→text  | map@all    | 0.5000      | \[1\]    | 0.5050 | 1" in compared
    assert "+0.0050" in compared
    assert "-0.3950" in compared
    assert r"\[2\] Other" in compared
    assert "MCCA" not in compared
    assert "look-alike: generated data, not the benchmark" in page
    (command,), absent = (one.items for one in part.listings)
    assert "--datasets wikipedia --methods mcca,sdml --seeds 5" in command
    assert [line.split(": ")[1] for line in absent] == ["SCL (1).", "Pascal (1)."]


def test_look_alikes_and_other_profiles_never_stand_in_a_table_of_numbers() -> None:
    records = [on(values=0.5, data_kind="look-alike"), on(values=0.5, profile="quick", method="mcca")]
    part = part_of(records, [value(), value(method="MCCA")])
    assert [one.name for one in part.tables] == ["ledger_verdicts", "ledger_apart"]


def test_csv_has_every_value_with_what_is_known_about_it(part: Part) -> None:
    rows = csv_of([part])
    assert len(rows) == 7
    first = rows[0]
    assert (first["published"], first["ours"], float(first["difference"])) == ("0.5", "0.505", 0.505 - 0.5)
    assert (first["data_kind"], first["profile"], first["verdict"]) == ("real", "paper", "reproduced")
    beside = next(row for row in rows if row["method"] == "MCCA")
    assert (beside["data_kind"], beside["ours"], beside["difference"]) == ("look-alike", "0.9", "")


def test_without_published_values_the_page_says_where_they_belong() -> None:
    assert "they belong into results/published" in page_of([part_of([], [])])
