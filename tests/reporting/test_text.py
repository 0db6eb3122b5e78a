"""Tables as text: the right number stands out, nothing in a name becomes markup, and LaTeX stays LaTeX."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis import Row, Table
from bench.reporting import text
from tests.reporting.making import HOSTILE, IT, entry, row, table

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


def cells(markdown: str, label: str) -> list[str]:
    """Return the numbers of a Markdown row."""
    line = next(line for line in markdown.splitlines() if line.startswith(f"| {label}"))
    return [part.strip() for part in line.strip("|").split("|")][1:]


def test_the_best_number_of_a_column_is_bold_and_the_second_underlined() -> None:
    shown = text.markdown(table(row("A", 0.5, 0.1, 0.3), row("B", 0.4, 0.2, 0.2), row("C", 0.3, 0.3, 0.1)))
    assert cells(shown, "A")[:3] == ["**0.500**", "0.100", "**0.300**"]
    assert cells(shown, "B")[:3] == ["<u>0.400</u>", "<u>0.200</u>", "<u>0.200</u>"]
    assert cells(shown, "C")[:3] == ["0.300", "**0.300**", "0.100"]


def test_what_is_printed_alike_is_ranked_alike() -> None:
    shown = text.markdown(table(row("A", 0.50049, 0, 0), row("B", 0.49951, 0, 0), row("C", 0.4, 0, 0)))
    assert [cells(shown, name)[0] for name in "ABC"] == ["**0.500**", "**0.500**", "<u>0.400</u>"]


def test_reference_points_do_not_compete() -> None:
    shown = text.markdown(table(row("A", 0.5, 0.5, 0.5), row("SM", 0.9, 0.9, 0.9, role="reference")))
    assert cells(shown, "SM")[0] == "0.900"
    assert cells(shown, "A")[0] == "**0.500**"


def test_a_missing_number_is_a_dash_with_its_reason_below() -> None:
    shown = text.markdown(table(row("A", None, 0.2, None, lacking=("failed: why",))))
    assert cells(shown, "A")[:3] == ["—", "**0.200**", "—"]
    assert shown.count("A: failed: why") == 1


def test_pseudo_pairs_carry_a_dagger_that_is_explained() -> None:
    marked = table(row("A", 0.1, 0.1, 0.1, pairing="class-matched"), row("B", 0.1, 0.1, 0.1))
    shown = text.markdown(marked)
    assert "| A †" in shown
    assert "| B " in shown
    assert "† trained on class-matched pseudo-pairs" in shown
    assert "†" not in text.markdown(table(row("B", 0.1, 0.1, 0.1)))
    assert r"A \textdagger{} &" in text.latex(marked)


def test_a_look_alike_says_so_in_its_caption_in_every_form() -> None:
    fake = table(row("A", 0.1, 0.1, 0.1), kind="look-alike", dataset="wikipedia")
    for shown in (text.markdown(fake), text.latex(fake)):
        assert "LOOK-ALIKE, generated data, not the benchmark" in shown
    assert ",look-alike," in text.csv_text(fake)
    assert "LOOK-ALIKE" not in text.markdown(table(row("A", 0.1, 0.1, 0.1)))


def test_data_versions_can_be_told_apart_by_the_caption() -> None:
    one, two = table(), table(fingerprint="fedcba9876543210")
    assert text.caption(one) != text.caption(two)


def test_numbers_in_csv_read_back_to_the_same_double() -> None:
    values = (1 / 3, 0.1 + 0.2, 5e-324)
    rows = list(csv.DictReader(io.StringIO(text.csv_text(table(row(HOSTILE, *values))))))
    assert [float(line["mean"]) for line in rows] == list(values)
    assert {line["label"] for line in rows} == {HOSTILE}
    assert [(line["query"], line["gallery"]) for line in rows] == [
        ("image", "text"),
        ("text", "image"),
        ("average", ""),
    ]
    assert rows[0]["records"] == "f" * 20
    assert rows[0]["fingerprint"] == "0123456789abcdef"


def unescaped(markdown: str) -> str:
    """Read inline Markdown as a renderer does: backslash escapes, then entities."""
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown))


@given(NAMES)
def test_escaped_markdown_shows_the_name_and_nothing_else(name: str) -> None:
    shown = text.escape_markdown(name)
    assert "\n" not in shown
    assert unescaped(shown).split() == name.split()
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", "", shown)
    assert not set("`*_[]|#~$<>\\") & set(bare)
    assert not re.search(r"&(?!amp;|lt;|gt;)", bare)


def parsed(latex: str) -> tuple[str, list[list[str]]]:
    """Return the column specification and the cells of the rows, reading comments and escapes as TeX does."""
    lines = [re.sub(r"(?<!\\)%.*", "", line).strip() for line in latex.splitlines()]
    body = " ".join(line for line in lines if line)
    match = re.fullmatch(
        r"\\begin\{tabular\}\{(?P<spec>[lr]+)\} \\toprule (?P<rows>.*) \\bottomrule \\end\{tabular\}", body
    )
    assert match is not None, body
    rows = [
        part.strip() for part in re.split(r"\\\\", match["rows"].replace(r"\midrule", "")) if part.strip()
    ]
    return match["spec"], [re.split(r"(?<!\\)&", part) for part in rows]


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_latex_is_balanced_and_has_as_many_cells_as_columns_whatever_the_names(names: list[str]) -> None:
    rows = [row(name, 0.5, None, 0.25, lacking=("failed: " + name,)) for name in names]
    shown = text.latex(table(*rows, dataset=names[0] or "x"))
    spec, found = parsed(shown)
    assert len(spec) == 5
    assert [len(cells) for cells in found] == [5] * (len(names) + 1)
    depth = 0
    for mark in re.findall(r"\\.|[{}]", shown, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(mark, 0)
        assert depth >= 0
    assert depth == 0
    for cells_ in found[1:]:
        bare = re.sub(r"\$\\(pm|rightarrow)\$|\\[a-zA-Z]+|\\.|\{[][*]\}", "", cells_[0])
        assert not set("&%$#_~^\\[]*<>") & set(bare)


def test_latex_sets_off_the_best_and_the_second_as_markdown_does() -> None:
    _, rows = parsed(text.latex(table(row("A", 0.5, 0.1, 0.3), row("B", 0.4, 0.2, None))))
    assert rows[1][1].strip() == r"\textbf{0.500}"
    assert rows[2][1].strip() == r"\underline{0.400}"
    assert rows[2][3].strip() == "---"


@pytest.mark.parametrize("render", [text.markdown, text.latex])
def test_a_name_with_line_breaks_breaks_no_table(render: Callable[[Table], str]) -> None:
    broken, whole = (render(table(row(name, 0.1, 0.1, 0.1))) for name in ("A\nB\r\nC", "A B C"))
    assert broken == whole


@pytest.mark.parametrize("rows", [(), (row("A", None, None, None),)])
def test_a_table_without_numbers_is_still_a_table(rows: tuple[Row, ...]) -> None:
    empty: Table = table(*rows)
    assert parsed(text.latex(empty))[0] == "lrrrr"
    assert text.markdown(empty).startswith("### emoji — map@all")
    assert text.csv_text(empty).startswith("dataset,")


def test_seeds_are_shown_as_a_range_where_directions_differ() -> None:
    one = row("A", 0.1, 0.1, 0.1)
    entries = {**one.entries, IT: replace(one.entries[IT], seeds=5)}
    assert cells(text.markdown(table(replace(one, entries=entries))), "A")[-1] == "3-5"
    assert cells(text.markdown(table(one)), "A")[-1] == "3"


def test_a_deviation_is_shown_beside_its_mean() -> None:
    one = row("A", 0.1, 0.1, 0.1)
    deviating = replace(one, entries={**one.entries, IT: entry(0.5, 0.0126)})
    assert cells(text.markdown(table(deviating)), "A")[0] == "**0.500 ± 0.013**"
    assert r"\textbf{0.500 $\pm$ 0.013}" in text.latex(table(deviating))
