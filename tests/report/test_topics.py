"""Topics: one module is enough for a new one, and hostile names break no file of any of them."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.records import Store
from bench.report import topics, write_report
from bench.report.exhibit import Topic
from bench.report.topics import TOPICS
from bench.report.writers import markdown
from tests.documents import ROOT, Block, blocks, copy_with_methods, execute
from tests.records import making
from tests.report.figuring import report_data

DOCUMENT = ROOT / "docs" / "report.md"
TITLE = "half \ud800 of a pair, \x1b[31mred\x1b[0m, bell \x07, turned \u202e, line\nbreak"


@pytest.mark.clone
def test_the_file_of_the_documentation_is_enough_for_a_topic_in_every_format(tmp_path: Path) -> None:
    (file,) = (block for block in blocks(DOCUMENT) if (block.title or "").startswith("bench/report/topics/"))
    clone = copy_with_methods(tmp_path, "mcca", "pls")
    store = Store(clone / "results")
    for method, seed in (("mcca", 0), ("mcca", 1), ("pls", 0)):
        store.write(making.record(method=method, seed=seed), making.per_query(), making.TRACE, "")
    execute([file, Block("bash", None, "python -m bench report --only tables --only page")], clone)
    reports = clone / "reports"
    assert (reports / "done.csv").read_text() == "method,cells\nmcca,2\npls,1\n"
    assert "| MCCA     | 2       |" in (reports / "done.md").read_text(encoding="utf-8")
    assert "(done.md)" in (reports / "tables.md").read_text(encoding="utf-8")
    page = (reports / "index.html").read_text(encoding="utf-8")
    sections = re.findall('<section class="chapter" id="([^"]+)"', page)
    assert sections.index("tables") < sections.index("done") < sections.index("protocol")


def test_every_topic_states_its_place_on_the_page_and_no_other_has_it() -> None:
    orders = [topic.order for topic in TOPICS]
    assert sorted({*orders}) == orders
    assert Topic("a", "A").order > orders[-1]


def test_two_topics_of_one_name_are_an_error_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "again.py").write_text("from bench.report.exhibit import Topic\nT = Topic('space', 'S')\n")
    monkeypatch.setattr(topics, "__path__", [*topics.__path__, str(tmp_path)])
    monkeypatch.setitem(sys.modules, "bench.report.topics.again", None)  # removed afterwards
    del sys.modules["bench.report.topics.again"]
    with pytest.raises(ValueError, match=r"'space'.*rename it"):
        topics._defined()


def test_long_names_of_datasets_and_conditions_make_files_that_differ(tmp_path: Path) -> None:
    names = ["x" * 199, "x" * 198 + "y"]
    write_report(report_data(("drcl", "sdml"), names, epochs=1), tmp_path, parts=["tables"])
    tables = [path.name for path in (tmp_path / "tables").glob("*.tex") if path.name.startswith("x")]
    assert len(tables) == 2
    assert max(map(len, tables)) < 220


def test_titles_of_any_letters_break_no_file_and_no_two_topics_share_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(markdown, "FIGURE_FORMATS", ("svg",))  # to be quick
    data = report_data(("drcl", "sdml", "mcca"), ("one", "two"), epochs=3)
    write_report(replace(data, labels=replace(data.labels, title=lambda name: f"{name} {TITLE}")), tmp_path)
    folders = [topic.folder for topic in TOPICS if topic.folder]
    assert len(set(folders)) == len(folders)
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)
    texts = [path for path in tmp_path.rglob("*") if path.suffix in (".md", ".html", ".tex", ".svg")]
    assert len(texts) > 5
    for path in texts:
        text = path.read_bytes().decode("utf-8")
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text), path.name
