"""Tables in a document: what is between two marks is replaced, and not a byte beside it changes."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from bench.contract import UsageError
from bench.report.exhibit import Cell, Line, plain_table
from bench.report.fill import fill
from bench.report.topics.map_tables import table_exhibit
from bench.report.writers import markdown
from tests.report.making import row, table

EMOJI = table(row("A", 0.5, 0.4, 0.45))
PAPER = table(row("A", 0.9, 0.9, 0.9), profile="paper")
START, END = "<!-- table: emoji map@all -->\n", "<!-- end of table -->"


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_places_are_filled_again_and_again_and_nothing_else_changes(tmp_path: Path) -> None:
    paper = "<!-- table: emoji map@all paper -->\n"
    quick = "<!-- table: emoji map@all quick -->\n"
    document = write(tmp_path / "a.md", f"# Before\n\n{paper}old\n{END}\n{quick}{END}\n\nafter  \n")
    for _ in range(2):
        assert fill(document, [EMOJI, PAPER]) == 2
        first, second = (f"\n{markdown.table(table_exhibit(one)).strip()}\n\n" for one in (PAPER, EMOJI))
        expected = f"# Before\n\n{paper}{first}{END}\n{quick}{second}{END}\n\nafter  \n"
        assert document.read_text(encoding="utf-8") == expected


def test_a_place_that_names_a_table_of_the_report_gets_it(tmp_path: Path) -> None:
    shown = plain_table("drops_emoji_real_quick", "Drop", ("Method", "x"), [Line("A", (Cell("1.5"),))])
    other = plain_table("drops_emoji_views_real", "Drop", ("Method", "x"), [])
    start = "<!-- exhibit: drops_emoji_real_* -->\n"
    document = write(tmp_path / "a.md", f"{START}{END}\n{start}old{END}\n")
    assert fill(document, [EMOJI], lambda: [other, shown]) == 2
    assert f"{start}\n{markdown.table(shown).strip()}\n\n{END}\n" in document.read_text(encoding="utf-8")
    for none_or_two in ([other], [shown, shown]):
        with pytest.raises(UsageError, match=r"[02] tables .*drops_emoji_real_\*"):
            fill(document, [EMOJI], partial(list, none_or_two))


def test_windows_line_ends_permissions_and_links_stay(tmp_path: Path) -> None:
    document = write(tmp_path / "a.md", f"x\n{START}{END}\n".replace("\n", "\r\n"))
    document.chmod(0o600)
    (tmp_path / "link.md").symlink_to(document)
    fill(tmp_path / "link.md", [EMOJI])
    assert (tmp_path / "link.md").is_symlink()
    content = document.read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n") > 3
    assert document.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no mark", "has no section to fill"),
        (f"{START} and no end".encode(), "has no section to fill"),
        (b"\xff\xfe\x00", "it is not UTF-8 text"),
        (f"<!-- table: nope map@all -->\n{END}".encode(), "nope under map@all"),
        (f"{START}{END}".encode(), "2 tables .*emoji map@all.*quick.*paper"),
    ],
)
def test_a_document_that_cannot_be_filled_is_left_as_it_is(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    document = tmp_path / "a.md"
    document.write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        fill(document, [EMOJI, PAPER])
    assert document.read_bytes() == content
    os.mkfifo(tmp_path / "pipe")
    for name in ("absent.md", ".", "pipe", "/dev/null"):
        with pytest.raises(UsageError, match="cannot fill"):
            fill(tmp_path / name, [EMOJI])
