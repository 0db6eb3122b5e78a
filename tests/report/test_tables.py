"""Tables in every format: the best numbers are emphasised, gaps have reasons, and no name becomes markup."""

from __future__ import annotations

import csv as files
import html as entities
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.analysis import AVERAGE, Entry, Row, Table
from bench.analysis.labels import abbreviations
from bench.report.exhibit import Cell, Line, TableExhibit, plain_table
from bench.report.text import visible
from bench.report.topics.map_tables import FIELDS, table_exhibit
from bench.report.writers import csv, html, latex, markdown
from tests.report.making import HOSTILE, IT, entry, exhibit, row, table
from tests.wording import mentions

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"]), max_size=30)
FIVE = ("image", "text", "audio", "3d", "video")
FORMATS: list[Callable[[TableExhibit], str]] = [markdown.table, latex.table, html.document]
A = row("A", 0.1, 0.1, 0.1)


def wide(*labels: str) -> Table:
    """Return a table of five modalities: twenty directions and their average."""
    columns = (*permutations(FIVE, 2), AVERAGE)
    entries = dict.fromkeys(columns, Entry(0.25, 0.01, 2))
    return table(*(Row("m", label, "", "baseline", entries) for label in labels), columns=columns)


def with_first(found: Row, **changes: Any) -> Row:
    """Return the row with other fields of its first number."""
    return replace(found, entries={**found.entries, IT: replace(found.entries[IT], **changes)})


def cells(found: Table, label: str) -> list[str]:
    """Return the cells of a Markdown row."""
    shown = markdown.table(table_exhibit(found))
    line = next(line for line in shown.splitlines() if line.startswith(f"| {label}"))
    return [part.strip() for part in line.strip("|").split("|")][1:]


def csv_text(exhibit: TableExhibit) -> str:
    (text,) = csv.files([exhibit]).values()
    return text


def csv_lines(exhibit: TableExhibit) -> list[dict[str, str]]:
    return list(files.DictReader(csv_text(exhibit).splitlines()))


def parsed_html(found: Table) -> ElementTree.Element:
    return ElementTree.fromstring(html.table(table_exhibit(found)))


def parsed(shown: str) -> tuple[str, list[list[str]]]:
    """Return the column specification and the cells of the rows, reading comments and escapes as TeX does."""
    lines = [re.sub(r"(?<!\\)%.*", "", line).strip() for line in shown.splitlines()]
    body = " ".join(line for line in lines if line)
    match = re.search(r"\\begin\{tabular\}\{([lr]+)\} \\toprule (.*) \\bottomrule \\end\{tabular\}\}", body)
    assert match is not None, body
    rules = r"\\midrule|\\cmidrule\(lr\)\{\d+-\d+\}"
    rows = [part.strip() for part in re.split(r"\\\\", re.sub(rules, "", match[2])) if part.strip()]
    return match[1], [[part.strip() for part in re.split(r"(?<!\\)&", row)] for row in rows]


def test_the_best_number_of_a_column_is_bold_and_the_second_underlined() -> None:
    found = table(row("A", 0.5, 0.1, 0.50049), row("B", 0.4, 0.2, 0.49951), row("C", 0.3, 0.3, 0.4))
    assert cells(found, "A")[:3] == ["**0.500**", "0.100", "**0.500**"]
    assert cells(found, "B")[:3] == ["<u>0.400</u>", "<u>0.200</u>", "**0.500**"]  # what is printed alike
    assert cells(found, "C")[:3] == ["0.300", "**0.300**", "<u>0.400</u>"]
    _, rows = parsed(latex.table(table_exhibit(found)))
    assert rows[1][1:4] == [r"\textbf{0.500}", "0.100", r"\textbf{0.500}"]
    assert rows[2][1] == r"\underline{0.400}"
    first, second, _ = parsed_html(found).findall("tbody/tr")
    assert [cell[0].tag if len(cell) else "" for cell in first.findall("td")] == ["strong", "", "strong", ""]
    assert [cell[0].tag if len(cell) else "" for cell in second.findall("td")] == ["u", "u", "strong", ""]


@pytest.mark.parametrize(
    ("better", "note"),
    [
        (row("A [alpha=9]", 0.9, 0.5, 0.9, usual=False), "Variants and other settings"),
        (row("SM", 0.9, 0.5, 0.9, role="reference"), "Reference points ... not compete ... SM"),
    ],
)
def test_other_settings_and_reference_points_do_not_compete(better: Row, note: str) -> None:
    text = markdown.table(exhibit(row("A", 0.5, 0.5, 0.5), better))
    assert mentions(text, note)
    assert text.count("**0.500**") == 3  # of A alone
    assert "| 0.900" in text
    if not better.usual:  # alone, the settings of a sweep compete with each other
        assert "**0.900**" in markdown.table(exhibit(better))


def test_a_negative_number_has_a_minus_sign_in_latex_and_words_keep_their_hyphens() -> None:
    cells = Cell("-0.125", number=-0.125, spread="0.010"), Cell("0.125", number=0.125), Cell("-x")
    shown = latex.table(plain_table("t", "T", ("Method", "a", "b", "c"), [Line("A", cells)]))
    assert r"A & $-$0.125{\scriptsize\,$\pm$\,0.010} & 0.125 & -x \\" in shown


def test_a_missing_number_has_its_reason_short_in_its_cell_and_in_full_below() -> None:
    found = table(with_first(row("A", None, 0.2, None, lacking=("timeout: why",)), brief="time limit"))
    assert cells(found, "A")[:3] == ["*time limit*", "**0.200**", "*no result*"]
    assert parsed(latex.table(table_exhibit(found)))[1][1][1] == r"\textit{time limit}"
    cell = parsed_html(found).find("tbody/tr/td")
    assert cell is not None
    assert (cell.get("class"), cell.text, cell.get("data-value")) == ("missing", "time limit", None)
    assert [write(table_exhibit(found)).count("A: timeout: why") for write in FORMATS] == [1, 1, 1]
    assert {line["reason"] for line in csv_lines(table_exhibit(found))} == {"", "failed: why"}


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_has_marks_notes_and_what_data_it_is_of(write: Callable[[TableExhibit], str]) -> None:
    fake = write(exhibit(A, kind="look-alike", dataset="wikipedia"))
    real = write(exhibit(A))
    assert mentions(fake, "LOOK-ALIKE ... generated data")
    assert "LOOK-ALIKE" not in real
    for shown in (fake, real):
        assert all(part in shown for part in ("map@all", "quick profile", "selection best", "data 01234567"))
    marked = replace(with_first(A, mean=0.5, deviation=0.0126, mark="a", seeds=1), pairing="class-matched")
    shown = write(exhibit(marked, row("B", 0.1, 0.1, 0.1), reference="DRCL"))
    number: dict[Any, str] = {
        markdown.table: "| **0.500 ± 0.013**<sup>a</sup> ",
        latex.table: r"& \textbf{0.500}{\scriptsize\,$\pm$\,0.013}\textsuperscript{a} ",
        html.document: "<strong>0.500</strong><small> ± 0.013</small><sup>a</sup>",
    }
    assert shown.count(number[write]) == 1
    dagger = r"$\dagger$" if write is latex.table else "†"
    for text in (f"A {dagger}", f"{dagger} trained on class", "A number from one seed", "differs from DRCL"):
        assert text in shown
        assert text not in real
    assert f"B {dagger}" not in shown
    broken, whole = (write(exhibit(row(name, 0.1, 0.1, 0.1))) for name in ("A\nB\r\nC", "A B C"))
    assert broken == whole


def test_seeds_are_shown_as_a_range_where_directions_differ() -> None:
    assert [cells(table(found), "A")[-1] for found in (A, with_first(A, seeds=5))] == ["3", "3-5"]


def test_csv_has_every_property_of_a_number_in_full_in_a_separate_column() -> None:
    means = (1 / 3, 0.1 + 0.2, 5e-324)
    marked = with_first(row(HOSTILE, *means, pairing="class-matched"), deviation=0.125, seeds=2, mark="a")
    first, second, average = csv_lines(exhibit(marked, kind="look-alike", reference="DRCL"))
    about = ["emoji", "look-alike", "quick", "0123456789abcdef", "clean", "cpu", ""]
    about += ["map@all", "best", "method", ""]
    numbers = [HOSTILE, "class-matched", "image", "text", repr(1 / 3), "0.125", "2", "a", "DRCL"]
    assert first == dict(zip(FIELDS, [*about, *numbers, "", "", "f" * 20], strict=True))
    assert (second["significance"], second["reference"]) == ("", "")
    assert (average["query"], average["gallery"]) == ("average", "")
    assert [float(line["mean"]) for line in (first, second, average)] == [*means]


def test_numbers_in_html_are_there_in_full_to_sort_by_and_can_lead_to_their_records() -> None:
    sheet = exhibit(row("A", 1 / 3, 0.1, 0.2))
    element = html.table(sheet, link=lambda digests: f'href="#{digests[0]}.{len(digests)}"')
    cell = ElementTree.fromstring(element).find("tbody/tr/td")
    assert cell is not None
    assert float(cell.get("data-value", "")) == 1 / 3
    assert [link.get("href") for link in cell.findall("a")] == ["#" + "f" * 20 + ".1"]
    assert "<a" not in html.table(sheet)


def test_heads_and_labels_of_html_have_their_scope() -> None:
    element = parsed_html(wide("A"))
    above, below = element.findall("thead/tr")
    groups = [(head.get("scope"), head.get("colspan"), head.text) for head in above[1:6]]
    assert groups == [("colgroup", "4", f"{name} queries") for name in FIVE]
    assert [head.get("rowspan") for head in above if head.get("scope") == "col"] == ["2", "2", "2"]
    assert [head.get("scope") for head in below] == ["col"] * 20
    assert [(item.get("title"), item.text) for item in below[2]] == [("image→3d", "I→3D")]
    assert [column.get("span") for column in element.findall("colgroup")] == [None, *"444441", "1"]
    assert [head.get("scope") for head in element.findall("tbody/tr/th")] == ["row"]
    assert len(element.findall("tbody/tr/td")) == 22


def test_twenty_directions_are_grouped_by_query_and_stacked_where_they_would_not_fit_a_page() -> None:
    shown = latex.table(table_exhibit(wide("A", "B")))
    spec, rows = parsed(shown)
    assert (spec, len(rows)) == ("l" + "r" * 12, 2 * (2 + 2))
    assert re.findall(r"\\multicolumn\{4\}\{c\}\{(\w+) queries\}", shown) == list(FIVE)
    assert shown.count(r"\cmidrule(lr){2-5}\cmidrule(lr){6-9}\cmidrule(lr){10-13}") == 1
    assert shown.count(r"\cmidrule(lr){2-5}\cmidrule(lr){6-9}" + "\n") == 1
    assert rows[5][9:] == ["average", "seeds", "", ""]
    assert r"\begin{table*}" in shown
    named = "I image, T text, A audio, 3D 3d, V video; the average is over all 20."
    assert f"query→gallery: {named}" in markdown.table(table_exhibit(wide("A")))


def test_long_labels_are_broken_and_do_not_shrink_the_numbers() -> None:
    short, long = (latex.table(exhibit(row(label, 0.1, 0.2, 0.3))) for label in ("A" * 40, "A " * 21))
    assert r"\begin{tabular}{lrrrr}" in short
    assert r"\begin{tabular}{p{18em}rrrr}" in long


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (FIVE, ["I", "T", "A", "3D", "V"]),
        (("image", "infrared", "text"), ["IM", "IN", "T"]),
        (("im", "image"), ["IM", "IMA"]),
        (("a", "A"), ["a", "A"]),
        (("3", "4"), ["3", "4"]),
    ],
)
def test_modalities_have_different_abbreviations(names: tuple[str, ...], short: list[str]) -> None:
    assert list(abbreviations(names).values()) == short


@given(st.lists(st.text(max_size=5), unique=True, max_size=6))
def test_abbreviations_are_never_the_same(names: list[str]) -> None:
    assert len(set(abbreviations(names).values())) == len(names)


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_latex_is_balanced_and_has_as_many_cells_as_columns_whatever_the_names(names: list[str]) -> None:
    rows = [row(name, 0.5, None, 0.25, lacking=("failed: " + name,)) for name in names]
    shown = latex.table(exhibit(*rows, dataset=names[0] or "x"))
    spec, found = parsed(shown)
    assert len(spec) == 5
    assert [len(cells) for cells in found] == [5] * (len(names) + 1)
    depth = 0
    for mark in re.findall(r"\\.|[{}]", shown, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(mark, 0)
        assert depth >= 0
    assert depth == 0
    for cells_ in found[1:]:
        assert cells_[0].isascii()
        bare = re.sub(r"\$\\[a-z]+\$|\\char34|\\[a-zA-Z]+|\\.|\{[][*]\}", "", cells_[0])
        assert not set('&%$#_~^\\[]*<>|"') & set(bare)


@pytest.mark.parametrize(
    ("plain", "shown"),
    [
        ("données Łódź", r"donn\'{e}es {[}U+0141{]}\'{o}d\'{z}"),
        ("中", "{[}U+4E2D{]}"),
        ("a\x00b\x7f", "a{[}U+0000{]}b{[}U+007F{]}"),
        ("--seeds", "-{}-seeds"),
        ("?`a''", "?{}`a'{}'"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
    ],
)
def test_what_latex_fonts_lack_or_would_join_is_spelt_out(plain: str, shown: str) -> None:
    assert latex.escape(plain) == shown


@given(NAMES)
@example(" [")
def test_html_and_markdown_show_the_name_and_nothing_else(name: str) -> None:
    element = ElementTree.fromstring(html.table(exhibit(row(name, 0.5, 0.1, 0.2), dataset=name)))
    head = element.find("tbody/tr/th")
    assert head is not None
    assert "".join(head.itertext()) == visible(name)
    tags = {part.tag for part in element.iter()}
    assert tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "strong", "u", "sup", "small"}
    shown = markdown.escape(name)
    assert "\n" not in shown
    # read as a renderer does: backslash escapes, then entities
    assert entities.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", shown)) == visible(name)
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", "", shown)
    assert not set("`*_[]|#~$<>\\") & set(bare)
    assert not re.search(r"&(?!amp;|lt;|gt;)", bare)


@pytest.mark.parametrize("rows", [(), (row("A", None, None, None),)])
def test_a_table_without_numbers_is_still_a_table(rows: tuple[Row, ...]) -> None:
    empty = exhibit(*rows)
    assert parsed(latex.table(empty))[0] == "lrrrr"
    assert markdown.table(empty).startswith("### emoji — map@all")
    assert len(ElementTree.fromstring(html.table(empty)).findall("tbody/tr")) == len(rows)
    assert csv_text(empty).startswith("dataset,")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_latex_compiles_as_it_is(tmp_path: Path) -> None:
    names = [HOSTILE, "données Łódź 中 \x07 --x ?`", *(chr(code) for code in range(0xA1, 0x180))]
    marked = row("A", 0.5, None, 0.2, lacking=("failed: a_b & 50% $",), pairing="class-matched")
    marked = replace(marked, entries={**marked.entries, IT: entry(0.5, 0.1)})
    sheets = [table_exhibit(wide(*names[:3])), exhibit(with_first(marked, mark="a"), reference=HOSTILE)]
    sheets += [exhibit(*(row(name, 0.5, 0.1, 0.2) for name in names[3::10]), dataset=HOSTILE)]
    for index, sheet in enumerate(sheets):
        (tmp_path / f"{index}.tex").write_text(latex.table(sheet), encoding="utf-8")
    body = "".join(f"\\input{{{index}.tex}}\n" for index in range(len(sheets)))
    head = r"\documentclass{article}\usepackage{booktabs,graphicx}"
    (tmp_path / "all.tex").write_text(f"{head}\\begin{{document}}\n{body}\\end{{document}}\n")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert b"Overfull \\hbox" not in done.stdout
