"""The page as a file: complete, without foreign markup or scripts, the same bytes for the same records."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.ledger import Published, Value
from bench.report import ReportData, write_report
from bench.report.cells import number_cell
from bench.report.exhibit import Subject
from tests.records import making
from tests.report.page import making as pages
from tests.report.page.making import HOSTILE, SCRIPT, Arrays, data_of, done, figure, page_of
from tests.wording import mentions

EMPTY = {"meta", "link", "input", "br", "img", "hr", "path", "use", "rect", "image"}


class Reader(HTMLParser):
    """Reads a page: elements with their attributes, and the text inside of each kind of element."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.elements if name == tag)


@pytest.fixture(scope="module")
def data() -> ReportData:
    return pages.full()


@pytest.fixture(scope="module")
def page(data: ReportData) -> str:
    figures = [figure("one", Subject("emoji", "real", "quick")), figure("two")]
    return page_of(data, figures, "figures")


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    return Reader(page)


def embedded(read: Reader) -> dict[str, Any]:
    content = next(text for text in read.texts["script"] if text.startswith('{"'))
    found: dict[str, Any] = json.loads(content)
    return found


def test_the_same_records_give_the_same_bytes_in_any_order(data: ReportData, page: str) -> None:
    arrays: Arrays = {}
    records = pages.records_of(arrays)
    shuffled = data_of(random.Random(1).sample(records, len(records)), arrays)
    assert page_of(shuffled) == page_of(data)
    assert page_of(data) != page


def test_every_number_leads_to_a_record_that_is_there(data: ReportData, read: Reader) -> None:
    records = embedded(read)["records"]
    digests = {record["digest"] for record in records}
    assert digests == {record.digest for record in data.records}
    anchors = {attributes["id"] for attributes in read.all("tr") if attributes.get("id")}
    assert anchors == {f"record-{digest}" for digest in digests}
    links = [one for one in read.all("a") if (one.get("href") or "").startswith("#record-")]
    assert {one["href"] for one in links} <= {f"#{anchor}" for anchor in anchors}
    several = [one["data-records"] for one in links if one.get("data-records")]
    assert several
    for numbers in several:
        assert numbers is not None
        assert all(0 <= int(index) < len(records) for index in numbers.split())


def test_every_number_of_a_map_table_has_its_records_and_marks(page: str) -> None:
    tables = page[page.index('id="tables"') : page.index('id="statistics"')]
    numbers = re.findall(r"<td[^>]*>(?:(?!</td>).)*?0\.\d{3}", tables, re.S)
    assert len(numbers) > 40
    assert all("#record-" in number for number in numbers)
    assert re.search(r'<td class="missing"><a href="#record-[0-9a-f]{20}">failed</a>', tables)
    assert re.search(r"<strong>0\.7\d\d</strong><small> ± 0\.0\d\d</small>", tables)
    assert re.search(r"<u>0\.6\d\d</u>", tables)
    assert re.search(r"</a><sup>[ab]</sup>", tables)


def test_a_record_has_all_that_is_needed_to_judge_and_to_repeat_it(read: Reader) -> None:
    content = embedded(read)
    record = next(
        one for one in content["records"] if one["label"].startswith("sdml ") and one["row"][2] == "1"
    )
    assert record["label"] == f"sdml {record['digest'][:8]}"
    sections = {one["title"]: one for one in (content["sections"][index] for index in record["sections"])}
    assert ["epochs", "20"] in [row[:2] for row in sections["Settings"]["items"][-1]["rows"]]
    assert f"audit: {making.result().audit}" in sections["Selection"]["items"]
    assert record["command"] == "python -m bench run"
    assert "python 3.11" in sections["Environment"]["items"]
    table = sections["Result"]["items"][1]
    assert table["head"] == ["direction", "queries", "gallery", "map@all", "map@50/hits"]
    assert [row[0] for row in table["rows"]] == ["image→text", "text→image", "average"]
    for index, protocol in enumerate(("map@all", "map@50/hits")):
        assert {row[0]: row[3 + index] for row in table["rows"]} == record["values"][protocol]


def test_the_script_formats_no_number_and_knows_no_kind_of_data(read: Reader) -> None:
    script = next(text for text in read.texts["script"] if text.startswith('"use strict"'))
    assert embedded(read)["lacking"] == number_cell(None).text
    assert not re.search(r"toFixed|toPrecision|Intl\.|Math\.|look-alike|slice\(0|\"—\"", script)


def test_texts_of_records_are_never_markup(page: str, read: Reader) -> None:
    assert [attributes.get("type") for attributes in read.all("script")] == ["application/json", None]
    assert "onerror" not in {name for _, attributes in read.elements for name in attributes}
    assert all((one["src"] or "").startswith("data:image/svg+xml;base64,") for one in read.all("img"))
    assert not any(True for _ in read.all("b"))
    assert "49 &amp;" not in page
    shown = [text for texts in (read.texts["th"], read.texts["td"]) for text in texts]
    assert any(HOSTILE in text for text in shown)
    sections = [one for one in embedded(read)["sections"] if one["title"] == "Reason"]
    reason = [f"failed (exit): no luck {HOSTILE}", f"Traceback: {SCRIPT}"]
    assert [one["items"] for one in sections] == [reason]


def test_the_policy_allows_its_style_and_its_script_alone(page: str, read: Reader) -> None:
    policy = next(one["content"] for one in read.all("meta") if one.get("http-equiv"))
    assert policy is not None
    script = next(text for text in read.texts["script"] if text.startswith('"use strict"'))
    for kind, text in (("script", script), ("style", read.texts["style"][0])):
        digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert not any("style" in attributes for _, attributes in read.elements)
    assert "innerHTML" not in script
    assert not re.search(r"\b(?:eval|fetch|XMLHttpRequest|localStorage)\b", script)


def test_ids_are_unique_and_what_is_pointed_to_is_there(read: Reader) -> None:
    ids = [value for _, attributes in read.elements if (value := attributes.get("id"))]
    assert len(ids) == len(set(ids))
    wanted = {
        (attributes["href"] or "")[1:]
        for tag, attributes in read.elements
        if tag in ("a", "use") and (attributes.get("href") or "").startswith("#")
    }
    assert wanted <= set(ids)
    named = {value for _, attributes in read.elements if (value := attributes.get("aria-labelledby"))}
    assert named <= set(ids)


def test_facts_beside_a_heading_stand_apart_also_where_a_table_is_folded(page: str) -> None:
    assert re.search(r"<summary>(?:(?!</summary>).)*class=\"badges\"", page, re.S)
    groups = r'<(p|span) class="badges">\s*(<span class="badge[^>]*>[^<]*</span>\s+)+</\1>'
    assert '<span class="badge' not in re.sub(groups, "", page)
    assert not re.search(r'class="badges">\s*</', page)


def test_real_data_and_look_alikes_are_apart_and_look_alikes_are_named_so(page: str) -> None:
    start, middle = page.index("<h3>Real data</h3>"), page.index("<h3>Look-alikes</h3>")
    real, fake = page[start:middle], page[middle : page.index('id="statistics"')]
    assert 'data-kind="real"' in real
    assert 'data-kind="look-alike"' not in real
    assert 'data-kind="real"' not in fake
    assert mentions(fake, "numbers ... nothing ... benchmark")


def test_failures_and_damaged_records_are_named(page: str) -> None:
    failures = page[page.index('id="failures"') : page.index('id="records"')]
    assert "no luck" in failures
    assert "runs/x: damaged &lt;script&gt;" in failures
    failed = making.record(status="timeout", reason="took too long")  # alone
    read = Reader(page_of(data_of([failed], {})))
    assert any("took too long" in text for text in read.texts["td"])


def test_figures_are_images_with_words_and_links_where_files_are(
    page: str, read: Reader, data: ReportData
) -> None:
    images = [one for one in read.all("img") if one["alt"] == "Up."]
    address = f"data:image/svg+xml;base64,{base64.b64encode(pages.SVG).decode()}"
    assert [(one["src"], one["width"]) for one in images] == [(address, "500")] * 2
    assert 'href="figures/one.pdf"' in page
    assert "figures/" not in page_of(data, [figure("one")])


@pytest.mark.parametrize("parts", [["page"], ["tables", "page", "figures"]])
def test_the_report_writes_the_page_and_draws_what_it_needs(tmp_path: Path, parts: list[Any]) -> None:
    written = write_report(ReportData([making.record()]), tmp_path, parts=parts)
    assert written[0] == tmp_path / "index.html"
    assert (tmp_path / "figures.md").exists() == ("figures" in parts)


def test_published_values_optimism_and_variants_are_on_the_page() -> None:
    arrays: Arrays = {}
    rules = ("best", "last", "oracle")
    records = [done(0.5, arrays, rules=rules, seed=seed, method="drcl") for seed in range(2)]
    records.append(done(0.4, arrays, method="drcl", variant="without_something"))
    value = Value("drcl", "Nothing", "I2T", "MAP@all", 0.5, "A paper")
    page = page_of(data_of(records, arrays, published=Published((value,))))
    words = {"ledger": "not in this project", "optimism": "oracle - best", "ablations": "without_something"}
    for section, word in words.items():
        assert word in page[page.index(f'id="{section}"') :].partition("</table>")[0]


@pytest.mark.slow
def test_the_page_of_400_records_of_five_modalities_stays_small() -> None:
    arrays: Arrays = {}
    five = ("image", "text", "audio", "3d", "video")
    methods = [f"method{index}" for index in range(40)]
    records = [done(0.5, arrays, five, method=method, seed=seed) for method in methods for seed in range(10)]
    assert len(records) == 400
    page = page_of(data_of(records, {}))
    assert len(page.encode("utf-8")) < 4e6  # figures have the rest of 5 MB; of a full grid they need 1.5
