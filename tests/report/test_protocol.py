"""The protocol in sentences: what the records state, and nothing else, in Markdown and LaTeX."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.records.schema import Failure, Record
from bench.report import ReportData, write_report
from bench.report.topics.methods import citations
from bench.report.topics.protocol import TOPIC, parts
from tests.report.figuring import report_data
from tests.report.making import HOSTILE
from tests.wording import mentions


def paragraphs(data: ReportData) -> dict[str, str]:
    """Return the text of the only setup by its titles."""
    (part,) = parts(data)
    return {title: text for title, _, text in (one.partition(". ") for one in part.text)}


def changed(data: ReportData, index: int, **fields: Any) -> ReportData:
    """Return the data with other fields of one record."""
    records: list[Record] = [*data.records]
    records[index] = msgspec.structs.replace(records[index], **fields)
    return replace(data, records=records)


@pytest.fixture(scope="module")
def three() -> ReportData:
    return report_data(("drcl", "sdml", "chance"), seeds=3)


def test_it_says_what_was_compared_on_what_and_how(three: ReportData) -> None:
    text = paragraphs(three)
    record = three.records[0]
    assert record.result is not None
    for modality, size in record.result.rows.items():
        assert f"{modality} ({size.dimension:,} dimensions)" in text["Data"]
        assert f"{size.train:,} training" in text["Data"]
    assert f"fingerprint {record.identity.fingerprint[:8]}" in text["Data"]
    assert mentions(text["Methods"], "DRCL, SDML. ... not compete ... Chance.")
    assert record.result.selected[0].criterion in text["Selection"]
    assert f"9 of 9 cells state: {record.result.audit}" in text["Selection"]
    assert "(map@all)" in text["Evaluation"]
    assert "map@50" not in text["Evaluation"]  # recorded, but not in these tables
    assert mentions(text["Seeds"], "3 seeds ... 0 to 2")
    assert "compared with DRCL" in text["Statistics"]
    assert "Over " not in text["Statistics"]
    assert "python 3.11" in text["Environment"]


def test_a_large_seed_is_listed_and_takes_no_memory(three: ReportData) -> None:
    far = msgspec.structs.replace(three.records[0].identity, seed=2**40)
    assert str(2**40) in paragraphs(changed(three, 0, identity=far))["Seeds"]


def test_statistics_and_deviations_are_mentioned_only_where_there_are_some() -> None:
    text = paragraphs(report_data(("sdml",), seeds=1))
    assert "Statistics" not in text
    assert "deviation over seeds" not in text["Seeds"]
    assert "1 of 1 cell state" in text["Selection"]
    assert not [line for line in text.values() if "1 cells" in line]
    several = paragraphs(report_data(("drcl", "sdml", "mcca"), ("one", "two", "three")))
    assert "Over 3 datasets" in several["Statistics"]


def test_cells_without_a_result_and_differing_environments_are_counted(three: ReportData) -> None:
    failure = Failure(reason="it broke", kind="ValueError")
    data = changed(three, 0, status="failed", result=None, failure=failure)
    text = paragraphs(data)
    assert mentions(text["Seeds"], "9 cells ... 1 ... no result ... 1 failed")
    assert "has 2 to 3 seeds" in text["Seeds"]
    other = msgspec.structs.replace(three.records[1].environment, versions={"python": "3.12"})
    assert "python 3.11 and 3.12" in paragraphs(changed(three, 1, environment=other))["Environment"]


def test_only_tests_that_were_made_are_named(three: ReportData) -> None:
    data = report_data(("drcl", "sdml"), ("one", "two"))
    over = paragraphs(data)["Statistics"].partition("Over ")[2]
    assert "Friedman" not in over
    assert mentions(over, "Nemenyi ... Wilcoxon ... Bayesian")
    over = paragraphs(report_data(("sdml", "mcca", "mrl"), ("one", "two")))["Statistics"]
    assert "Friedman" in over
    assert "Wilcoxon" not in over


def test_rules_of_ranks_and_of_the_first_relevant_items_are_stated(three: ReportData) -> None:
    def evaluation(*protocols: str) -> str:
        records = []
        for record in three.records:
            assert record.result is not None
            metrics = [
                msgspec.structs.replace(one, protocol=name, value=one.value if "@" in name else 1.5)
                for one in record.result.metrics
                if one.protocol == "map@all"
                for name in protocols
            ]
            result = msgspec.structs.replace(record.result, metrics=metrics, pairing="partial")
            records.append(msgspec.structs.replace(record, result=result))
        text = paragraphs(replace(three, records=records, protocols=protocols, per_query=lambda _: {}))
        assert mentions(text["Data"], "some ... training rows")
        return text["Evaluation"]

    assert "counts 0" in evaluation("map@all")
    assert mentions(evaluation("map@all", "medr"), "counts 0 ... rank after the last")
    assert "counts 0" not in evaluation("medr")
    assert mentions(evaluation("map@10/first"), "first 10 ... any rank")


def test_setups_that_share_no_table_share_no_text(three: ReportData) -> None:
    other = report_data(("drcl",), data_kind="look-alike")
    found = parts(replace(three, records=[*three.records, *other.records]))
    assert [part.kind for part in found] == ["real", "look-alike"]
    assert ["LOOK-ALIKE" in " ".join(part.text) for part in found] == [False, True]
    assert "SDML" not in " ".join(found[1].text)


def test_latex_cites_entries_of_the_bibliography_and_foreign_text_is_escaped(
    three: ReportData, tmp_path: Path
) -> None:
    titles = replace(three.labels, title=lambda name: f"{name} {HOSTILE}")
    write_report(replace(three, labels=titles), tmp_path, parts=["tables"], topics=[TOPIC])
    assert {path.name for path in tmp_path.iterdir()} == {"protocol.md", "protocol.tex"}
    text = (tmp_path / "protocol.tex").read_text(encoding="utf-8")
    cited = re.findall(r"\\cite\{(.+?)\}", text)
    assert len(cited) == 3
    assert all(f"{{{key}," in citations(three.records) for key in cited)
    assert r"a\_b \& 100\% \$x\textasciicircum{}2\$" in text
    assert "a_b" not in text
