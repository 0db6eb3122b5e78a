"""Methods in the report: a page for each from its card and settings alone, and what to cite."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bench import registry
from bench.contract import MethodCard
from bench.records.schema import MethodSnapshot, Record
from bench.registry import MethodDescription
from bench.report.topics.methods import bibliography, citations, method_page, method_pages
from tests.records import making


def record(method: str, dataset: str) -> Record:
    return making.record(method=method, dataset=dataset)


def test_every_entry_of_the_references_is_whole_and_datasets_name_such_entries() -> None:
    entries = bibliography()
    text = (registry.folder_of("methods") / "references.bib").read_text(encoding="utf-8")
    assert len(entries) == text.count("\n@")
    for key, entry in entries.items():
        assert entry.startswith("@")
        assert f"{{{key}," in entry
        assert entry.count("{") == entry.count("}")
        assert all(field in entry for field in ("author", "title", "year"))
    assert {registry.dataset(name).card.citation for name in registry.dataset_names()} <= {"", *entries}


def test_methods_come_in_the_order_of_tables_then_datasets_and_each_entry_once() -> None:
    used = [record("sm", "xmedia"), record("sdml", "wikipedia"), record("drcl", "xmedia")]
    text = citations(used * 2)
    keys = [registry.method(name).card.citation for name in ("drcl", "sdml", "sm")]
    assert text.count("\n@") + 1 == len(set(keys) | {"zhai2014xmedia"})  # wikipedia's is that of sm
    positions = [text.index(f"{{{key},") for key in (*keys, "zhai2014xmedia")]
    assert positions == sorted(positions)
    assert text.endswith("}\n")


def test_a_method_that_is_gone_is_cited_by_the_card_in_its_record_or_named_in_a_comment() -> None:
    assert citations([]) == ""
    gone = record("gone", "my\nbundle")
    assert [line.partition(":")[0] for line in citations([gone]).split("\n\n")] == ["% gone", "% my bundle"]
    card = {"name": "gone", "title": "G", "authors": "A", "year": 1, "venue": "V", "family": "F"}
    citation = registry.method("drcl").card.citation
    snapshot = MethodSnapshot(card={**card, "citation": citation}, usual={}, origins={})
    text = citations([msgspec.structs.replace(gone, method=snapshot)])
    assert text.startswith(bibliography()[citation])


def test_a_folder_without_references_has_no_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "folder_of", lambda kind: tmp_path)
    assert bibliography() == {}


def test_every_method_has_a_page_with_its_settings_variants_and_departures_and_a_link_in_the_index() -> None:
    pages = method_pages()
    assert set(pages) == {"index.md", *(f"{name}.md" for name in registry.method_names())}
    for name in registry.method_names():
        description, page = registry.method(name), pages[f"{name}.md"]
        assert f"]({name}.md)" in pages["index.md"]
        assert page.startswith("# ")
        for word in (*description.defaults, *description.variants, *registry.dataset_settings(name)):
            assert f"| `{word}`" in page, name
        assert page.count("\n- ") >= len(description.card.from_paper) + len(description.card.from_release)
        assert f"{{{description.card.citation}," in page, name
        assert page.count("`") % 2 == 0, name
        departures = page.partition("## Departures from the paper")[2]
        assert ("pseudo-pairs" in departures) == (description.card.pairs == "needed"), name


def test_the_quick_profile_and_values_per_dataset_are_shown() -> None:
    page = method_page(replace(registry.method("drcl"), meanings={}))  # has its settings all the same
    assert "| `spl_epochs`" in page
    line = next(line for line in page.splitlines() if line.startswith("| `batch_size`"))
    quick = registry.resolve_settings(registry.method("drcl"), profile="quick")["batch_size"]
    assert quick != 1024
    assert [cell.strip() for cell in line.split("|")][2:4] == ["`1024`", f"`{quick}`"]
    assert re.search("^## .*paper profile", page, re.MULTILINE)
    assert "| `wikipedia`" in page


def test_code_stays_code_and_everything_else_loses_its_markup() -> None:
    card = MethodCard(
        "odd", "O*D*D", "A", 2025, "V", "F", from_paper=("P(j|i), ``a|b`` and `c` are <b>so</b>.",)
    )
    page = method_page(MethodDescription(card, {}, {}, "here", "key", about="First.\n\nSecond ``x_y``."))
    assert page.startswith("# O\\*D\\*D (`odd`)\n\nFirst.\n\nSecond `x_y`.\n")
    assert "- P(j\\|i), `a\\|b` and `c` are &lt;b&gt;so&lt;/b&gt;." in page
    assert "## Settings\n\nNone." in page
    assert "## Reference" not in page
    assert "## Variants" not in page
