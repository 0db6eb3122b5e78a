"""The citations of records: every method and dataset once, and a word on what has none."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bench import registry
from bench.records.schema import MethodSnapshot, Record
from bench.report.topics.methods import bibliography, citations
from tests.records import making


def record(method: str, dataset: str) -> Record:
    return making.record(method=method, dataset=dataset)


def test_every_entry_of_the_references_is_whole() -> None:
    entries = bibliography()
    text = (registry.folder_of("methods") / "references.bib").read_text(encoding="utf-8")
    assert len(entries) == text.count("\n@")
    for key, entry in entries.items():
        assert entry.startswith("@")
        assert f"{{{key}," in entry
        assert entry.count("{") == entry.count("}")
        assert all(field in entry for field in ("author", "title", "year"))


@pytest.mark.parametrize("name", registry.dataset_names())
def test_a_dataset_that_names_a_reference_has_it(name: str) -> None:
    key = registry.dataset(name).card.citation
    assert not key or key in bibliography()


def test_methods_come_in_the_order_of_tables_then_datasets_and_each_entry_once() -> None:
    used = [record("sm", "xmedia"), record("sdml", "wikipedia"), record("drcl", "xmedia")]
    text = citations(used * 2)
    keys = [registry.method(name).card.citation for name in ("drcl", "sdml", "sm")]
    assert text.count("\n@") + 1 == len(set(keys) | {"zhai2014xmedia"})  # wikipedia's is that of sm
    places = [text.index(f"{{{key},") for key in (*keys, "zhai2014xmedia")]
    assert places == sorted(places)
    assert text.endswith("}\n")


def test_what_has_no_reference_is_named_in_a_comment_of_one_line() -> None:
    text = citations([record("gone", "my\nbundle")])
    assert text == "% gone: no reference known\n\n% my bundle: no reference known\n"


def test_a_method_that_is_gone_is_cited_by_the_card_in_its_record() -> None:
    card = {"name": "gone", "title": "G", "authors": "A", "year": 1, "venue": "V", "family": "F"}
    citation = registry.method("drcl").card.citation
    snapshot = MethodSnapshot(card={**card, "citation": citation}, usual={}, origins={})
    text = citations([msgspec.structs.replace(record("gone", "my"), method=snapshot)])
    assert text.startswith(bibliography()[citation])


def test_no_records_cite_nothing() -> None:
    assert citations([]) == ""


def test_a_folder_without_references_knows_none(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "folder_of", lambda kind: tmp_path)
    assert bibliography() == {}
