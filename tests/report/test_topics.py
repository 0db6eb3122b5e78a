"""Topics: one module is enough for a new one, and hostile names break no file of any of them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.report import write_report
from bench.report.topics import TOPICS
from bench.report.writers import markdown
from tests.report.figuring import report_data

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "report.md"
TITLE = "half \ud800 of a pair, \x1b[31mred\x1b[0m, bell \x07, turned \u202e, line\nbreak"


def test_the_topic_of_the_documentation_is_written_in_every_format(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(from bench\.report\.exhibit.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    data = report_data(("drcl", "sdml"), seeds=2)
    files = write_report(data, tmp_path, parts=["tables", "page"], topics=[names["TOPIC"]])
    assert [path.name for path in files] == ["index.html", "done.md", "done.csv"]
    assert (tmp_path / "done.csv").read_text() == "method,cells\ndrcl,2\nsdml,2\n"
    assert "| DRCL     | 2       |" in (tmp_path / "done.md").read_text(encoding="utf-8")
    assert '<section class="chapter" id="done"' in files[0].read_text(encoding="utf-8")


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
