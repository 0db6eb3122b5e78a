"""Tables in every format: the right number stands out, a gap says why, and no name becomes markup."""

from __future__ import annotations

import csv as files
import html as entities
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis import AVERAGE, Entry, Row, Table
from bench.analysis.labels import abbreviations
from bench.report.exhibit import TableExhibit
from bench.report.text import visible
from bench.report.topics.map_tables import FIELDS, table_exhibit
from bench.report.writers import csv, html, latex, markdown
from tests.report.making import HOSTILE, IT, entry, exhibit, row, table

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"]), max_size=30)
FIVE = ("image", "text", "audio", "3d", "video")
FORMATS: list[Callable[[TableExhibit], str]] = [markdown.table, latex.table, html.table, html.document]


def wide(*labels: str) -> Table:
    """Return a table of five modalities: twenty directions and their average."""
    columns = (*permutations(FIVE, 2), AVERAGE)
    entries = dict.fromkeys(columns, Entry(0.25, 0.01, 2))
    return table(*(Row("m", label, "", "baseline", entries) for label in labels), columns=columns)


def cells(found: Table, label: str) -> list[str]:
    """Return the cells of a Markdown row."""
    shown = markdown.table(table_exhibit(found))
    line = next(line for line in shown.splitlines() if line.startswith(f"| {label}"))
    return [part.strip() for part in line.strip("|").split("|")][1:]


def csv_lines(exhibit: TableExhibit) -> list[dict[str, str]]:
    return list(files.DictReader(io.StringIO(csv.table(exhibit))))


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
    return match[1], [re.split(r"(?<!\\)&", part) for part in rows]


def test_the_best_number_of_a_column_is_bold_and_the_second_underlined() -> None:
    found = table(row("A", 0.5, 0.1, 0.3), row("B", 0.4, 0.2, 0.2), row("C", 0.3, 0.3, 0.1))
    assert cells(found, "A")[:3] == ["**0.500**", "0.100", "**0.300**"]
    assert cells(found, "B")[:3] == ["<u>0.400</u>", "<u>0.200</u>", "<u>0.200</u>"]
    assert cells(found, "C")[:3] == ["0.300", "**0.300**", "0.100"]
    _, rows = parsed(latex.table(table_exhibit(found)))
    assert [part.strip() for part in rows[1][1:4]] == [r"\textbf{0.500}", "0.100", r"\textbf{0.300}"]
    assert rows[2][1].strip() == r"\underline{0.400}"
    first, second, _ = parsed_html(found).findall("tbody/tr")
    assert [cell[0].tag if len(cell) else "" for cell in first.findall("td")] == ["strong", "", "strong", ""]
    assert [cell[0].tag if len(cell) else "" for cell in second.findall("td")] == ["u", "u", "u", ""]


def test_what_is_printed_alike_is_ranked_alike() -> None:
    found = table(row("A", 0.50049, 0, 0), row("B", 0.49951, 0, 0), row("C", 0.4, 0, 0))
    assert [cells(found, name)[0] for name in "ABC"] == ["**0.500**", "**0.500**", "<u>0.400</u>"]


def test_the_best_of_a_sweep_does_not_stand_out_beside_the_method_itself() -> None:
    swept = row("A [alpha=9]", 0.9, 0.9, 0.9, usual=False)
    text = markdown.table(exhibit(row("A", 0.5, 0.5, 0.5), swept))
    assert "**0.500**" in text
    assert "0.900" in text
    assert "**0.900**" not in text
    assert "Variants and other settings of a method do not compete either" in text
    assert "**0.900**" in markdown.table(exhibit(swept))


def test_reference_points_do_not_compete_and_are_named() -> None:
    found = table(row("A", 0.5, 0.5, 0.5), row("SM", 0.9, 0.9, 0.9, role="reference"))
    assert cells(found, "SM")[0] == "0.900"
    assert cells(found, "A")[0] == "**0.500**"
    assert "Reference points do not compete with the methods: SM." in markdown.table(table_exhibit(found))


def test_where_a_number_is_missing_the_reason_stands_short_in_its_place_and_in_full_below() -> None:
    found = table(row("A", None, 0.2, None, lacking=("timeout: why",)))
    one = replace(found.rows[0].entries[IT], brief="time limit")
    found = replace(found, rows=(replace(found.rows[0], entries={**found.rows[0].entries, IT: one}),))
    assert cells(found, "A")[:3] == ["*time limit*", "**0.200**", "*no result*"]
    assert parsed(latex.table(table_exhibit(found)))[1][1][1].strip() == r"\textit{time limit}"
    cell = parsed_html(found).find("tbody/tr/td")
    assert cell is not None
    assert (cell.get("class"), cell.text, cell.get("data-value")) == ("missing", "time limit", None)
    for write in (markdown.table, latex.table, html.document):
        assert write(table_exhibit(found)).count("A: timeout: why") == 1
    assert {line["reason"] for line in csv_lines(table_exhibit(found))} == {"", "failed: why"}


def test_pseudo_pairs_carry_a_dagger_that_is_explained() -> None:
    marked = exhibit(row("A", 0.1, 0.1, 0.1, pairing="class-matched"), row("B", 0.1, 0.1, 0.1))
    shown = markdown.table(marked)
    assert "| A †" in shown
    assert "| B " in shown
    assert "† trained on class-matched pseudo-pairs" in shown
    assert "†" not in markdown.table(exhibit(row("B", 0.1, 0.1, 0.1)))
    assert r"A $\dagger$ &" in latex.table(marked)
    assert r"$\dagger$ trained on class" in latex.table(marked)
    assert '<th scope="row">A †</th>' in html.table(marked)
    assert "† trained on" in html.notes(marked.notes)


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_says_protocol_profile_data_and_look_alike_and_keeps_names_in_one_line(
    write: Callable[[TableExhibit], str],
) -> None:
    fake = write(exhibit(row("A", 0.1, 0.1, 0.1), kind="look-alike", dataset="wikipedia"))
    real = write(exhibit(row("A", 0.1, 0.1, 0.1)))
    assert "LOOK-ALIKE, generated data, not the benchmark" in fake
    assert "LOOK-ALIKE" not in real
    for shown in (fake, real):
        assert all(part in shown for part in ("map@all", "quick profile", "selection best", "data 01234567"))
    broken, whole = (write(exhibit(row(name, 0.1, 0.1, 0.1))) for name in ("A\nB\r\nC", "A B C"))
    assert broken == whole


def test_csv_has_every_property_of_a_number_in_a_column_of_its_own() -> None:
    found = table(row("A", 0.5, 0.25, 0.375, pairing="class-matched"), reference="DRCL")
    entries = {**found.rows[0].entries, IT: Entry(0.5, 0.125, 2, ("r",), mark="a")}
    fake = found.data._replace(kind="look-alike")
    found = replace(found, data=fake, rows=(replace(found.rows[0], entries=entries),))
    first, second, average = csv_lines(table_exhibit(found))
    about = ["emoji", "look-alike", "quick", "0123456789abcdef", "clean", "cpu", ""]
    about += ["map@all", "best", "method", ""]
    numbers = ["A", "class-matched", "image", "text", "0.5", "0.125", "2", "a", "DRCL", "", "", "r"]
    assert first == dict(zip(FIELDS, [*about, *numbers], strict=True))
    assert (second["significance"], second["reference"]) == ("", "")
    assert (average["query"], average["gallery"], average["mean"]) == ("average", "", "0.375")


def test_numbers_in_csv_read_back_to_the_same_double() -> None:
    values = (1 / 3, 0.1 + 0.2, 5e-324)
    lines = csv_lines(exhibit(row(HOSTILE, *values)))
    assert [float(line["mean"]) for line in lines] == list(values)
    assert {line["label"] for line in lines} == {HOSTILE}


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
    assert spec == "l" + "r" * 12
    assert len(rows) == 2 * (2 + 2)
    heads = re.findall(r"\\multicolumn\{4\}\{c\}\{(\w+) queries\}", shown)
    assert heads == list(FIVE)
    assert shown.count(r"\cmidrule(lr){2-5}\cmidrule(lr){6-9}\cmidrule(lr){10-13}") == 1
    assert shown.count(r"\cmidrule(lr){2-5}\cmidrule(lr){6-9}" + "\n") == 1
    assert [part.strip() for part in rows[5][9:]] == ["average", "seeds", "", ""]
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
def test_modalities_are_abbreviated_so_that_they_can_be_told_apart(
    names: tuple[str, ...], short: list[str]
) -> None:
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
def test_html_shows_the_name_and_nothing_else(name: str) -> None:
    sheet = exhibit(row(name, 0.5, 0.1, 0.2), dataset=name)
    element = ElementTree.fromstring(html.table(sheet))
    head = element.find("tbody/tr/th")
    assert head is not None
    assert "".join(head.itertext()) == visible(name)
    tags = {part.tag for part in element.iter()}
    assert tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "strong", "u", "sup", "small"}


@pytest.mark.parametrize("write", FORMATS)
def test_no_name_becomes_markup(write: Callable[[TableExhibit], str]) -> None:
    hostile = '<script>alert("1")</script><b onload=x>\\input{/etc/passwd}'
    rows = (row(hostile, 0.5, None, 0.2, lacking=(hostile,)),)
    shown = write(exhibit(*rows, dataset=hostile, protocol=hostile, reference=hostile))
    assert "<script" not in shown
    assert "<b " not in shown
    if write is latex.table:
        assert r"\input" not in shown


@pytest.mark.parametrize("write", FORMATS)
def test_a_mark_stands_above_its_number(write: Callable[[TableExhibit], str]) -> None:
    one = row("A", 0.5, 0.1, 0.2)
    marked = replace(one, entries={**one.entries, IT: replace(one.entries[IT], mark="a")})
    shown = write(exhibit(marked, reference="DRCL"))
    above = r"\textbf{0.500}\textsuperscript{a}" if write is latex.table else "<sup>a</sup>"
    assert shown.count(above) == 1


@pytest.mark.parametrize("rows", [(), (row("A", None, None, None),)])
def test_a_table_without_numbers_is_still_a_table(rows: tuple[Row, ...]) -> None:
    empty = exhibit(*rows)
    assert parsed(latex.table(empty))[0] == "lrrrr"
    assert markdown.table(empty).startswith("### emoji — map@all")
    assert len(ElementTree.fromstring(html.table(empty)).findall("tbody/tr")) == len(rows)
    assert csv.table(exhibit(*rows)).startswith("dataset,")


def test_seeds_are_shown_as_a_range_where_directions_differ() -> None:
    one = row("A", 0.1, 0.1, 0.1)
    entries = {**one.entries, IT: replace(one.entries[IT], seeds=5)}
    assert cells(table(replace(one, entries=entries)), "A")[-1] == "3-5"
    assert cells(table(one), "A")[-1] == "3"


def test_a_deviation_is_shown_beside_its_mean() -> None:
    one = row("A", 0.1, 0.1, 0.1)
    deviating = table(replace(one, entries={**one.entries, IT: entry(0.5, 0.0126)}))
    assert cells(deviating, "A")[0] == "**0.500 ± 0.013**"
    assert r"\textbf{0.500}{\scriptsize\,$\pm$\,0.013}" in latex.table(table_exhibit(deviating))
    assert "<strong>0.500</strong><small> ± 0.013</small>" in html.table(table_exhibit(deviating))


@pytest.mark.parametrize("write", [markdown.table, latex.table, html.document])
def test_one_seed_says_what_is_then_missing(write: Callable[[TableExhibit], str]) -> None:
    one = row("A", 0.1, 0.1, 0.1)
    single = replace(one, entries={way: replace(found, seeds=1) for way, found in one.entries.items()})
    said = "A number from one seed has no deviation"
    assert write(exhibit(single)).count(said) == 1
    assert said not in write(exhibit(one))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_latex_compiles_as_it_is(tmp_path: Path) -> None:
    names = [HOSTILE, "données Łódź 中 \x07 --x ?`", *(chr(code) for code in range(0xA1, 0x180))]
    marked = row("A", 0.5, None, 0.2, lacking=("failed: a_b & 50% $",), pairing="class-matched")
    marked = replace(marked, entries={**marked.entries, IT: Entry(0.5, 0.1, 2, mark="a")})
    sheets = [table_exhibit(wide(*names[:3])), exhibit(marked, reference=HOSTILE)]
    sheets += [exhibit(*(row(name, 0.5, 0.1, 0.2) for name in names[3::10]), dataset=HOSTILE)]
    for place, sheet in enumerate(sheets):
        (tmp_path / f"{place}.tex").write_text(latex.table(sheet), encoding="utf-8")
    body = "".join(f"\\input{{{place}.tex}}\n" for place in range(len(sheets)))
    head = r"\documentclass{article}\usepackage{booktabs,graphicx}"
    (tmp_path / "all.tex").write_text(f"{head}\\begin{{document}}\n{body}\\end{{document}}\n")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert b"Overfull \\hbox" not in done.stdout


def unescaped(text: str) -> str:
    """Read inline Markdown as a renderer does: backslash escapes, then entities."""
    return entities.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text))


@given(NAMES)
def test_escaped_markdown_shows_the_name_and_nothing_else(name: str) -> None:
    shown = markdown.escape(name)
    assert "\n" not in shown
    assert unescaped(shown) == visible(name)
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", "", shown)
    assert not set("`*_[]|#~$<>\\") & set(bare)
    assert not re.search(r"&(?!amp;|lt;|gt;)", bare)
