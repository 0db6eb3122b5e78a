"""Texts of the report: nothing in a name becomes markup, and captions tell data apart."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from bench.report import text
from bench.report.writers import markdown
from tests.report.making import table

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"]), max_size=30)


def test_data_versions_can_be_told_apart_by_the_caption() -> None:
    one, two = table(), table(fingerprint="fedcba9876543210")
    assert text.table_caption(one) != text.table_caption(two)


def unescaped(markdown: str) -> str:
    """Read inline Markdown as a renderer does: backslash escapes, then entities."""
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown))


@given(NAMES)
def test_escaped_markdown_shows_the_name_and_nothing_else(name: str) -> None:
    shown = markdown.escape(name)
    assert "\n" not in shown
    assert unescaped(shown) == text.visible(name)
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", "", shown)
    assert not set("`*_[]|#~$<>\\") & set(bare)
    assert not re.search(r"&(?!amp;|lt;|gt;)", bare)
